// The timeline itself: what it has loaded goes along with the view. Against the mock server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openServer } from "./session.mjs";

const skip = process.env.VMS_URL ? "needs the mock server's recordings" : false;
let server;
before(async () => {
  if (!skip) server = await openServer();
});
after(async () => {
  await server?.stop();
});

/** How many pixels along the middle of the timeline have the colour of recordings. */
const recordedPixels = (page) =>
  page.$eval("[data-testid=timeline] canvas", (canvas) => {
    const wanted = getComputedStyle(canvas).getPropertyValue("--timeline-recorded").trim();
    const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(wanted.slice(at, at + 2), 16));
    const row = canvas.getContext("2d").getImageData(0, canvas.height - 30, canvas.width, 1).data;
    let count = 0;
    for (let at = 0; at < row.length; at += 4) {
      if (row[at] === red && row[at + 1] === green && row[at + 2] === blue) count += 1;
    }
    return count / canvas.width;
  });

test("an address with a time shows what is recorded around it", { skip }, async () => {
  const page = await server.openLoggedIn();
  const minutesAgo = (minutes) => encodeURIComponent(new Date(Date.now() - minutes * 60_000).toISOString());
  for (const minutes of [100, 230, 3 * 1_440]) {
    await page.evaluate((hash) => {
      location.hash = hash;
    }, "#/");
    await page.waitForSelector("article");
    await page.evaluate(
      (hash) => {
        location.hash = hash;
      },
      `#/cameras/cam0002?t=${minutesAgo(minutes)}`,
    );
    await page.waitForSelector("[data-testid=timeline]");
    await page.waitForTimeout(1_500);
    const share = await recordedPixels(page);
    const expected = await page.evaluate(async () => {
      const element = document.querySelector("[data-testid=timeline]");
      const token = JSON.parse(sessionStorage.getItem("vms.session")).accessToken;
      const [start, end] = [Number(element.getAttribute("aria-valuemin")) * 1_000, Number(element.dataset.end) * 1_000];
      const query = new URLSearchParams({ start: new Date(start).toISOString(), end: new Date(end).toISOString() });
      const headers = { Authorization: `Bearer ${token}` };
      const found = await (await fetch(`/api/v1/cameras/cam0002/timeline?${query}`, { headers })).json();
      const recorded = found.ranges.reduce((sum, range) => sum + Date.parse(range.end) - Date.parse(range.start), 0);
      return recorded / (end - start);
    });
    assert.ok(
      Math.abs(share - expected) < 0.06,
      `${share} of the bar is drawn as recorded, ${expected} is (${minutes} min ago)`,
    );
  }
  await page.context().close();
});

test("the wheel zooms around the pointer and dragging moves the view", { skip }, async () => {
  const page = await server.openLoggedIn();
  await page.evaluate(() => {
    location.hash = "#/cameras/cam0001";
  });
  const timeline = page.getByTestId("timeline");
  await timeline.waitFor();
  const span = () =>
    timeline.evaluate((element) => ({
      start: Number(element.getAttribute("aria-valuemin")),
      end: Number(element.dataset.end),
    }));
  const box = await timeline.boundingBox();
  const before = await span();
  await page.mouse.move(box.x + box.width / 2, box.y + 60);
  await page.mouse.wheel(0, -300);
  await page.waitForTimeout(200);
  const zoomed = await span();
  assert.ok(zoomed.end - zoomed.start < (before.end - before.start) * 0.5);
  assert.ok(Math.abs((zoomed.start + zoomed.end) / 2 - (before.start + before.end) / 2) < 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2 + 200, box.y + 60, { steps: 5 });
  await page.mouse.up();
  const moved = await span();
  assert.ok(moved.start < zoomed.start - 60, "the view went back in time");
  assert.equal(await page.getAttribute("[data-testid=stage]", "data-mode"), "live", "dragging does not seek");
  await page.context().close();
});

test("under the pointer the still of the instant shows at once, the exact picture when it rests", {
  skip,
}, async () => {
  const page = await server.openLoggedIn();
  const frames = [];
  page.on("request", (request) => {
    if (request.url().includes("/frame.jpg")) frames.push(request.url());
  });
  await page.evaluate(
    (hash) => {
      location.hash = hash;
    },
    `#/cameras/cam0002?t=${encodeURIComponent(new Date(Date.now() - 100 * 60_000).toISOString())}`,
  );
  const timeline = await page.waitForSelector("[data-testid=timeline]");
  await page.waitForTimeout(1_500);
  const box = await timeline.boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.5, y);
  await page.waitForSelector("[data-testid=still]");
  const asked = frames.length;
  // Moving on within the hour takes no question.
  const images = [];
  for (let step = 1; step <= 10; step += 1) {
    await page.mouse.move(box.x + box.width * (0.5 + step * 0.002), y);
    images.push(await page.isVisible("[data-testid=still]"));
  }
  assert.ok(
    images.every((isThere) => isThere),
    "the still is there wherever the pointer goes",
  );
  assert.ok(frames.length <= asked + 1, `${frames.length - asked} exact pictures were asked for in passing`);
  await page.waitForSelector("[data-testid=timeline] img");
  await page.context().close();
});
