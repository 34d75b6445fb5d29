import { Problem, problemOf, unreachable } from "./problem";
import type { Tokens } from "./types";

/** What is known of a log-in. Lives in memory and in the tab's session storage, so that a reload keeps it. */
export interface SessionState {
  username: string;
  accessToken: string;
  refreshToken: string;
  /** When the access token ends, ms since the Unix epoch by this machine's clock. */
  expiresAtMs: number;
}

/** Between tabs: a tab asks, one that is logged in tells. */
type Message = { kind: "ask" } | { kind: "tell"; state: SessionState; replaces: string } | { kind: "end" };

export interface SessionSurroundings {
  fetch: typeof fetch;
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  channel: Pick<BroadcastChannel, "postMessage" | "onmessage"> | null;
  /** Runs `work` while no other tab does. */
  exclusively: <T>(work: () => Promise<T>) => Promise<T>;
  nowMs: () => number;
  onChange: (state: SessionState | null) => void;
}

const STORAGE_KEY = "vms.session";
const TOKEN_PATH = "/api/v1/auth/token";
// Renewed this long before its end, so that a token does not end on its way to the server.
const RENEW_BEFORE_MS = 60_000;

/**
 * The log-in of this browser. A refresh token is good for one use, and a second use ends the session on the server
 * (the token may have been stolen), so tabs, of which a duplicated one starts with a copy of its original's storage,
 * renew one at a time and tell each other.
 */
export class Session {
  private state: SessionState | null;
  private renewal: Promise<SessionState | null> | null = null;
  /** Whether the last log-in ended because the server said so, not because somebody logged out. */
  endedByServer = false;

  constructor(private readonly around: SessionSurroundings) {
    this.state = readState(around.storage);
    if (around.channel) {
      around.channel.onmessage = (event: MessageEvent<Message>) => this.hear(event.data);
      if (!this.state) around.channel.postMessage({ kind: "ask" } satisfies Message);
    }
  }

  get current(): SessionState | null {
    return this.state;
  }

  /** Raises Problem when the server refuses or does not answer. */
  async logIn(username: string, password: string, otp?: string): Promise<void> {
    const form = new URLSearchParams({ grant_type: "password", username, password });
    if (otp) form.set("otp", otp);
    this.set(await this.ask(form, username), "");
  }

  /** Forgets the log-in here and in the other tabs, and tells the server, as far as it can be reached. */
  async logOut(): Promise<void> {
    const token = this.state?.accessToken;
    this.endedByServer = false;
    this.around.channel?.postMessage({ kind: "end" } satisfies Message);
    this.drop();
    if (!token) return;
    try {
      await this.around.fetch("/api/v1/auth/logout", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    } catch {
      // The tokens are gone from this browser, which is what was asked for.
    }
  }

  /** The server does not know the log-in any more. */
  end(): void {
    if (!this.state) return;
    this.endedByServer = true;
    this.drop();
  }

  /** A token that is good for a while yet; null when nobody is logged in. `refused` is one that the server refused. */
  async token(refused?: string): Promise<string | null> {
    const state = this.state;
    if (!state) return null;
    const stale = state.accessToken === refused || state.expiresAtMs - this.around.nowMs() < RENEW_BEFORE_MS;
    if (!stale) return state.accessToken;
    this.renewal ??= this.renew(refused).finally(() => {
      this.renewal = null;
    });
    return (await this.renewal)?.accessToken ?? null;
  }

  private renew(refused: string | undefined): Promise<SessionState | null> {
    return this.around.exclusively(async () => {
      // Another tab may have renewed while this one waited: let its message in first.
      await new Promise((resolve) => setTimeout(resolve, 0));
      const state = this.state;
      if (!state) return null;
      const fresh = state.accessToken !== refused && state.expiresAtMs - this.around.nowMs() >= RENEW_BEFORE_MS;
      if (fresh) return state;
      const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: state.refreshToken });
      try {
        this.set(await this.ask(form, state.username), state.refreshToken);
      } catch (error) {
        if (!(error instanceof Problem) || error.isTemporary) {
          // The old access token may still be good; the server will say.
          return state;
        }
        this.end();
      }
      return this.state;
    });
  }

  private async ask(form: URLSearchParams, username: string): Promise<SessionState> {
    let response: Response;
    try {
      response = await this.around.fetch(TOKEN_PATH, { method: "POST", body: form });
    } catch {
      throw unreachable();
    }
    if (!response.ok) throw await problemOf(response);
    const tokens = (await response.json()) as Tokens;
    return {
      username,
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
      expiresAtMs: this.around.nowMs() + tokens.expires_in * 1_000,
    };
  }

  private set(state: SessionState, replaces: string): void {
    this.adopt(state);
    this.around.channel?.postMessage({ kind: "tell", state, replaces } satisfies Message);
  }

  private adopt(state: SessionState): void {
    this.state = state;
    this.around.storage.setItem(STORAGE_KEY, JSON.stringify(state));
    this.around.onChange(state);
  }

  private drop(): void {
    this.state = null;
    this.around.storage.removeItem(STORAGE_KEY);
    this.around.onChange(null);
  }

  private hear(message: Message): void {
    if (message.kind === "end") {
      if (this.state) this.drop();
    } else if (message.kind === "ask") {
      if (this.state) {
        const state = this.state;
        this.around.channel?.postMessage({ kind: "tell", state, replaces: "" } satisfies Message);
      }
    } else if (!this.state || this.state.refreshToken === message.replaces) {
      this.adopt(message.state);
    }
  }
}

function readState(storage: SessionSurroundings["storage"]): SessionState | null {
  try {
    const found = JSON.parse(storage.getItem(STORAGE_KEY) ?? "null") as Partial<SessionState> | null;
    if (found && typeof found.accessToken === "string" && typeof found.refreshToken === "string") {
      return {
        username: String(found.username ?? ""),
        accessToken: found.accessToken,
        refreshToken: found.refreshToken,
        expiresAtMs: Number(found.expiresAtMs) || 0,
      };
    }
  } catch {
    // Unreadable storage is the same as none.
  }
  return null;
}
