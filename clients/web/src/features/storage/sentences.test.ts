import { expect, it } from "vitest";
import { adviceOf, forecastOf, sharesOf } from "./sentences";

const volume = { state: "ok", weight: 1, tier: "fast" } as const;

it("says how long a volume lasts, never longer than it does", () => {
  const forecast = (outcome: "full" | "retention" | "unknown", days: number | null) =>
    forecastOf({ ...volume, forecast: { outcome, days_left: days } });
  expect(forecast("full", 12.9)).toEqual({ counted: "storage.fullIn", count: 12 });
  expect(forecast("full", 0.4)).toEqual({ key: "storage.fullNow" });
  expect(forecast("retention", 30)).toEqual({ counted: "storage.replacedAfter", count: 30 });
  expect(forecast("unknown", null)).toEqual({ key: "storage.unknown" });
  expect(forecastOf({ ...volume, state: "missing", forecast: { outcome: "full", days_left: 3 } })).toEqual({
    key: "storage.missing",
  });
});

it("says what to do where a volume is not well", () => {
  expect(adviceOf({ state: "ok" })).toBeNull();
  expect(adviceOf({ state: "failing" })).toBe("storage.advice.failing");
});

it("divides a bar into parts that fill it", () => {
  const shares = sharesOf({ total_bytes: 100, free_bytes: 30, recorded_bytes: 50, reserve_bytes: 10 });
  expect(shares.recorded).toBeCloseTo(0.5);
  expect(shares.other).toBeCloseTo(0.2);
  expect(shares.free).toBeCloseTo(0.3);
  expect(shares.reserveAt).toBeCloseTo(0.9);
  // Figures of different moments: more recorded than there is room beside what is free.
  const torn = sharesOf({ total_bytes: 100, free_bytes: 30, recorded_bytes: 80, reserve_bytes: 200 });
  expect(torn.recorded + torn.other + torn.free).toBeCloseTo(1);
  expect(torn.reserveAt).toBe(0);
  expect(sharesOf({ total_bytes: 0, free_bytes: 0, recorded_bytes: 0, reserve_bytes: 5 }).recorded).toBe(0);
});
