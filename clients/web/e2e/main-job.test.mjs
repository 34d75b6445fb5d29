// The main job in a browser: log in, watch live, go back, export.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { clickTimeline, openFirstCamera, openServer, playedWithin } from "./session.mjs";

let server;
before(async () => {
  server = await openServer();
});
after(async () => {
  await server?.stop();
});

test("a wrong password is told kindly, the right one opens the wall", async () => {
  const page = await server.open();
  await page.fill("[name=username]", server.user);
  await page.fill("[name=password]", "certainly-wrong");
  await page.click("[type=submit]");
  await page.waitForSelector("[role=alert]");
  assert.match(await page.textContent("[role=alert]"), /wrong/);
  assert.equal(await page.inputValue("[name=password]"), "");
  await page.fill("[name=password]", server.password);
  await page.click("[type=submit]");
  await page.waitForSelector("nav");
  await page.reload();
  await page.waitForSelector("nav", { timeout: 5_000 });
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("the wall shows moving pictures", async () => {
  const page = await server.openLoggedIn();
  await page.waitForSelector("article[data-phase=live]", { timeout: 20_000 });
  const selector = "article[data-phase=live] video";
  await page.waitForFunction((wanted) => document.querySelector(wanted)?.videoWidth > 0, selector);
  const movedMs = await playedWithin(page, selector, 2_000);
  assert.ok(movedMs > 500, `currentTime moved by ${movedMs} ms in 2 s`);
  const tiles = await page.locator("article").count();
  assert.ok(tiles >= 1);

  await page.keyboard.press("ArrowRight");
  await page.locator("article button").first().click();
  assert.equal(await page.locator("article:visible").count(), tiles);
  await page.locator("article button").first().dblclick();
  assert.equal(await page.locator("article:visible").count(), 1);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("article:visible").count(), tiles);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("a click on the timeline plays what was recorded then", async () => {
  const page = await server.openLoggedIn();
  await openFirstCamera(page);
  // A server that was just started has recorded only a little.
  await page.getByRole("button", { name: "10 min" }).click();
  await page.waitForTimeout(1_000);
  const agoMs = Number(process.env.VMS_SEEK_AGO_MS ?? 8_000);
  await clickTimeline(page, agoMs);
  const video = "[data-testid=archive-video]";
  await page.waitForFunction((wanted) => {
    const element = document.querySelector(wanted);
    return element.videoWidth > 0 && element.readyState >= 2 && !element.paused;
  }, video);
  assert.equal(await page.getAttribute("[data-testid=stage]", "data-mode"), "archive");
  const movedMs = await playedWithin(page, video, 2_000);
  assert.ok(movedMs > 800, `currentTime moved by ${movedMs} ms in 2 s`);
  await page.getByTestId("play-pause").click();
  await page.waitForFunction((wanted) => document.querySelector(wanted).paused, video);
  await page.getByTestId("go-live").click();
  await page.waitForFunction(() => document.querySelector("[data-testid=stage]").dataset.mode === "live");
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("an export is made and its file downloaded", async () => {
  const page = await server.openLoggedIn();
  await openFirstCamera(page);
  await page.getByRole("button", { name: "10 min" }).click();
  await page.waitForTimeout(500);
  await page.getByTestId("toggle-export").click();
  await page.getByTestId("order-export").click();
  await page.waitForSelector("[data-export][data-state=done]", { timeout: 60_000 });
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator("[data-export]").getByRole("button", { name: "Download" }).click(),
  ]);
  const bytes = await readFile(await download.path());
  assert.equal(bytes.toString("latin1", 4, 8), "ftyp");
  assert.ok(bytes.length > 10_000, `${bytes.length} bytes`);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
