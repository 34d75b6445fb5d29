import type { InstantMs } from "@/shared/time/instant";
import type { Playlist, Segment } from "./playlist";

/** Where recordings come from; the real one asks the server, tests have their own. */
export interface RecordingSource {
  /** The playlist of [start, end); null when nothing is recorded there. */
  playlist: (start: InstantMs, end: InstantMs, signal: AbortSignal) => Promise<Playlist | null>;
  /** The first recorded instant at or after `at`; null when there is none yet. */
  nextRecorded: (at: InstantMs, signal: AbortSignal) => Promise<InstantMs | null>;
}

/** The next segment to play, or that there is none until more has been recorded. */
export type FeedItem = { kind: "segment"; segment: Segment; afterGap: boolean } | { kind: "edge" };

export const WINDOW_MS = 5 * 60_000;
// Rounding of times on their way through text.
const SLACK_MS = 2;
// Shorter pauses than this between segments are how cameras send, not gaps.
const GAP_MS = 500;
const EDGE_BACK_MS = 300;

/** Segments from an instant on, window after window, over gaps, up to what is being recorded now. */
export class ArchiveFeed {
  private cursor: InstantMs;
  private waiting: Segment[] = [];
  /** Everything before this was handed out. */
  private deliveredUntil = Number.NEGATIVE_INFINITY;
  private windowEnd: InstantMs | null = null;
  /** Whether the present window had anything that was not handed out before. */
  private isFresh = false;

  constructor(
    private readonly source: RecordingSource,
    startAt: InstantMs,
    private readonly nowMs: () => InstantMs,
  ) {
    this.cursor = startAt;
  }

  async next(signal: AbortSignal): Promise<FeedItem> {
    // Rounds: this window may be used up, and the one after it may begin in a gap.
    for (let round = 0; round < 3; round += 1) {
      for (let segment = this.waiting.shift(); segment; segment = this.waiting.shift()) {
        const end = segment.startsAt + segment.durationS * 1_000;
        // Windows begin at the key frame before their start, so that neighbours overlap.
        if (end <= this.deliveredUntil + SLACK_MS) continue;
        const afterGap = segment.startsAt - this.deliveredUntil > GAP_MS;
        this.deliveredUntil = end;
        this.isFresh = true;
        return { kind: "segment", segment, afterGap };
      }
      if (this.windowEnd !== null) {
        const isPast = this.windowEnd <= this.nowMs() - WINDOW_MS / 10;
        const wasFresh = this.isFresh;
        // Near the present, asks again from inside what it has: a window of nothing new yet is no error then.
        this.cursor = isPast ? this.windowEnd : Math.max(this.cursor, this.deliveredUntil - EDGE_BACK_MS);
        this.windowEnd = null;
        if (!isPast && !wasFresh) return { kind: "edge" };
      }
      if (!(await this.load(signal))) return { kind: "edge" };
    }
    return { kind: "edge" };
  }

  private async load(signal: AbortSignal): Promise<boolean> {
    for (let tries = 0; tries < 2; tries += 1) {
      const end = this.cursor + WINDOW_MS;
      const found = await this.source.playlist(this.cursor, end, signal);
      if (found && found.segments.length > 0) {
        this.waiting = found.segments;
        this.windowEnd = end;
        this.isFresh = false;
        return true;
      }
      const next = await this.source.nextRecorded(this.cursor, signal);
      if (next === null || next < this.cursor) return false;
      if (next === this.cursor && tries > 0) return false;
      this.cursor = next;
    }
    return false;
  }
}
