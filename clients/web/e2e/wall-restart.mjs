// Whether a wall comes back by itself when the server is restarted: says `live` when VMS_TILES tiles show moving
// pictures, waits for a line on standard input (the server is ready again), then prints, as JSON, after how many
// milliseconds every tile moved again and what the tiles said meanwhile. Needs VMS_URL and VMS_PASSWORD.
import { once } from "node:events";
import { openServer } from "./session.mjs";

const TILES = Number(process.env.VMS_TILES ?? 16);
const server = await openServer();
const page = await server.openLoggedIn();

/** Waits until every tile has decoded a new frame since `since` (ms of the page's clock). */
const allMoved = (sinceMs) =>
  page.waitForFunction(
    ({ tiles, since }) =>
      document.querySelectorAll("article[data-state=live]").length === tiles &&
      [...document.querySelectorAll("article video")].every((video) => (video.lastFrameAtMs ?? 0) > since),
    { tiles: TILES, since: sinceMs },
    { polling: 100, timeout: 60_000 },
  );

await page.waitForFunction((tiles) => document.querySelectorAll("article[data-state=live]").length === tiles, TILES, {
  timeout: 60_000,
});
await page.evaluate(() => {
  window.statesSeen = new Set();
  for (const video of document.querySelectorAll("article video")) {
    const frame = () => {
      video.lastFrameAtMs = performance.now();
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  }
  setInterval(() => {
    for (const tile of document.querySelectorAll("article")) window.statesSeen.add(tile.dataset.state);
  }, 100);
});
await allMoved(await page.evaluate(() => performance.now()));
console.log("live");
await once(process.stdin, "data");
const readyAtMs = await page.evaluate(() => performance.now());
await allMoved(readyAtMs);
const backMs = (await page.evaluate(() => performance.now())) - readyAtMs;
const states = await page.evaluate(() => [...window.statesSeen].sort());
console.log(JSON.stringify({ backMs: Math.round(backMs), states, faults: page.faults }));
await server.stop();
process.exit(0);
