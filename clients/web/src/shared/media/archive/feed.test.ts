import { describe, expect, it } from "vitest";
import { ArchiveFeed, type RecordingSource, WINDOW_MS } from "./feed";
import type { Segment } from "./playlist";
import { TimeMap } from "./time-map";

const NOW = 100_000_000;
const LENGTH_MS = 2_000;
const signal = new AbortController().signal;

/** Two-second segments over the ranges; windows begin at the segment that holds their start. */
function source(ranges: [number, number][], asked: number[] = []): RecordingSource {
  return {
    playlist: async (start, end) => {
      asked.push(start);
      const segments: Segment[] = [];
      for (const [from, to] of ranges) {
        for (let at = from; at + LENGTH_MS <= to; at += LENGTH_MS) {
          if (at + LENGTH_MS <= start || at >= end) continue;
          segments.push({
            url: `s${at}`,
            range: null,
            durationS: 2,
            startsAt: at,
            init: { url: "i", range: null },
            discontinuity: false,
          });
        }
      }
      return segments.length > 0 ? { segments, ended: true } : null;
    },
    nextRecorded: async (at) => {
      const range = ranges.find(([, to]) => to - LENGTH_MS >= at);
      return range ? Math.max(range[0], at) : null;
    },
  };
}

async function take(feed: ArchiveFeed, most: number): Promise<(number | "edge")[]> {
  const found: (number | "edge")[] = [];
  while (found.length < most) {
    const item = await feed.next(signal);
    found.push(item.kind === "segment" ? item.segment.startsAt : "edge");
    if (item.kind === "edge") break;
  }
  return found;
}

describe("the feed", () => {
  it("goes on from window to window without repeating or leaving out", async () => {
    const start = 10_000_000;
    const feed = new ArchiveFeed(source([[start, start + 3 * WINDOW_MS]]), start + 3_000, () => NOW);
    const found = await take(feed, 10_000);
    expect(found.at(-1)).toBe("edge");
    const times = found.slice(0, -1) as number[];
    expect(times[0]).toBe(start + 2_000);
    expect(times.every((at, index) => index === 0 || at - (times[index - 1] ?? 0) === LENGTH_MS)).toBe(true);
    expect(times.at(-1)).toBe(start + 3 * WINDOW_MS - LENGTH_MS);
  });

  it("crosses a gap longer than a window and marks what follows", async () => {
    const asked: number[] = [];
    const second = 10_000_000 + 10 * WINDOW_MS;
    const feed = new ArchiveFeed(
      source(
        [
          [10_000_000, 10_004_000],
          [second, second + 4_000],
        ],
        asked,
      ),
      10_000_000,
      () => NOW,
    );
    const gaps: boolean[] = [];
    for (let count = 0; count < 4; count += 1) {
      const item = await feed.next(signal);
      if (item.kind === "segment") gaps.push(item.afterGap);
    }
    expect(gaps.slice(1)).toEqual([false, true, false]);
    expect(asked.length).toBeLessThan(6);
  });

  it("waits at the edge and goes on with what was recorded meanwhile", async () => {
    const ranges: [number, number][] = [[NOW - 6_000, NOW - 2_000]];
    const feed = new ArchiveFeed(source(ranges), NOW - 6_000, () => NOW);
    expect(await take(feed, 10)).toEqual([NOW - 6_000, NOW - 4_000, "edge"]);
    expect(await take(feed, 10)).toEqual(["edge"]);
    ranges[0] = [NOW - 6_000, NOW];
    expect(await take(feed, 10)).toEqual([NOW - 2_000, "edge"]);
  });

  it("says edge where nothing was ever recorded", async () => {
    expect(await take(new ArchiveFeed(source([]), 5_000, () => NOW), 3)).toEqual(["edge"]);
  });
});

describe("the map of positions and instants", () => {
  it("follows drift from piece to piece, both ways", () => {
    const map = new TimeMap();
    map.add(10, 1_000_000);
    map.add(12, 1_002_010);
    expect(map.wallAt(11)).toBeCloseTo(1_001_000);
    expect(map.wallAt(12.5)).toBeCloseTo(1_002_510);
    expect(map.positionOf(1_002_510)).toBeCloseTo(12.5);
    expect(map.positionOf(999_000)).toBeNull();
    map.clear();
    expect(map.wallAt(11)).toBeNull();
  });
});
