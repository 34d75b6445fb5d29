import type { CameraEvent } from "@/shared/api/types";
import { Backoff } from "@/shared/media/backoff";

/** What the push needs of its surroundings, so that tests can do without a server and a clock. */
export interface PushSurroundings {
  open: () => PushSocket;
  token: () => Promise<string | null>;
  setTimeout: (work: () => void, ms: number) => unknown;
  clearTimeout: (timer: unknown) => void;
  random: () => number;
}

export type PushSocket = Pick<WebSocket, "send" | "close" | "onopen" | "onmessage" | "onclose">;

export interface PushListener {
  /** Something happened, or is told anew. */
  event: (event: CameraEvent) => void;
  /** From now on nothing is missed: what happened before is to be asked for. */
  ready: () => void;
  /** Nothing is pushed any more, for now: ask every so often. */
  lost: () => void;
}

const FIRST_MS = 1_000;
const CEILING_MS = 30_000;
// Of a connection that a middlebox swallowed nothing would be heard.
const READY_WITHIN_MS = 10_000;
// The server's own close codes that another try does not mend: malformed, not permitted.
const FINAL_CODES = new Set([4400, 4403]);

/** Events as they happen over /ws/events; comes back by itself. */
export class EventPush {
  private socket: PushSocket | null = null;
  private timer: unknown = null;
  private stopped = false;
  private readonly backoff: Backoff;

  constructor(
    private readonly filter: { cameraId: string; type: string },
    private readonly listener: PushListener,
    private readonly around: PushSurroundings,
  ) {
    this.backoff = new Backoff(FIRST_MS, CEILING_MS, around.random);
  }

  async start(): Promise<void> {
    const token = await this.around.token();
    if (this.stopped) return;
    if (token === null) return this.again();
    const socket = this.around.open();
    this.socket = socket;
    this.wait(READY_WITHIN_MS, () => socket.close());
    socket.onopen = () => {
      // The token goes into a message, not into the address, which servers and proxies write down.
      const { cameraId, type } = this.filter;
      const named = (value: string) => (value === "" ? [] : [value]);
      socket.send(JSON.stringify({ token, camera_id: named(cameraId), type: named(type) }));
    };
    socket.onmessage = (message: MessageEvent) => this.hear(message.data);
    socket.onclose = (closed: CloseEvent) => {
      if (this.socket !== socket || this.stopped) return;
      this.socket = null;
      this.listener.lost();
      if (FINAL_CODES.has(closed.code)) this.around.clearTimeout(this.timer);
      else this.again();
    };
  }

  stop(): void {
    this.stopped = true;
    this.around.clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
  }

  private hear(data: unknown): void {
    let message: Partial<CameraEvent> & { ready?: boolean };
    try {
      message = JSON.parse(String(data)) as typeof message;
    } catch {
      // Not ours to understand.
      return;
    }
    if (message.ready) {
      this.around.clearTimeout(this.timer);
      this.backoff.reset();
      this.listener.ready();
    } else if (typeof message.id === "string" && typeof message.start === "string") {
      this.listener.event(message as CameraEvent);
    }
  }

  private again(): void {
    this.wait(this.backoff.nextMs(), () => void this.start());
  }

  private wait(ms: number, work: () => void): void {
    this.around.clearTimeout(this.timer);
    this.timer = this.around.setTimeout(work, ms);
  }
}
