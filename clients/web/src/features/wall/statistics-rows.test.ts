import { describe, expect, it } from "vitest";
import type { LiveStatistics } from "@/shared/media/live/statistics";
import { sparkline, statisticsRows } from "./statistics-rows";

const SHOWN: LiveStatistics = {
  codec: "H264",
  width: 1_920,
  height: 1_080,
  fps: 24.96,
  bitrateBps: 3_950_000,
  packetsReceived: 9_990,
  packetsLost: 10,
  nacks: 4,
  retransmitted: 12,
  framesDropped: 0,
  keyFrameRequests: 0,
  jitterBufferMs: 41.6,
  rttMs: null,
  freezes: 0,
  frozenMs: 0,
  transport: "udp",
  firstPictureMs: 312.4,
  bitrates: [],
};
const texts = (shown: LiveStatistics, locale = "en") =>
  Object.fromEntries(statisticsRows(shown, "sub", locale).map((row) => [row.label, row.value]));

describe("the figures of a tile", () => {
  it("are said with their units", () => {
    expect(texts(SHOWN)).toEqual({
      "stats.codec": "H264 · sub",
      "stats.picture": "1920×1080",
      "stats.fps": "25",
      "stats.bitrate": "4.0 Mbit/s",
      "stats.lost": "10 · 0.1%",
      "stats.retransmitted": "12 · 4 NACK",
      "stats.jitterBuffer": "42 ms",
      "stats.rtt": "– · UDP",
      "stats.freezes": "0",
      "stats.firstPicture": "312 ms",
    });
    expect(texts({ ...SHOWN, freezes: 2, frozenMs: 1_260 }, "pt-BR")).toMatchObject({
      "stats.bitrate": "4,0 Mbit/s",
      "stats.freezes": "2 · 1,3 s",
    });
  });
  it("stand out where a viewer may notice", () => {
    const trouble = (shown: LiveStatistics) =>
      statisticsRows(shown, "main", "en")
        .filter((row) => row.isTrouble)
        .map((row) => row.label);
    expect(trouble(SHOWN)).toEqual([]);
    expect(trouble({ ...SHOWN, packetsLost: 900, freezes: 1 })).toEqual(["stats.lost", "stats.freezes"]);
  });
  it("bear figures that are not there, and duplicates, which count as less than no loss", () => {
    const none = { ...SHOWN, codec: null, width: 0, packetsReceived: 0, packetsLost: -3, transport: null };
    expect(texts(none)).toMatchObject({ "stats.codec": "– · sub", "stats.picture": "–", "stats.rtt": "–" });
    expect(texts(none)["stats.lost"]).toContain("0%");
  });
});

describe("the line of bitrates", () => {
  it("ends at the right edge, its greatest value at the top", () => {
    expect(sparkline([5, 10], 3, 20, 10)).toBe("10.0,5.0 20.0,0.0");
    expect(sparkline([], 60, 20, 10)).toBe("");
    expect(sparkline([0], 60, 20, 10)).toBe("20.0,10.0");
  });
});
