import { isAbort, Problem } from "@/shared/api/problem";
import { serverWatch } from "@/shared/api/server-watch";
import type { StreamChoice } from "@/shared/api/types";
import { INITIAL, type LiveCommand, type LiveEvent, type LiveState, step } from "./live-machine";
import { type LiveStatistics, readReport, StatisticsReader } from "./statistics";
import { isKnown, openWhep, resizeWhep, type WhepSession } from "./whep";

export interface LiveListener {
  state: (state: LiveState) => void;
  /**
   * The stream to show, and what the server calls its session; null once the session is over for good. A lost one stays,
   * so that its last picture does.
   */
  media: (media: MediaStream | null, name: string | null) => void;
  statistics: (statistics: LiveStatistics | null) => void;
}

const SAMPLE_EVERY_MS = 1_000;
const ANSWER_WITHIN_MS = 10_000;
// A size that is being changed by dragging is told once it stands.
const RESIZED_AFTER_MS = 250;

/** Keeps one camera's live picture coming until stopped: carries out what the state machine decides. */
export class LiveSession {
  private state: LiveState = INITIAL;
  private session: WhepSession | null = null;
  private aborter = new AbortController();
  private sampler: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private unsubscribe = () => {};
  private resized: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(
    private readonly cameraId: string,
    readonly stream: StreamChoice,
    readonly sound: boolean,
    private heightPx: number,
    private readonly listener: LiveListener,
  ) {}

  start(): void {
    window.addEventListener("pagehide", this.leave);
    window.addEventListener("online", this.networkIsBack);
    document.addEventListener("visibilitychange", this.networkIsBack);
    this.unsubscribe = serverWatch.subscribe(() => this.take({ type: "wake", reason: "server" }));
    this.take({ type: "start" });
  }

  /** Ends the session for good. */
  stop(): void {
    if (this.stopped) return;
    this.take({ type: "stop" });
    this.stopped = true;
    window.removeEventListener("pagehide", this.leave);
    window.removeEventListener("online", this.networkIsBack);
    document.removeEventListener("visibilitychange", this.networkIsBack);
    this.unsubscribe();
    this.listener.media(null, null);
  }

  /** The camera came back: does not wait for the next try. */
  cameraIsBack(): void {
    this.take({ type: "wake", reason: "camera" });
  }

  /** The picture is shown that high now. */
  resize(heightPx: number): void {
    if (heightPx === this.heightPx) return;
    this.heightPx = heightPx;
    if (this.stream !== "auto") return;
    clearTimeout(this.resized);
    this.resized = setTimeout(() => this.tellHeight(heightPx), RESIZED_AFTER_MS);
  }

  private tellHeight(heightPx: number): void {
    if (this.session) void resizeWhep(this.session, heightPx);
  }

  /** The picture is on the screen: sooner known from the video element than from the next second's figures. */
  shown(): void {
    if (this.session) this.take({ type: "shown", attempt: this.state.attempt });
  }

  private readonly leave = () => this.close();
  private readonly networkIsBack = () => {
    if (document.visibilityState === "visible") this.take({ type: "wake", reason: "network" });
  };

  private take(event: LiveEvent): void {
    if (this.stopped) return;
    const before = this.state;
    const { state, commands } = step(before, event, performance.now(), Math.random());
    this.state = state;
    if (state.retryAtMs !== before.retryAtMs) this.plan(state.retryAtMs);
    for (const command of commands) this.carryOut(command);
    if (this.state !== before) this.listener.state(this.state);
  }

  private plan(atMs: number | null): void {
    clearTimeout(this.retry);
    if (atMs === null) return;
    // Timers may fire a little early by this clock.
    this.retry = setTimeout(() => this.take({ type: "due" }), Math.max(0, atMs - performance.now()) + 2);
  }

  private carryOut(command: LiveCommand): void {
    if (command === "close") this.close();
    else if (command === "check") void this.check();
    else void this.open();
  }

  private close(): void {
    clearInterval(this.sampler);
    clearTimeout(this.resized);
    this.aborter.abort();
    this.session?.close();
    this.session = null;
    this.listener.statistics(null);
  }

  private async open(): Promise<void> {
    this.close();
    const { attempt } = this.state;
    const aborter = new AbortController();
    this.aborter = aborter;
    const askedHeightPx = this.heightPx;
    const late = setTimeout(() => aborter.abort(new Problem(0, "unreachable", "", "")), ANSWER_WITHIN_MS);
    try {
      const session = await openWhep(this.cameraId, this.stream, this.sound, askedHeightPx, aborter.signal);
      if (aborter.signal.aborted || attempt !== this.state.attempt) {
        session.close();
        return;
      }
      this.session = session;
      if (this.stream === "auto" && this.heightPx !== askedHeightPx) this.tellHeight(this.heightPx);
      this.take({ type: "opened", attempt });
      this.follow(session, attempt);
      this.listener.media(session.media, nameOf(session));
    } catch (error) {
      const why = isAbort(error) ? aborter.signal.reason : error;
      if (isAbort(why)) return;
      const problem = why instanceof Problem ? why : new Problem(0, "webrtc", "", String(why));
      if (isUnanswered(problem)) serverWatch.lost();
      this.take({ type: "refused", attempt, problem });
    } finally {
      clearTimeout(late);
    }
  }

  private follow(session: WhepSession, attempt: number): void {
    const { connection } = session;
    const changed = () => this.take({ type: "connection", attempt, state: connection.connectionState });
    connection.addEventListener("connectionstatechange", changed);
    changed();
    const reader = new StatisticsReader();
    this.sampler = setInterval(async () => {
      const report = await connection.getStats();
      if (this.session !== session) return;
      const reading = readReport(report.values());
      this.take({ type: "frames", attempt, decoded: reading?.framesDecoded ?? 0 });
      if (reading && this.session === session) {
        this.listener.statistics(reader.take(reading, this.state.firstPictureMs));
      }
    }, SAMPLE_EVERY_MS);
  }

  /** Asks whether the session still lives where a picture is missing: a server that was restarted forgot it. */
  private async check(): Promise<void> {
    const { attempt } = this.state;
    const { signal } = this.aborter;
    if (!this.session) return;
    const known = await isKnown(this.session, signal);
    if (signal.aborted || known === true) return;
    if (known === null) serverWatch.lost();
    this.take({ type: "gone", attempt });
  }
}

/** Whether nobody, or only a proxy in front of the server, answered. */
function isUnanswered(problem: Problem): boolean {
  return problem.code === "unreachable" || problem.status === 502 || problem.status === 504;
}

/** What the server calls a session: the last part of its address. */
function nameOf(session: WhepSession): string | null {
  const last = session.location?.split("?")[0]?.split("/").at(-1) ?? "";
  return last === "" ? null : decodeURIComponent(last);
}
