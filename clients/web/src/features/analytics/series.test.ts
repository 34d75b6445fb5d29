import { describe, expect, it } from "vitest";
import type { Count } from "@/shared/api/analysis-types";
import { DAY_MS, formatInstant, HOUR_MS } from "@/shared/time/instant";
import { bucketOf, bucketsOf, csvOf, OTHER, occupancyOf, stackOf, ticksTo } from "./series";

const MIDNIGHT = new Date(2026, 10, 23).getTime();
const count = (hour: number, more: Partial<Count> = {}): Count => ({
  camera_id: "a",
  start: formatInstant(MIDNIGHT + hour * HOUR_MS),
  kind: "seen",
  label: "person",
  rule_id: "",
  direction: "",
  count: 1,
  mean: 0,
  peak: 0,
  ...more,
});

describe("buckets", () => {
  const span = { start: MIDNIGHT, end: MIDNIGHT + 2 * DAY_MS };
  it("cut a span into hours, days, and hours of the day", () => {
    expect(bucketsOf(span, "hour")).toHaveLength(48);
    expect(bucketsOf(span, "day")).toEqual([
      { start: MIDNIGHT, end: new Date(2026, 10, 24).getTime() },
      { start: new Date(2026, 10, 24).getTime(), end: span.end },
    ]);
    expect(bucketsOf(span, "clock")).toHaveLength(24);
  });
  it("end with the span", () => {
    const torn = bucketsOf({ start: MIDNIGHT, end: MIDNIGHT + 1.5 * HOUR_MS }, "hour");
    expect(torn.at(-1)?.end).toBe(MIDNIGHT + 1.5 * HOUR_MS);
  });
  it("are found by an instant", () => {
    const hours = bucketsOf(span, "hour");
    expect(bucketOf(hours, "hour", MIDNIGHT)).toBe(0);
    expect(bucketOf(hours, "hour", MIDNIGHT + 2 * HOUR_MS)).toBe(2);
    expect(bucketOf(hours, "hour", MIDNIGHT - 1)).toBe(-1);
    expect(bucketOf(hours, "hour", span.end)).toBe(-1);
    expect(bucketOf(bucketsOf(span, "clock"), "clock", MIDNIGHT + DAY_MS + 5 * HOUR_MS)).toBe(5);
  });
});

describe("stacks", () => {
  const span = { start: MIDNIGHT, end: MIDNIGHT + 2 * HOUR_MS };
  const hours = bucketsOf(span, "hour");
  it("sum by bucket and key, the most first", () => {
    const counts = [count(0), count(0, { label: "car", count: 5 }), count(1, { count: 2 }), count(9)];
    const stack = stackOf(counts, hours, "hour", (one) => one.label);
    expect(stack.keys).toEqual(["car", "person"]);
    expect(stack.rows).toEqual([
      [5, 1],
      [0, 2],
    ]);
    expect(stack.totals).toEqual([5, 3]);
  });
  it("put together what colours cannot tell apart", () => {
    const counts = Array.from({ length: 9 }, (_, index) => count(0, { label: `c${index}`, count: 10 - index }));
    const stack = stackOf(counts, hours, "hour", (one) => one.label);
    expect(stack.keys).toHaveLength(7);
    expect(stack.keys.at(-1)).toBe(OTHER);
    expect(stack.rows[0]?.at(-1)).toBe(4 + 3 + 2);
    // Seven can be told apart: none of them is hidden.
    expect(stackOf(counts.slice(0, 7), hours, "hour", (one) => one.label).keys).not.toContain(OTHER);
  });
  it("are empty without counts", () => {
    expect(stackOf([], hours, "hour", () => "x")).toEqual({ keys: [], rows: [[], []], totals: [] });
  });
});

it("occupancy is the mean over steps, and the highest together", () => {
  const days = bucketsOf({ start: MIDNIGHT, end: MIDNIGHT + DAY_MS }, "day");
  const inside = (hour: number, mean: number, peak: number, label = "person") =>
    count(hour, { kind: "inside", mean, peak, label });
  const counts = [inside(0, 1, 2), inside(0, 1, 3, "car"), inside(1, 4, 4)];
  expect(occupancyOf(counts, days, "day")).toEqual([{ mean: 3, peak: 5 }]);
  expect(occupancyOf([], days, "day")).toEqual([{ mean: 0, peak: 0 }]);
});

describe("ticks", () => {
  it("are round and reach over the highest", () => {
    expect(ticksTo(37)).toEqual([0, 10, 20, 30, 40]);
    expect(ticksTo(3)).toEqual([0, 1, 2, 3]);
    expect(ticksTo(1)).toEqual([0, 1]);
    expect(ticksTo(0)).toEqual([0, 1]);
    expect(ticksTo(Number.NaN)).toEqual([0, 1]);
    expect(ticksTo(4_321).at(-1)).toBeGreaterThanOrEqual(4_321);
  });
});

it("comma-separated values keep commas, quotes and lines apart, and carry no formulas", () => {
  expect(
    csvOf(
      ["a", "b"],
      [
        ['say "hi"', 1],
        ["x,y", -2],
        ["=1+1", 3],
      ],
    ),
  ).toBe('a,b\r\n"say ""hi""",1\r\n"x,y",-2\r\n\'=1+1,3\r\n');
});
