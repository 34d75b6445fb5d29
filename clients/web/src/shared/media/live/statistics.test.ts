import { describe, expect, it } from "vitest";
import recorded from "./recorded-reports.json";
import { readReport, StatisticsReader } from "./statistics";

// getStats() of Chromium on a 640×360 camera of 25 fps, every second: before the first packet, then while it plays.
const REPORTS: Record<string, unknown>[][] = recorded;
const [EARLY = [], FIRST = [], SECOND = []] = REPORTS;

/** The report with other values in its entries of a type. */
const changed = (report: Record<string, unknown>[], type: string, values: Record<string, unknown>) =>
  report.map((entry) => (entry.type === type ? { ...entry, ...values } : entry));

function reading(report: Record<string, unknown>[]) {
  const found = readReport(report);
  if (!found) throw new Error("no video in the report");
  return found;
}

describe("a report", () => {
  it("tells nothing before the first packet", () => expect(readReport(EARLY)).toBeNull());
  it("is read by its names", () => {
    expect(reading(FIRST)).toMatchObject({
      codec: "H264",
      width: 640,
      height: 360,
      framesDecoded: 29,
      bytesReceived: 136_024 + 3_552,
      packetsReceived: 148,
      packetsLost: 0,
      rttS: 0.001,
      transport: "udp",
    });
  });
  it("takes the pair that the transport names, else the nominated one", () => {
    const pair = { id: "P", type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 0.25 };
    const report = [{ id: "V", type: "inbound-rtp", kind: "video" }, pair];
    expect(reading(report).rttS).toBe(0.25);
    const named = { id: "T", type: "transport", selectedCandidatePairId: "Q" };
    const other = { id: "Q", type: "candidate-pair", currentRoundTripTime: 0.5, localCandidateId: "L" };
    const local = { id: "L", type: "local-candidate", protocol: "tcp", candidateType: "relay" };
    expect(reading([...report, named, other, local])).toMatchObject({ rttS: 0.5, transport: "tcp relay" });
  });
  it("survives what is missing or of another kind", () => {
    expect(readReport([])).toBeNull();
    expect(readReport([{ id: "A", type: "inbound-rtp", kind: "audio", framesDecoded: 5 }])).toBeNull();
    const odd = reading([{ id: "V", type: "inbound-rtp", kind: "video", codecId: "gone", framesDecoded: "12" }]);
    expect(odd).toMatchObject({ codec: null, framesDecoded: 0, rttS: null, transport: null });
  });
});

describe("statistics", () => {
  it("are rates of the last second and counters since the beginning", () => {
    const reader = new StatisticsReader();
    const first = reader.take(reading(FIRST), 180);
    expect(first).toMatchObject({ fps: 0, bitrateBps: 0, firstPictureMs: 180, bitrates: [] });
    const second = reader.take(reading(SECOND), 180);
    expect(second.fps).toBeCloseTo(25, 0);
    expect(second.bitrateBps / 1_000).toBeCloseTo(885, -1);
    expect(second.jitterBufferMs).toBeCloseTo(0.16, 1);
    expect(second.rttMs).toBe(1);
    expect(second.bitrates).toEqual([second.bitrateBps]);
  });
  it("tell what was lost, sent again and frozen", () => {
    const lossy = changed(SECOND, "inbound-rtp", {
      packetsLost: 7,
      nackCount: 4,
      retransmittedPacketsReceived: 21,
      freezeCount: 2,
      totalFreezesDuration: 0.75,
      framesDropped: 3,
      pliCount: 1,
      firCount: 1,
    });
    expect(new StatisticsReader().take(reading(lossy), null)).toMatchObject({
      ...{ packetsLost: 7, nacks: 4, retransmitted: 21, freezes: 2, frozenMs: 750, framesDropped: 3 },
      keyFrameRequests: 2,
    });
  });
  it("never show a negative rate, nor one over no time", () => {
    const reader = new StatisticsReader();
    reader.take(reading(SECOND), null);
    expect(reader.take(reading(SECOND), null)).toMatchObject({ fps: 0, bitrateBps: 0, jitterBufferMs: null });
    const reset = changed(SECOND, "inbound-rtp", {
      timestamp: reading(SECOND).atMs + 1_000,
      framesDecoded: 1,
      bytesReceived: 10,
      jitterBufferDelay: 0,
      jitterBufferEmittedCount: 1,
    });
    expect(reader.take(reading(reset), null)).toMatchObject({ fps: 0, bitrateBps: 0, jitterBufferMs: null });
  });
  it("keep a minute of bitrates", () => {
    const reader = new StatisticsReader();
    const base = reading(SECOND);
    for (let second = 0; second < 100; second += 1) {
      const at = { ...base, atMs: base.atMs + second * 1_000, bytesReceived: second * 1_000 };
      const { bitrates } = reader.take(at, null);
      expect(bitrates.length).toBe(Math.min(60, second));
      if (second > 0) expect(bitrates.at(-1)).toBe(8_000);
    }
  });
});
