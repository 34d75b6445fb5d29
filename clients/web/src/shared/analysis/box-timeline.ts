import type { Box, SeenTrack } from "@/shared/api/analysis-types";

/** A picture that was looked at, by the server's clock. */
export interface TimedFrame {
  atMs: number;
  tracks: readonly SeenTrack[];
}

export interface ShownBox extends SeenTrack {
  /** 1, and less while it is only a guess. */
  sureness: number;
}

// A box goes on as it moved for so long after the last picture that was looked at: about as long as it takes until what
// the next one shows is here. For longer, the guesses at people's ways get worse than a box that stands.
export const FORESEEN_MS = 600;
// and then stands, ever fainter, until so long after it: on a still scene a picture a second is looked at.
export const HELD_MS = 1_600;
// Between pictures further apart than this nothing is known.
const LONGEST_GAP_MS = 2_500;
// What is kept: a live picture is never further behind than this, with a margin.
const KEPT_MS = 12_000;
// Speeds are taken over at least this long: detectors tremble by a pixel or two from picture to picture.
const SPEED_OVER_MS = 250;

/**
 * What is where in every picture, out of the few a second that were looked at: between two of them a box moves evenly
 * from one place to the other; after the last it goes on as it moved, for a moment, then stands.
 */
export class BoxTimeline {
  private frames: TimedFrame[] = [];

  /** Takes a picture; one of the same time replaces the former. */
  add(frame: TimedFrame): void {
    let index = this.frames.length;
    while (index > 0 && (this.frames[index - 1]?.atMs ?? 0) > frame.atMs) index -= 1;
    const replaces = this.frames[index - 1]?.atMs === frame.atMs;
    this.frames.splice(replaces ? index - 1 : index, replaces ? 1 : 0, frame);
    this.drop((this.frames.at(-1)?.atMs ?? 0) - KEPT_MS);
  }

  /** Takes pictures of a recording, which are kept until `clear`. */
  fill(frames: readonly TimedFrame[]): void {
    const byTime = new Map(this.frames.map((frame) => [frame.atMs, frame]));
    for (const frame of frames) byTime.set(frame.atMs, frame);
    this.frames = [...byTime.values()].sort((a, b) => a.atMs - b.atMs);
  }

  clear(): void {
    this.frames = [];
  }

  /** Forgets what lies before. */
  drop(beforeMs: number): void {
    const first = this.frames.findIndex((frame) => frame.atMs >= beforeMs);
    if (first > 0) this.frames.splice(0, first);
  }

  get newestMs(): number | null {
    return this.frames.at(-1)?.atMs ?? null;
  }

  /** What is where at that time; nothing where too little is known. */
  at(timeMs: number): ShownBox[] {
    const next = this.firstAfter(timeMs);
    const before = this.frames[next - 1];
    const after = this.frames[next];
    if (!before) return [];
    if (after && after.atMs - before.atMs <= LONGEST_GAP_MS) return between(before, after, timeMs);
    const aheadMs = timeMs - before.atMs;
    if (aheadMs > HELD_MS) return [];
    const fading = Math.max(0, aheadMs - FORESEEN_MS) / (HELD_MS - FORESEEN_MS);
    return before.tracks.map((track) => ({
      ...track,
      box: moved(track.box, this.speedOf(track, next - 1), Math.min(aheadMs, FORESEEN_MS)),
      sureness: sureness(track) * (1 - fading),
    }));
  }

  /** Index of the first picture after a time: they lie in order. */
  private firstAfter(timeMs: number): number {
    let [low, high] = [0, this.frames.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.frames[middle]?.atMs ?? 0) <= timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How the middle of a track moved lately, a ms; still where that is not known. */
  private speedOf(track: SeenTrack, index: number): { x: number; y: number } {
    const now = this.frames[index];
    if (!now) return { x: 0, y: 0 };
    for (let place = index - 1; place >= 0; place -= 1) {
      const earlier = this.frames[place];
      if (!earlier || now.atMs - earlier.atMs > LONGEST_GAP_MS) break;
      const spanMs = now.atMs - earlier.atMs;
      const was = earlier.tracks.find((other) => other.number === track.number);
      if (!was) break;
      const isLast = place === 0;
      if (spanMs < SPEED_OVER_MS && !isLast) continue;
      const [from, to] = [middle(was.box), middle(track.box)];
      return { x: (to.x - from.x) / spanMs, y: (to.y - from.y) / spanMs };
    }
    return { x: 0, y: 0 };
  }
}

function between(before: TimedFrame, after: TimedFrame, timeMs: number): ShownBox[] {
  const share = (timeMs - before.atMs) / (after.atMs - before.atMs);
  const later = new Map(after.tracks.map((track) => [track.number, track]));
  const shown: ShownBox[] = [];
  for (const track of before.tracks) {
    const then = later.get(track.number);
    if (then) {
      const near = share < 0.5 ? track : then;
      shown.push({
        ...near,
        box: mixed(track.box, then.box, share),
        sureness: sureness(track) * (1 - share) + sureness(then) * share,
      });
    } else if (share < 0.5) {
      // It is gone by the next picture; somewhere between the two it went.
      shown.push({ ...track, sureness: sureness(track) * (1 - share * 2) });
    }
  }
  const known = new Set(before.tracks.map((track) => track.number));
  for (const track of after.tracks) {
    if (!known.has(track.number) && share >= 0.5) shown.push({ ...track, sureness: sureness(track) * (share * 2 - 1) });
  }
  return shown;
}

const sureness = (track: SeenTrack): number => (track.seen ? 1 : 0.55);
const middle = ([left, top, right, bottom]: Box) => ({ x: (left + right) / 2, y: (top + bottom) / 2 });

function mixed(from: Box, to: Box, share: number): Box {
  return from.map((edge, index) => edge + ((to[index] ?? edge) - edge) * share) as Box;
}

function moved([left, top, right, bottom]: Box, speed: { x: number; y: number }, ms: number): Box {
  const [dx, dy] = [speed.x * ms, speed.y * ms];
  return [left + dx, top + dy, right + dx, bottom + dy];
}
