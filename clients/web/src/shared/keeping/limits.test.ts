import { expect, it } from "vitest";
import { bytesOf, checkLimits, limitsFormOf, NO_LIMITS, retentionOf } from "./limits";

it("limits go to a form and back", () => {
  const retention = { days: 30, max_bytes: 123_456_789_012, min_days: 7, main_days: null };
  expect(retentionOf(limitsFormOf(retention))).toEqual(retention);
  expect(limitsFormOf(null)).toEqual(NO_LIMITS);
  expect(checkLimits(NO_LIMITS).size).toBe(0);
});

it("gigabytes have a point or a comma", () => {
  expect([bytesOf("1.5"), bytesOf("1,5"), bytesOf(" 500 "), bytesOf(""), bytesOf("-1")]).toEqual([
    1_500_000_000,
    1_500_000_000,
    500_000_000_000,
    null,
    null,
  ]);
});

it("a guarantee is no longer than the limits", () => {
  expect([...checkLimits({ ...NO_LIMITS, retentionDays: "7", minDays: "8" }).keys()]).toEqual(["minDays"]);
  expect(checkLimits({ ...NO_LIMITS, retentionDays: "8", minDays: "8" }).size).toBe(0);
});
