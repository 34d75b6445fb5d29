import { frameAt, timelineOf } from "@/shared/api/cameras";
import { isAbort, Problem } from "@/shared/api/problem";
import { DAY_MS, type InstantMs } from "@/shared/time/instant";

export interface StillsListener {
  /** A picture as an object URL, good until the next one. */
  still: (url: string | null) => void;
  edge: (reached: boolean) => void;
}

const EVERY_MS = 700;
const HEIGHT_PX = 720;
const STEP_MS = 1_000;

/** Shows recordings that this browser cannot decode as stills that the server makes, about one a second. */
export class StillsPlayer {
  private at: InstantMs = 0;
  private playing = true;
  private rate = 1;
  private url: string | null = null;
  private aborter = new AbortController();

  constructor(
    private readonly cameraId: string,
    private readonly listener: StillsListener,
  ) {}

  open(at: InstantMs): void {
    this.at = at;
    this.aborter.abort();
    this.aborter = new AbortController();
    void this.run(this.aborter.signal);
  }

  play(): void {
    this.playing = true;
    this.open(this.at);
  }

  pause(): void {
    this.playing = false;
    this.aborter.abort();
  }

  setRate(rate: number): void {
    this.rate = rate;
  }

  step(steps: number): void {
    this.playing = false;
    this.open(this.at + steps * STEP_MS);
  }

  position(): InstantMs {
    return this.at;
  }

  close(): void {
    this.aborter.abort();
    if (this.url !== null) URL.revokeObjectURL(this.url);
    this.url = null;
  }

  private async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedMs = performance.now();
      try {
        const blob = await frameAt(this.cameraId, this.at, HEIGHT_PX, signal);
        if (this.url !== null) URL.revokeObjectURL(this.url);
        this.url = URL.createObjectURL(blob);
        this.listener.still(this.url);
        this.listener.edge(false);
      } catch (error) {
        if (isAbort(error) || signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        if (error.status === 404) await this.jump(signal);
      }
      if (!this.playing) return;
      const spentMs = performance.now() - startedMs;
      await new Promise((resolve) => setTimeout(resolve, Math.max(50, EVERY_MS - spentMs)));
      if (signal.aborted) return;
      this.at = Math.min(Date.now(), this.at + (performance.now() - startedMs) * this.rate);
    }
  }

  /** Out of a gap, to where recording goes on. */
  private async jump(signal: AbortSignal): Promise<void> {
    try {
      const found = await timelineOf(this.cameraId, { start: this.at, end: Date.now() + DAY_MS }, signal);
      const next = found.ranges.find((range) => range.end > this.at);
      if (next) this.at = Math.max(this.at, next.start);
      this.listener.edge(next === undefined);
    } catch (error) {
      if (!isAbort(error) && !(error instanceof Problem)) throw error;
    }
  }
}
