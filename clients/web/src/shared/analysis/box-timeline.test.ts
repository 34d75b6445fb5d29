import { describe, expect, it } from "vitest";
import type { Box, SeenTrack } from "@/shared/api/analysis-types";
import { BoxTimeline, FORESEEN_MS, HELD_MS } from "./box-timeline";

const track = (number: number, left: number, more: Partial<SeenTrack> = {}): SeenTrack => ({
  number,
  label: "person",
  score: 0.9,
  box: [left, 0.2, left + 0.1, 0.6],
  seen: true,
  ...more,
});
const left = (box: Box | undefined) => box?.[0];

describe("boxes between the pictures that were looked at", () => {
  const timeline = new BoxTimeline();
  timeline.add({ atMs: 1_000, tracks: [track(1, 0.1), track(2, 0.5)] });
  timeline.add({ atMs: 1_400, tracks: [track(1, 0.3), track(3, 0.7)] });

  it("move evenly with who is in both", () => {
    expect(left(timeline.at(1_000)[0]?.box)).toBeCloseTo(0.1);
    expect(left(timeline.at(1_100)[0]?.box)).toBeCloseTo(0.15);
    expect(left(timeline.at(1_300)[0]?.box)).toBeCloseTo(0.25);
  });
  it("fade out with who is gone, and in with who is new", () => {
    expect(timeline.at(1_100).map((box) => box.number)).toEqual([1, 2]);
    expect(timeline.at(1_100)[1]?.sureness).toBeCloseTo(0.5);
    expect(timeline.at(1_350).map((box) => box.number)).toEqual([1, 3]);
    expect(timeline.at(1_350)[1]?.sureness).toBeCloseTo(0.75);
  });
  it("are not there before the first", () => expect(timeline.at(999)).toEqual([]));
});

describe("boxes after the last picture that was looked at", () => {
  it("go on as they moved, then stand and fade", () => {
    const timeline = new BoxTimeline();
    timeline.add({ atMs: 0, tracks: [track(1, 0.1)] });
    timeline.add({ atMs: 300, tracks: [track(1, 0.4)] });
    const [box] = timeline.at(500);
    expect(left(box?.box)).toBeCloseTo(0.6);
    expect(box?.sureness).toBe(1);
    const [held] = timeline.at(300 + (FORESEEN_MS + HELD_MS) / 2);
    expect(left(held?.box)).toBeCloseTo(0.4 + FORESEEN_MS / 1_000);
    expect(held?.sureness).toBeCloseTo(0.5);
    expect(timeline.at(301 + HELD_MS)).toEqual([]);
  });
  it("stand where a single picture says nothing of their speed", () => {
    const timeline = new BoxTimeline();
    timeline.add({ atMs: 0, tracks: [track(1, 0.1)] });
    expect(left(timeline.at(200)[0]?.box)).toBeCloseTo(0.1);
  });
  it("take their speed over a quarter of a second, not over a tremble", () => {
    const timeline = new BoxTimeline();
    for (const [index, at] of [0.1, 0.14, 0.18, 0.19].entries()) {
      timeline.add({ atMs: index * 100, tracks: [track(1, at)] });
    }
    expect(left(timeline.at(400)[0]?.box)).toBeCloseTo(0.19 + 0.03);
  });
  it("do not bridge a pause", () => {
    const timeline = new BoxTimeline();
    timeline.add({ atMs: 0, tracks: [track(1, 0.1)] });
    timeline.add({ atMs: 10_000, tracks: [track(1, 0.9)] });
    expect(timeline.at(5_000)).toEqual([]);
  });
});

describe("what is kept", () => {
  it("is put in order, whatever order it comes in", () => {
    const timeline = new BoxTimeline();
    timeline.add({ atMs: 400, tracks: [track(1, 0.5)] });
    timeline.add({ atMs: 0, tracks: [track(1, 0.1)] });
    timeline.add({ atMs: 400, tracks: [track(1, 0.3)] });
    expect(left(timeline.at(200)[0]?.box)).toBeCloseTo(0.2);
  });
  it("ends some seconds back while it is live, and not for a recording", () => {
    const timeline = new BoxTimeline();
    for (let second = 0; second < 60; second += 1) timeline.add({ atMs: second * 1_000, tracks: [track(1, 0.1)] });
    expect(timeline.at(10_000)).toEqual([]);
    expect(timeline.at(58_500)).toHaveLength(1);
    timeline.clear();
    timeline.fill([0, 1_000, 60_000].map((atMs) => ({ atMs, tracks: [track(1, 0.1)] })));
    expect(timeline.at(500)).toHaveLength(1);
  });
  it("shows guesses fainter", () => {
    const timeline = new BoxTimeline();
    timeline.add({ atMs: 0, tracks: [track(1, 0.1, { seen: false })] });
    expect(timeline.at(0)[0]?.sureness).toBeLessThan(0.6);
  });
});
