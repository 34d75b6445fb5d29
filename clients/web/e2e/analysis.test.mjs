// Rules are drawn on the picture, with a pointer and with keys; against the mock server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startMockServer } from "../tests/mock-server.mjs";
import { launchChromium } from "./browser.mjs";

let server;
let browser;
let page;

before(async () => {
  server = await startMockServer({ cameras: 3 });
  browser = await launchChromium();
  page = await browser.newPage({ locale: "en", viewport: { width: 1280, height: 800 } });
  await page.goto(server.url);
  await page.fill("[name=username]", "admin");
  await page.fill("[name=password]", server.password);
  await page.click("[type=submit]");
  await page.waitForSelector("nav");
});
after(async () => {
  await browser?.close();
  server?.stop();
});

const open = async (id) => {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#/cameras/${id}/analysis`);
  await page.getByTestId("analysis-stage").locator("img").waitFor();
};
const clickAt = async (x, y) => {
  const box = await page.getByTestId("analysis-stage").boundingBox();
  await page.mouse.click(box.x + box.width * x, box.y + box.height * y);
};
const choose = async (rule) => {
  const button = page.locator(`[data-rule=${rule}] button`).first();
  if ((await button.getAttribute("aria-expanded")) === "false") await button.click();
};
const rulesOf = (id) => server.cameras.get(id).body.analysis.rules;
const isNear = (point, x, y) => assert.ok(Math.hypot(point[0] - x, point[1] - y) < 0.01, `${point} is not ${x}, ${y}`);

test("a zone is drawn by clicks, closed at its first corner, and saved", async () => {
  await open("cam0003");
  const before = rulesOf("cam0003").length;
  await page.getByTestId("add-rule").selectOption("loitering");
  for (const [x, y] of [
    [0.2, 0.2],
    [0.6, 0.2],
    [0.6, 0.6],
    [0.2, 0.6],
    [0.2, 0.2],
  ]) {
    await clickAt(x, y);
  }
  assert.equal(await page.getByTestId("drawing").count(), 0);
  await page.getByTestId("save-analysis").click();
  await page.waitForFunction(() => document.querySelector("[data-testid=save-analysis]").disabled);
  const rule = rulesOf("cam0003")[before];
  assert.equal(rule.kind, "loitering");
  assert.equal(rule.zone.length, 4);
  isNear(rule.zone[0], 0.2, 0.2);
  isNear(rule.zone[2], 0.6, 0.6);
});

test("corners are dragged, inserted, moved and removed by keys, and undone", async () => {
  await open("cam0003");
  await choose("loitering-1");
  const corners = page.getByTestId("corner");
  const count = await corners.count();
  const box = await page.getByTestId("analysis-stage").boundingBox();
  const from = await corners.first().boundingBox();
  await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.3, { steps: 4 });
  await page.mouse.up();
  assert.match(await corners.first().getAttribute("aria-label"), /30 % across, 30 % down/);
  await corners.first().press("Shift+ArrowRight");
  assert.match(await corners.first().getAttribute("aria-label"), /35 % across/);
  await corners.first().press("Insert");
  assert.equal(await corners.count(), count + 1);
  await corners.nth(1).press("Delete");
  assert.equal(await corners.count(), count);
  for (let times = 0; times < 4; times += 1) await page.getByTestId("undo").click();
  isNear(
    (await labelled(corners.first())).map((percent) => percent / 100),
    0.2,
    0.2,
  );
});

const labelled = async (corner) =>
  /(\d+) % across, (\d+) % down/
    .exec(await corner.getAttribute("aria-label"))
    .slice(1)
    .map(Number);

test("a click on a line's arrow turns its direction", async () => {
  await open("cam0001");
  await choose("tripwire-1");
  const arrow = page.getByTestId("flip-arrow").first();
  assert.equal(await arrow.getAttribute("data-direction"), "right");
  await arrow.click();
  assert.equal(await arrow.getAttribute("data-direction"), "left");
  await arrow.focus();
  await arrow.press("Enter");
  assert.equal(await arrow.getAttribute("data-direction"), "both");
});

test("what the server refuses is said beside the rule's field", async () => {
  await open("cam0003");
  await choose("loitering-1");
  await page.locator("[data-rule=loitering-1] input.field").first().fill("wrong");
  await page.getByTestId("save-analysis").click();
  await page.getByText("the detector knows no such class").waitFor();
});

test("fields that cannot be are told before the server is asked", async () => {
  await open("cam0001");
  await open("cam0003");
  await choose("loitering-1");
  await page.locator("[data-rule=loitering-1] input.field").nth(1).fill("soon");
  await page.getByTestId("save-analysis").click();
  await page.getByText("From 0.1 to 86400 seconds.").waitFor();
});
