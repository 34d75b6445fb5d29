// Playback across the archive's seams, against the mock server, whose gaps are known.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { rangesOf } from "../tests/mock/archive.mjs";
import { openServer } from "./session.mjs";

const skip = process.env.VMS_URL ? "needs the mock server's gaps" : false;
let server;
let page;
before(async () => {
  if (skip) return;
  server = await openServer();
  page = await server.openLoggedIn();
});
after(async () => {
  await server?.stop();
});

const instant = (ms) => `${new Date(ms).toISOString().slice(0, 23)}000Z`;
const position = () => page.$eval("[data-testid=position]", (element) => Number(element.dataset.at));

async function watch(camera, atMs) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, "#/");
  await page.waitForSelector("article");
  await page.evaluate(
    (hash) => {
      location.hash = hash;
    },
    `#/cameras/${camera}?t=${encodeURIComponent(instant(atMs))}`,
  );
  await page.waitForFunction(() => {
    const video = document.querySelector("[data-testid=archive-video]");
    return video && video.videoWidth > 0 && !video.seeking && !video.paused && video.readyState >= 3;
  });
  // The shown position follows several times a second.
  await page.waitForTimeout(200);
}

test("plays on over a discontinuity at the right pace", { skip }, async () => {
  const minute = Math.floor((Date.now() - 20 * 60_000) / 60_000) * 60_000;
  const at = minute + 55_000;
  await watch("cam0001", at);
  const first = await position();
  assert.ok(first - at > -50 && first - at < 3_000, `begins ${first - at} ms from the wanted instant`);
  const startedMs = Date.now();
  await page.waitForTimeout(8_000);
  const [moved, passed] = [(await position()) - first, Date.now() - startedMs];
  assert.ok(Math.abs(moved - passed) < 900, `moved ${moved} ms in ${passed} ms`);
});

test("jumps over a gap and says so", { skip }, async () => {
  const now = Date.now();
  const { ranges } = rangesOf({ number: 2, recording: true }, now);
  const index = ranges.findLastIndex((range, at) => ranges[at + 1] && range.end < now - 10 * 60_000);
  const [gapStart, gapEnd] = [ranges[index].end, ranges[index + 1].start];
  await watch("cam0002", gapStart - 5_000);
  await page.waitForSelector("text=/Nothing recorded for/", { timeout: 15_000 });
  const at = await position();
  assert.ok(at >= gapEnd - 100 && at < gapEnd + 8_000, `went on ${at - gapEnd} ms after the gap`);
});

test("an instant inside a gap shows what comes next", { skip }, async () => {
  const now = Date.now();
  const { ranges } = rangesOf({ number: 3, recording: true }, now);
  const index = ranges.findLastIndex(
    (range, at) =>
      ranges[at + 1] && ranges[at + 1].start - range.end > 10 * 60_000 && ranges[at + 1].start < now - 60_000,
  );
  await watch("cam0003", ranges[index].end + 60_000);
  const late = (await position()) - ranges[index + 1].start;
  assert.ok(late >= -100 && late < 4_000, `begins ${late} ms after the gap`);
});

test("plays eight times as fast, and back in time", { skip }, async () => {
  const at = Date.now() - 30 * 60_000;
  await watch("cam0001", at);
  await page.getByLabel("Speed").selectOption("8");
  const first = await position();
  await page.waitForTimeout(4_000);
  const moved = (await position()) - first;
  assert.ok(moved > 4_000 * 5, `moved ${moved} ms in 4 s`);
  await page.getByLabel("Speed").selectOption("1");
  const before = await position();
  await page.getByRole("button", { name: "Back 10 seconds" }).click();
  await page.waitForTimeout(700);
  const back = before - (await position());
  assert.ok(back > 7_500 && back < 11_000, `went back ${back} ms`);
});

test("steps by single frames while paused", { skip }, async () => {
  await watch("cam0001", Date.now() - 15 * 60_000);
  await page.getByTestId("play-pause").click();
  await page.waitForTimeout(300);
  const before = await position();
  await page.keyboard.press(".");
  await page.waitForTimeout(300);
  const step = (await position()) - before;
  assert.ok(Math.abs(step - 1_000 / 15) < 3, `stepped ${step} ms`);
  await page.keyboard.press(",");
  await page.waitForTimeout(300);
  assert.ok(Math.abs((await position()) - before) < 3);
});

test("catches up with the present and goes on as it is recorded", { skip }, async () => {
  await watch("cam0001", Date.now() - 9_000);
  await page.getByLabel("Speed").selectOption("4");
  await page.waitForSelector("text=/recorded so far/", { timeout: 15_000 });
  await page.getByLabel("Speed").selectOption("1");
  const before = await position();
  await page.waitForTimeout(6_000);
  const moved = (await position()) - before;
  assert.ok(moved > 2_500, `moved ${moved} ms in 6 s`);
  assert.deepEqual(page.faults, []);
});
