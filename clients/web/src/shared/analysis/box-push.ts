import type { AnalysedFrame } from "@/shared/api/analysis-types";
import { cameraPath } from "@/shared/api/cameras";
import { session } from "@/shared/api/client";
import { Backoff } from "@/shared/media/backoff";

/** A picture as it is pushed; `rtp` is its timestamp in the live session that was named, null where it has none. */
export interface PushedFrame extends AnalysedFrame {
  rtp?: number | null;
}

export type BoxSocket = Pick<WebSocket, "send" | "close" | "readyState" | "onopen" | "onmessage" | "onclose">;

/** What the push needs of its surroundings, so that tests can do without a server and a clock. */
export interface BoxSurroundings {
  open: (address: string) => BoxSocket;
  token: () => Promise<string | null>;
  setTimeout: (work: () => void, ms: number) => unknown;
  clearTimeout: (timer: unknown) => void;
  random: () => number;
}

const FIRST_MS = 2_000;
const CEILING_MS = 60_000;
const OPEN = 1;
// The server's own close codes that another try does not mend: malformed, not permitted, no such camera.
const FINAL_CODES = new Set([4400, 4403, 4404]);

const BROWSER: BoxSurroundings = {
  open: (address) => new WebSocket(address),
  token: () => session.token(),
  setTimeout: (work, ms) => setTimeout(work, ms),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  random: Math.random,
};

/** What is followed in a camera's pictures, as it is understood; comes back by itself. */
export class BoxPush {
  private socket: BoxSocket | null = null;
  private timer: unknown = null;
  private stopped = false;
  private readonly backoff: Backoff;

  constructor(
    private readonly cameraId: string,
    /** The live session that the boxes shall lie on; null while there is none. */
    private live: string | null,
    private readonly listener: (frame: PushedFrame) => void,
    private readonly around: BoxSurroundings = BROWSER,
  ) {
    this.backoff = new Backoff(FIRST_MS, CEILING_MS, around.random);
  }

  async start(): Promise<void> {
    const token = await this.around.token();
    if (this.stopped) return;
    if (token === null) return this.again();
    const query = this.live === null ? "" : `?session=${encodeURIComponent(this.live)}`;
    const asked = this.live;
    const socket = this.around.open(addressOf(this.cameraId, query));
    this.socket = socket;
    socket.onopen = () => {
      // The token goes into a message, not into the address, which servers and proxies write down.
      socket.send(JSON.stringify({ token }));
      if (this.live !== asked) this.tell();
    };
    socket.onmessage = (message: MessageEvent) => {
      const frame = readFrame(message.data);
      if (!frame) return;
      // Not for being let in alone: a server that then fails must not be asked again and again.
      this.backoff.reset();
      this.listener(frame);
    };
    socket.onclose = (closed: CloseEvent) => {
      if (this.socket !== socket || this.stopped) return;
      this.socket = null;
      if (!FINAL_CODES.has(closed.code)) this.again();
    };
  }

  /** The picture comes by another session from now on. */
  follow(live: string | null): void {
    if (live === this.live) return;
    this.live = live;
    if (this.socket?.readyState === OPEN) this.tell();
  }

  stop(): void {
    this.stopped = true;
    this.around.clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
  }

  private tell(): void {
    if (this.live !== null) this.socket?.send(JSON.stringify({ session: this.live }));
  }

  private again(): void {
    this.around.clearTimeout(this.timer);
    this.timer = this.around.setTimeout(() => void this.start(), this.backoff.nextMs());
  }
}

function addressOf(cameraId: string, query: string): string {
  const { protocol, host } = window.location;
  const path = cameraPath(cameraId, "/boxes").replace("/api/v1", "/ws");
  return `${protocol === "https:" ? "wss" : "ws"}://${host}${path}${query}`;
}

function readFrame(data: unknown): PushedFrame | null {
  try {
    const found = JSON.parse(String(data)) as Partial<PushedFrame>;
    return Array.isArray(found.tracks) && typeof found.at === "string" ? (found as PushedFrame) : null;
  } catch {
    // Not ours to understand.
    return null;
  }
}
