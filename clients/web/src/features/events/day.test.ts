import { expect, it } from "vitest";
import { dayText, spanOfDay } from "./day";

it("a day is from one local midnight to the next", () => {
  const span = spanOfDay("2026-11-23");
  expect(dayText(span?.start ?? 0)).toBe("2026-11-23");
  expect(dayText((span?.end ?? 0) - 1)).toBe("2026-11-23");
  expect(dayText(span?.end ?? 0)).toBe("2026-11-24");
  expect(spanOfDay("")).toBeNull();
});
