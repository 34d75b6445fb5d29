import { isAbort, Problem } from "@/shared/api/problem";
import type { StreamName } from "@/shared/api/types";
import { Backoff } from "../backoff";
import { openWhep, type WhepSession } from "./whep";

/**
 * connecting: no picture yet; live: frames arrive; stalled: they stopped arriving; waiting: refused or lost, another
 * try follows; unplayable: this browser has no decoder for the camera's codec.
 */
export type LivePhase = "connecting" | "live" | "stalled" | "waiting" | "unplayable";

export interface LiveFigures {
  fps: number;
  bitrateBps: number;
  width: number;
  height: number;
  packetsLost: number;
}

export interface LiveListener {
  phase: (phase: LivePhase, problem: Problem | null) => void;
  media: (media: MediaStream | null) => void;
  figures: (figures: LiveFigures) => void;
}

const WATCH_EVERY_MS = 1_000;
const STALLED_AFTER_MS = 3_000;
const RECONNECT_AFTER_MS = 9_000;

/** Whether the answer means that this browser and the camera have no codec in common. */
export function isUnplayable(problem: Problem): boolean {
  return (problem.status === 422 || problem.status === 415) && problem.code !== "webrtc";
}

/** What the frame counter says, second by second: pure, so that it can be tested without a clock. */
export class StallWatch {
  private lastFrames = -1;
  private changedAtMs: number;

  constructor(startMs: number) {
    this.changedAtMs = startMs;
  }

  /** Takes the frames decoded so far. */
  observe(framesDecoded: number, nowMs: number): "waiting" | "live" | "stalled" | "lost" {
    if (framesDecoded !== this.lastFrames) {
      if (framesDecoded > 0) this.changedAtMs = nowMs;
      this.lastFrames = framesDecoded;
    }
    const silentMs = nowMs - this.changedAtMs;
    if (silentMs >= RECONNECT_AFTER_MS) return "lost";
    if (framesDecoded <= 0) return "waiting";
    return silentMs >= STALLED_AFTER_MS ? "stalled" : "live";
  }
}

/** Keeps one camera's live picture coming until stopped: connects, watches, reconnects. */
export class LiveSession {
  private session: WhepSession | null = null;
  private aborter = new AbortController();
  private watch: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff(1_000, 15_000);
  private stopped = false;
  private phase: LivePhase = "connecting";

  constructor(
    private readonly cameraId: string,
    private readonly stream: StreamName,
    private readonly listener: LiveListener,
  ) {}

  start(): void {
    window.addEventListener("pagehide", this.leave);
    void this.connect();
  }

  /** Ends the session for good. */
  stop(): void {
    this.stopped = true;
    window.removeEventListener("pagehide", this.leave);
    this.drop();
    this.listener.media(null);
  }

  /** Something changed for the better (the camera came back): does not wait for the next try. */
  retryNow(): void {
    if (this.stopped || this.retry === undefined) return;
    this.backoff.reset();
    void this.connect();
  }

  private readonly leave = () => this.drop();

  private drop(): void {
    clearTimeout(this.retry);
    this.retry = undefined;
    clearInterval(this.watch);
    this.aborter.abort();
    this.session?.close();
    this.session = null;
  }

  private async connect(): Promise<void> {
    this.drop();
    this.aborter = new AbortController();
    const signal = this.aborter.signal;
    if (this.phase !== "waiting" && this.phase !== "stalled") this.tell("connecting", null);
    try {
      const session = await openWhep(this.cameraId, this.stream, signal);
      if (signal.aborted) {
        session.close();
        return;
      }
      this.session = session;
      this.listener.media(session.media);
      this.follow(session);
    } catch (error) {
      if (isAbort(error) || this.stopped) return;
      const problem = error instanceof Problem ? error : new Problem(0, "webrtc", "", String(error));
      if (isUnplayable(problem)) this.tell("unplayable", problem);
      else this.again(problem);
    }
  }

  private follow(session: WhepSession): void {
    const { connection } = session;
    connection.addEventListener("connectionstatechange", () => {
      if (this.session === session && connection.connectionState === "failed") this.again(null);
    });
    const stalls = new StallWatch(performance.now());
    let lastBytes = 0;
    let lastAtMs = performance.now();
    this.watch = setInterval(async () => {
      const report = await connection.getStats();
      if (this.session !== session) return;
      const video = inboundVideo(report);
      const now = performance.now();
      const verdict = stalls.observe(video?.framesDecoded ?? 0, now);
      if (verdict === "lost") {
        this.again(null);
        return;
      }
      if (verdict === "live") this.backoff.reset();
      if (verdict !== "waiting") this.tell(verdict, null);
      if (video) {
        const bytes = video.bytesReceived ?? 0;
        this.listener.figures({
          fps: video.framesPerSecond ?? 0,
          bitrateBps: ((bytes - lastBytes) * 8_000) / Math.max(1, now - lastAtMs),
          width: video.frameWidth ?? 0,
          height: video.frameHeight ?? 0,
          packetsLost: video.packetsLost ?? 0,
        });
        lastBytes = bytes;
      }
      lastAtMs = now;
    }, WATCH_EVERY_MS);
  }

  /** The picture is on the screen: sooner known from the video element than from the next second's figures. */
  shown(): void {
    if (this.session) this.tell("live", null);
  }

  private again(problem: Problem | null): void {
    this.drop();
    if (this.stopped) return;
    this.tell("waiting", problem);
    const fromServerMs = (problem?.retryAfterS ?? 0) * 1_000;
    this.retry = setTimeout(() => void this.connect(), Math.max(fromServerMs, this.backoff.nextMs()));
  }

  private tell(phase: LivePhase, problem: Problem | null): void {
    this.phase = phase;
    this.listener.phase(phase, problem);
  }
}

type InboundVideo = RTCInboundRtpStreamStats;

function inboundVideo(report: RTCStatsReport): InboundVideo | null {
  let found: InboundVideo | null = null;
  report.forEach((entry: RTCStats) => {
    if (entry.type === "inbound-rtp" && (entry as InboundVideo).kind === "video") found = entry as InboundVideo;
  });
  return found;
}
