import { describe, expect, it } from "vitest";
import { bitrateText, bytesText, durationText, utcText } from "./format";
import { formatInstant, fromLocalInput, parseInstant, toLocalInput } from "./instant";

describe("instants", () => {
  it("keep the µs of RFC 3339 times both ways", () => {
    const text = "2026-11-23T10:13:00.123456Z";
    expect(parseInstant(text)).toBeCloseTo(Date.UTC(2026, 10, 23, 10, 13, 0) + 123.456, 3);
    expect(formatInstant(parseInstant(text))).toBe(text);
  });
  it("carry rounding over into the next second", () => {
    expect(formatInstant(999.9999)).toBe("1970-01-01T00:00:01.000000Z");
  });
  it("take offsets, with and without a colon", () => {
    expect(parseInstant("2026-11-23T07:13:00-03:00")).toBe(Date.UTC(2026, 10, 23, 10, 13));
    expect(parseInstant("2026-11-23T07:13:00.5-0300")).toBe(Date.UTC(2026, 10, 23, 10, 13) + 500);
  });
  it("are NaN where the text is no time", () => {
    for (const text of ["", "yesterday", "2026-11-23", "2026-13-41T10:00:00Z"]) expect(parseInstant(text)).toBeNaN();
  });
  it("go through a local input field", () => {
    const at = Date.UTC(2026, 2, 8, 6, 30, 15);
    expect(fromLocalInput(toLocalInput(at))).toBe(at);
    expect(fromLocalInput("")).toBeNull();
  });
});

describe("figures in words", () => {
  it("say lengths, sizes and rates", () => {
    expect(durationText(3_723_000)).toBe("1:02:03");
    expect(durationText(59_600)).toBe("01:00");
    expect(bytesText(1_500_000_000, "en")).toBe("1.5 GB");
    expect(bytesText(999_999, "en")).toBe("1 MB");
    expect(bitrateText(3_950_000, "en")).toBe("4.0 Mbit/s");
    expect(bitrateText(64_000, "pt-BR")).toBe("64 kbit/s");
    expect(utcText(Date.UTC(2026, 0, 2, 3, 4, 5))).toBe("2026-01-02 03:04:05 UTC");
  });
});
