import { describe, expect, it } from "vitest";
import { RtpClock } from "./rtp-clock";

const ROUND = 2 ** 32;

describe("RTP timestamps as a time that goes on", () => {
  it("count in 90 kHz from the first", () => {
    const clock = new RtpClock();
    expect(clock.shown(5_000)).toBe(0);
    expect(clock.shown(5_000 + 9_000)).toBe(100);
    expect(clock.msOf(5_000)).toBe(0);
    expect(clock.aheadMs(5_000 + 18_000)).toBe(100);
  });
  it("go on where they wrap around, forwards and backwards", () => {
    const clock = new RtpClock();
    clock.shown(ROUND - 900);
    expect(clock.shown(900)).toBe(20);
    expect(clock.aheadMs(ROUND - 900)).toBe(-20);
  });
  it("keep count over days", () => {
    const clock = new RtpClock();
    const hour = 3_600_000 * 90;
    for (let hours = 0; hours <= 48; hours += 1) clock.shown((hours * hour) % ROUND);
    expect(clock.msOf((48 * hour) % ROUND)).toBe(48 * 3_600_000);
  });
  it("begin anew with another session", () => {
    const clock = new RtpClock();
    clock.shown(90_000);
    clock.reset();
    expect(clock.shown(1)).toBe(0);
  });
});
