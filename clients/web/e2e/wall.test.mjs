// The wall against the mock server, whose cameras can be spoiled: arrangement, keys, honest states, coming back.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { openServer } from "./session.mjs";

const skip = process.env.VMS_URL ? "needs the mock server's faults" : false;
const CAMERAS = 18;
let server;
let page;
let cameras;
before(async () => {
  if (skip) return;
  server = await openServer({ cameras: CAMERAS, allWell: true, withSub: true });
  cameras = [...server.mock.cameras.values()];
  page = await server.open();
  await page.addInitScript(() => {
    const made = [];
    window.openConnections = () => made.filter((connection) => connection.connectionState !== "closed");
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...options) {
        super(...options);
        made.push(this);
      }
    };
  });
  await page.reload();
  await server.logIn(page);
});
beforeEach(async () => {
  if (skip) return;
  for (const camera of cameras)
    Object.assign(camera, { whep: null, blocked: false, undecodable: [], state: "online", reason: null });
});
after(async () => {
  await server?.stop();
});

const tile = (index) => `article[data-camera=${cameras[index].body.id}]`;
const visible = () => page.locator("article:visible").count();
const inState = (index, state, timeout = 15_000) =>
  page.waitForSelector(`${tile(index)}[data-state=${state}]`, { timeout });
const allLive = (count, timeout = 30_000) =>
  page.waitForFunction((wanted) => document.querySelectorAll("article[data-state=live]").length === wanted, count, {
    timeout,
  });
