import { expect, it } from "vitest";
import { ServerWatch } from "./server-watch";

it("asks for all until the server answers, and tells each once, unless it never was away", async () => {
  const timers: (() => void)[] = [];
  let nowMs = 0;
  let up = false;
  let asked = 0;
  const watch = new ServerWatch({
    ask: async () => {
      asked += 1;
      return up;
    },
    after: (_ms, then) => timers.push(then),
    nowMs: () => nowMs,
  });
  const told: string[] = [];
  const elapse = async () => {
    await timers.shift()?.();
  };
  watch.subscribe(() => told.push("first"));
  const leave = watch.subscribe(() => told.push("second"));
  watch.lost();
  watch.lost();
  expect(timers.length).toBe(1);
  await elapse();
  expect([asked, told]).toEqual([1, []]);
  up = true;
  await elapse();
  expect([asked, told]).toEqual([2, ["first", "second"]]);
  expect(timers.length).toBe(0);

  // Whose request was under way at that moment hears of it too.
  nowMs = 10_000;
  watch.lost();
  await elapse();
  expect(told.splice(2)).toEqual(["first", "second"]);
  nowMs = 20_000;
  watch.lost();
  await elapse();
  expect(told).toEqual(["first", "second"]);

  leave();
  up = false;
  watch.lost();
  await elapse();
  up = true;
  await elapse();
  expect(told).toEqual(["first", "second", "first"]);
});

it("stops asking when nobody waits", async () => {
  const timers: (() => void)[] = [];
  let asked = 0;
  const watch = new ServerWatch({
    ask: async () => {
      asked += 1;
      return false;
    },
    after: (_ms, then) => timers.push(then),
    nowMs: () => 0,
  });
  watch.lost();
  timers.shift()?.();
  expect([asked, timers.length]).toEqual([0, 0]);
});
