const ASK_EVERY_MS = 1_500;
const ANSWER_WITHIN_MS = 3_000;
// A request that was under way when the server came back may fail as late as this.
const LATE_MS = 15_000;

/** What the watch needs of the world. */
export interface ServerWatchParts {
  /** Resolves with whether the server answers. */
  ask: () => Promise<boolean>;
  /** Calls back after so many milliseconds. */
  after: (ms: number, then: () => void) => void;
  nowMs: () => number;
}

/** Asks on behalf of everybody whether a server that did not answer is back, and tells it once when it is. */
export class ServerWatch {
  private readonly listeners = new Set<() => void>();
  private asking = false;
  private wasAway = false;
  private backAtMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: ServerWatchParts) {}

  /** Calls `back` whenever the server is back; returns how to stop that. */
  subscribe(back: () => void): () => void {
    this.listeners.add(back);
    return () => this.listeners.delete(back);
  }

  /** Somebody got no answer. */
  lost(): void {
    if (this.asking) return;
    this.asking = true;
    this.wasAway = false;
    this.parts.after(ASK_EVERY_MS, this.ask);
  }

  private readonly ask = async (): Promise<void> => {
    if (this.listeners.size === 0) {
      this.asking = false;
      return;
    }
    if (!(await this.parts.ask())) {
      this.wasAway = true;
      this.parts.after(ASK_EVERY_MS, this.ask);
      return;
    }
    this.asking = false;
    if (this.wasAway) this.backAtMs = this.parts.nowMs();
    // A server that answers this and not what somebody else asked is not back: their waits are right.
    if (this.parts.nowMs() - this.backAtMs > LATE_MS) return;
    for (const back of [...this.listeners]) back();
  };
}

/** The watch over the server that this page comes from. */
export const serverWatch = new ServerWatch({
  ask: async () => {
    try {
      return (await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })).ok;
    } catch {
      return false;
    }
  },
  after: (ms, then) => void setTimeout(then, ms),
  nowMs: () => performance.now(),
});