/** Waits until the mock's live sessions are as `holds` wants them. */
async function sessionsAre(holds, timeoutMs = 8_000) {
  const untilMs = Date.now() + timeoutMs;
  for (;;) {
    const shown = [...server.mock.sessions.values()];
    if (holds(shown)) return;
    assert.ok(Date.now() < untilMs, `sessions: ${JSON.stringify(shown)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("sixteen tiles fill the screen and play the sub streams", { skip }, async () => {
  await allLive(16);
  const box = await page.locator("article").last().boundingBox();
  const { width, height } = page.viewportSize();
  assert.ok(box.x + box.width > width - 8 && box.y + box.height > height - 8, JSON.stringify(box));
  await sessionsAre((shown) => shown.length === 16 && shown.every((session) => session.stream === "sub"));
  const servers = await page.evaluate(() => window.openConnections()[0].getConfiguration().iceServers);
  assert.deepEqual(servers[0].urls, ["stun:127.0.0.1:9"]);
});

test("a double click enlarges, with the main stream and without a break", { skip }, async () => {
  await page.evaluate((selector) => {
    const element = document.querySelector(selector);
    window.tileStates = [];
    new MutationObserver(() => window.tileStates.push(element.dataset.state)).observe(element, {
      attributeFilter: ["data-state"],
    });
  }, tile(1));
  await page
    .locator(`${tile(1)} button`)
    .first()
    .click();
  assert.equal(await visible(), 16);
  await page
    .locator(`${tile(1)} button`)
    .first()
    .dblclick();
  assert.equal(await visible(), 1);
  await page.waitForFunction((selector) => document.querySelector(selector).videoWidth > 320, `${tile(1)} video`);
  assert.deepEqual(await page.evaluate(() => window.tileStates), []);
  // The others are not seen: their sessions end after a moment.
  await sessionsAre((shown) => shown.length === 1 && shown[0].stream === "main");
  await page.keyboard.press("Escape");
  assert.equal(await visible(), 16);
  await allLive(16);
  await sessionsAre((shown) => shown.length === 16 && shown.every((session) => session.stream === "sub"));
});

test("keys move, enlarge, turn pages and show statistics", { skip }, async () => {
  const focused = () => page.evaluate(() => document.activeElement.closest("article")?.dataset.camera);
  await page
    .locator(`${tile(0)} button`)
    .first()
    .focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), cameras[5].body.id);
  await page.keyboard.press("Enter");
  assert.equal(await visible(), 1);
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), cameras[6].body.id);
  assert.equal(await page.locator(tile(6)).isVisible(), true);
  await page.keyboard.press("Escape");
  assert.equal(await visible(), 16);
  assert.equal(await focused(), cameras[6].body.id);

  await page.keyboard.press("s");
  await page.waitForSelector(`${tile(0)} [data-testid=statistics]`);
  const shown = await page.textContent(`${tile(0)} [data-testid=statistics]`);
  assert.match(shown, /320×180/);
  await page.keyboard.press("s");
  assert.equal(await page.locator("[data-testid=statistics]").count(), 0);

  await page.keyboard.press("PageDown");
  await allLive(2);
  await sessionsAre((sessions) => sessions.length === 2);
  await page.keyboard.press("PageUp");
  await allLive(16);

  await page.keyboard.press("f");
  await page.waitForFunction(() => document.fullscreenElement?.querySelectorAll("article").length === 16);
  // The list of keys lies beside the tiles: the full screen ends for it.
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  assert.equal(await page.evaluate(() => document.fullscreenElement), null);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("turning pages back and forth leaves no connection behind", { skip }, async () => {
  for (let turn = 0; turn < 11; turn += 1) {
    await page.keyboard.press("PageDown");
    await page.waitForTimeout(150 * (turn % 4));
  }
  await allLive(2);
  await sessionsAre((sessions) => sessions.length === 2);
  // Farewells may take two seconds.
  await page.waitForFunction(() => window.openConnections().length === 2, null, { timeout: 5_000 });
  await page.keyboard.press("PageUp");
  await allLive(16);
});

test("the arrangement is remembered", { skip }, async () => {
  await page.keyboard.press("2");
  assert.equal(await visible(), 4);
  await page.reload();
  await allLive(4);
  assert.equal(await page.locator("fieldset [aria-pressed=true]").textContent(), "2×2");
  // Four tiles are large enough for the main stream.
  await sessionsAre((shown) => shown.length === 4 && shown.every((session) => session.stream === "main"));
});

test("a picture that stands still is said to, and to be live when it moves", { skip }, async () => {
  server.mock.freeze(cameras[0], true);
  await inState(0, "stalled", 5_000);
  assert.match(await page.textContent(tile(0)), /No new pictures/);
  server.mock.freeze(cameras[0], false);
  await inState(0, "live", 5_000);
});

test("stills stand in where the server is full, and its Retry-After is honoured", { skip }, async () => {
  cameras[0].whep = { status: 503, code: "too-many-viewers", detail: "enough viewers are connected", retryAfter: 4 };
  cameras[0].refusedAtMs = [];
  await page.reload();
  await inState(0, "stills");
  await page.waitForSelector(`${tile(0)} [data-testid=still]`);
  assert.match(await page.textContent(tile(0)), /takes no more live viewers/);
  // Even a network that is said to be back does not hurry it.
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await page.waitForTimeout(6_000);
  cameras[0].whep = null;
  await inState(0, "live");
  const asked = cameras[0].refusedAtMs;
  const gaps = asked.slice(1).map((at, index) => at - asked[index]);
  assert.ok(gaps.length >= 1 && Math.min(...gaps) >= 4_000, `asked after ${gaps} ms`);
});

test("stills stand in where no media passes, and give way when it does", { skip }, async () => {
  cameras[1].blocked = true;
  await page.reload();
  await inState(1, "stills");
  assert.match(await page.textContent(tile(1)), /network lets no live video/);
  cameras[1].blocked = false;
  await inState(1, "live", 25_000);
});

test("the other stream stands in where the browser has no decoder for one, else stills", { skip }, async () => {
  await page.keyboard.press("2");
  cameras[2].undecodable = ["main"];
  cameras[3].undecodable = ["main", "sub"];
  await page.reload();
  await inState(2, "live");
  await page.waitForSelector(`${tile(2)}[data-stream=sub]`);
  await inState(3, "stills");
  assert.match(await page.textContent(tile(3)), /cannot play the camera’s codec/);
  await page.waitForSelector(`${tile(0)}[data-stream=main]`);
});

test("a camera that is down is said to be, with its reason, and comes back", { skip }, async () => {
  Object.assign(cameras[3], { state: "offline", reason: "no route to 192.0.2.13:554" });
  await page.reload();
  await inState(3, "offline");
  assert.match(await page.textContent(tile(3)), /no route to 192.0.2.13/);
  Object.assign(cameras[3], { state: "online", reason: null });
  await inState(3, "live", 12_000);
});

test("all tiles come back within ten seconds of a restarted server", { skip }, async () => {
  await page.keyboard.press("4");
  await allLive(16);
  const gone = page.waitForSelector("article[data-state=reconnecting]", { timeout: 15_000 });
  // Long enough that waits have grown beyond the ten seconds: only the watch over the server ends them.
  await server.mock.restart(30_000);
  const readyAtMs = Date.now();
  await gone;
  await sessionsAre((shown) => shown.length === 16, 10_000);
  await allLive(16, 10_000 - (Date.now() - readyAtMs));
  assert.deepEqual(page.faults, []);
});

test("a page that is not seen lets its sessions go, and has them back at once", { skip }, async () => {
  const look = (state) =>
    page.evaluate((wanted) => {
      Object.defineProperty(document, "visibilityState", { value: wanted, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
  await look("hidden");
  await page.waitForTimeout(5_000);
  await sessionsAre((shown) => shown.length === 16);
  await sessionsAre((shown) => shown.length === 0, 25_000);
  assert.equal(
    await page.evaluate(() => [...document.querySelectorAll("video")].every((video) => !video.srcObject)),
    true,
  );
  await look("visible");
  await allLive(16, 10_000);
});
