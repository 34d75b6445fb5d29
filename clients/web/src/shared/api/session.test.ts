import { beforeEach, describe, expect, it } from "vitest";
import { fileName } from "./exports";
import { Problem, problemOf, retryAfterSeconds } from "./problem";
import { Session, type SessionState, type SessionSurroundings } from "./session";

/** A server that hands out numbered tokens; a refresh token is good once. */
class FakeServer {
  issued = 0;
  good = "";
  calls: string[] = [];
  down = false;
  fetch = async (path: string | URL | Request, init?: RequestInit): Promise<Response> => {
    this.calls.push(`${String(path)} ${String(init?.body ?? "")}`);
    if (this.down) throw new TypeError("failed to fetch");
    const form = new URLSearchParams(String(init?.body ?? ""));
    if (!String(path).endsWith("/auth/token")) return new Response(null, { status: 204 });
    const isGood =
      form.get("grant_type") === "password"
        ? form.get("password") === "right"
        : form.get("refresh_token") === this.good;
    if (!isGood) {
      const document = { type: "urn:vms:problem:invalid-credentials", title: "Not logged in", detail: "wrong" };
      return Response.json(document, { status: 401 });
    }
    this.issued += 1;
    this.good = `r${this.issued}`;
    return Response.json({
      access_token: `a${this.issued}`,
      refresh_token: this.good,
      token_type: "bearer",
      expires_in: 900,
    });
  };
}

/** Tabs of one browser: messages reach every other tab. */
class FakeBrowser {
  tabs: { onmessage: ((event: MessageEvent) => void) | null }[] = [];
  nowMs = 0;
  private queue: Promise<unknown> = Promise.resolve();
  tab(server: FakeServer, stored: SessionState | null = null): { session: Session; changes: (SessionState | null)[] } {
    const storage = new Map<string, string>();
    if (stored) storage.set("vms.session", JSON.stringify(stored));
    const changes: (SessionState | null)[] = [];
    const channel: SessionSurroundings["channel"] = {
      onmessage: null,
      postMessage: (data: unknown) => {
        for (const other of this.tabs) if (other !== channel) other.onmessage?.({ data } as MessageEvent);
      },
    };
    this.tabs.push(channel as (typeof this.tabs)[number]);
    const session = new Session({
      fetch: server.fetch as typeof fetch,
      storage: {
        getItem: (key) => storage.get(key) ?? null,
        setItem: (key, value) => void storage.set(key, value),
        removeItem: (key) => void storage.delete(key),
      },
      channel,
      exclusively: <T>(work: () => Promise<T>) => {
        const run = this.queue.then(work);
        this.queue = run.catch(() => undefined);
        return run;
      },
      nowMs: () => this.nowMs,
      onChange: (state) => changes.push(state),
    });
    return { session, changes };
  }
}

describe("the log-in", () => {
  let server: FakeServer;
  let browser: FakeBrowser;
  beforeEach(() => {
    server = new FakeServer();
    browser = new FakeBrowser();
  });

  it("is refused with the server's problem", async () => {
    const { session } = browser.tab(server);
    await expect(session.logIn("admin", "wrong")).rejects.toMatchObject({ status: 401, code: "invalid-credentials" });
    expect(await session.token()).toBeNull();
  });

  it("renews its token shortly before the end, once for everybody who asks", async () => {
    const { session } = browser.tab(server);
    await session.logIn("admin", "right");
    expect(await session.token()).toBe("a1");
    browser.nowMs = 850_000;
    expect(await Promise.all([session.token(), session.token(), session.token()])).toEqual(["a2", "a2", "a2"]);
    expect(server.issued).toBe(2);
  });

  it("renews a token that the server refused", async () => {
    const { session } = browser.tab(server);
    await session.logIn("admin", "right");
    expect(await session.token("a1")).toBe("a2");
    expect(await session.token("a1")).toBe("a2");
  });

  it("survives a duplicated tab: a refresh token is never used twice", async () => {
    const first = browser.tab(server);
    await first.session.logIn("admin", "right");
    const second = browser.tab(server, first.session.current);
    browser.nowMs = 850_000;
    const both = await Promise.all([first.session.token(), second.session.token()]);
    expect(both).toEqual(["a2", "a2"]);
    expect(server.issued).toBe(2);
  });

  it("reaches a new tab, and ends in all of them", async () => {
    const first = browser.tab(server);
    await first.session.logIn("admin", "right");
    const second = browser.tab(server);
    expect(await second.session.token()).toBe("a1");
    await second.session.logOut();
    expect(first.session.current).toBeNull();
    expect(first.changes.at(-1)).toBeNull();
    expect(server.calls.at(-1)).toContain("/auth/logout");
  });

  it("ends when the server does not know it any more, not when it cannot be reached", async () => {
    const { session } = browser.tab(server);
    await session.logIn("admin", "right");
    browser.nowMs = 850_000;
    server.down = true;
    expect(await session.token()).toBe("a1");
    server.down = false;
    server.good = "somebody else's";
    expect(await session.token()).toBeNull();
    expect(session.endedByServer).toBe(true);
  });

  it("begins without one when the storage holds nonsense", () => {
    const { session } = browser.tab(server, { accessToken: 7 } as unknown as SessionState);
    expect(session.current).toBeNull();
  });
});

describe("problems", () => {
  it("are read from problem documents", async () => {
    const body = {
      type: "urn:vms:problem:validation",
      title: "The request is not valid",
      detail: "d",
      errors: [{ pointer: "/name", detail: "too long" }],
    };
    const problem = await problemOf(Response.json(body, { status: 422 }));
    expect(problem).toMatchObject({ status: 422, code: "validation", detail: "d", isTemporary: false });
    expect(problem.fields.get("/name")).toBe("too long");
  });
  it("are made up from the status where there is no document", async () => {
    const problem = await problemOf(
      new Response("<html>", { status: 502, statusText: "Bad Gateway", headers: { "Retry-After": "7" } }),
    );
    expect(problem).toMatchObject({ status: 502, code: "", title: "Bad Gateway", retryAfterS: 7, isTemporary: true });
    expect(problem).toBeInstanceOf(Problem);
  });
  it("say how long to wait, in seconds or as a date", () => {
    expect(retryAfterSeconds("12", 0)).toBe(12);
    expect(retryAfterSeconds("Thu, 01 Jan 1970 00:01:00 GMT", 30_000)).toBe(30);
    expect(retryAfterSeconds("later", 0)).toBeNull();
    expect(retryAfterSeconds(null, 0)).toBeNull();
  });
});

describe("names of downloads", () => {
  it("come from Content-Disposition, UTF-8 first", () => {
    expect(fileName("attachment; filename=\"a.mp4\"; filename*=UTF-8''P%C3%A1tio.mp4")).toBe("Pátio.mp4");
    expect(fileName('attachment; filename="a b.mp4"')).toBe("a b.mp4");
    expect(fileName("attachment; filename=\"a.mp4\"; filename*=UTF-8''%E0%A4%A")).toBe("a.mp4");
    expect(fileName(null)).toBeNull();
  });
});
