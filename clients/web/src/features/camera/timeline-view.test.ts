import { describe, expect, it } from "vitest";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "@/shared/time/instant";
import { proposedSelection, recordedWithin } from "./selection";
import {
  atX,
  centerView,
  clampView,
  followView,
  LONGEST_MS,
  midnightsOf,
  panView,
  SHORTEST_MS,
  spanOf,
  ticksOf,
  xOf,
  zoomView,
} from "./timeline-view";

const NOW = Date.UTC(2026, 10, 23, 12);
const view = { start: NOW - HOUR_MS, end: NOW };

describe("the timeline's view", () => {
  it("zooms around the pointer", () => {
    const anchor = NOW - 40 * MINUTE_MS;
    const zoomed = zoomView(view, 0.5, anchor, NOW);
    expect(spanOf(zoomed)).toBe(HOUR_MS / 2);
    expect(xOf(anchor, zoomed, 900)).toBeCloseTo(xOf(anchor, view, 900));
  });
  it("stays within its shortest and longest, and shows little of the future", () => {
    expect(spanOf(zoomView(view, 1e-9, NOW, NOW))).toBe(SHORTEST_MS);
    expect(spanOf(zoomView(view, 1e9, NOW, NOW))).toBe(LONGEST_MS);
    expect(panView(view, 50 * DAY_MS, NOW).end).toBeLessThanOrEqual(NOW + HOUR_MS * 0.121);
    expect(spanOf(panView(view, 50 * DAY_MS, NOW))).toBe(HOUR_MS);
    expect(clampView({ start: NOW, end: NOW + DAY_MS }, NOW).end).toBeLessThan(NOW + 0.13 * DAY_MS);
  });
  it("maps pixels and instants both ways", () => {
    expect(atX(xOf(NOW - 7_000, view, 1_237), view, 1_237)).toBeCloseTo(NOW - 7_000, 3);
  });
  it("follows what is played by pages, and only when it left", () => {
    expect(followView(view, NOW - 1, NOW)).toBe(view);
    const followed = followView(view, NOW - 2 * HOUR_MS, NOW);
    expect(followed.start).toBeLessThan(NOW - 2 * HOUR_MS);
    expect(spanOf(followed)).toBeCloseTo(HOUR_MS);
    expect(centerView(NOW - DAY_MS, HOUR_MS, NOW)).toEqual({
      start: NOW - DAY_MS - HOUR_MS / 2,
      end: NOW - DAY_MS + HOUR_MS / 2,
    });
  });
});

describe("the timeline's marks", () => {
  it("stand apart, at round local times", () => {
    for (const lengthMs of [
      MINUTE_MS,
      10 * MINUTE_MS,
      HOUR_MS,
      6 * HOUR_MS,
      DAY_MS,
      7 * DAY_MS,
      30 * DAY_MS,
      62 * DAY_MS,
    ]) {
      const shown = { start: NOW - lengthMs, end: NOW };
      const { ticks, stepMs } = ticksOf(shown, 1_000, 74);
      expect(ticks.length).toBeGreaterThan(1);
      expect(ticks.length).toBeLessThanOrEqual(15);
      for (const tick of ticks) {
        const at = new Date(tick.at);
        const sinceMidnight = at.getHours() * HOUR_MS + at.getMinutes() * MINUTE_MS + at.getSeconds() * 1_000;
        expect(sinceMidnight % Math.min(stepMs, DAY_MS)).toBe(0);
        expect(tick.isDay).toBe(sinceMidnight === 0);
      }
    }
  });
  it("do not wander while panning over weeks", () => {
    const month = { start: NOW - 60 * DAY_MS, end: NOW };
    const moved = { start: month.start + DAY_MS, end: month.end + DAY_MS };
    const before = ticksOf(month, 600, 74).ticks.map((tick) => tick.at);
    const after = ticksOf(moved, 600, 74).ticks.map((tick) => tick.at);
    expect(after.filter((at) => at <= month.end).every((at) => before.includes(at))).toBe(true);
  });
  it("begin with the midnight before the view", () => {
    const found = midnightsOf({ start: NOW, end: NOW + 2 * DAY_MS });
    expect(found[0]).toBeLessThanOrEqual(NOW);
    expect(found).toHaveLength(3);
  });
});

describe("selections", () => {
  it("know how much of them is recorded", () => {
    const ranges = [
      { start: 0, end: 100 },
      { start: 150, end: 400 },
    ];
    expect(recordedWithin(ranges, { start: 50, end: 200 })).toBe(100);
    expect(recordedWithin([], { start: 50, end: 200 })).toBe(0);
  });
  it("are proposed around what is seen, and end by now", () => {
    expect(proposedSelection(NOW, HOUR_MS, NOW)).toEqual({ start: NOW - 12 * MINUTE_MS, end: NOW });
    const earlier = proposedSelection(NOW - DAY_MS, HOUR_MS, NOW);
    expect((earlier.start + earlier.end) / 2).toBe(NOW - DAY_MS);
  });
});
