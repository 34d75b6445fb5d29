import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BoxPush, type BoxSocket, type PushedFrame } from "./box-push";

class Socket implements BoxSocket {
  readyState = 0 as WebSocket["readyState"];
  onopen: WebSocket["onopen"] = null;
  onmessage: WebSocket["onmessage"] = null;
  onclose: WebSocket["onclose"] = null;
  readonly sent: unknown[] = [];
  closed = false;

  constructor(readonly address: string) {}
  send(text: Parameters<WebSocket["send"]>[0]): void {
    this.sent.push(JSON.parse(String(text)));
  }
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.call({} as WebSocket, {} as Event);
  }
  hear(data: unknown): void {
    this.onmessage?.call({} as WebSocket, { data } as MessageEvent);
  }
  end(code: number): void {
    this.onclose?.call({} as WebSocket, { code } as CloseEvent);
  }
}

const setUp = (live: string | null) => {
  const sockets: Socket[] = [];
  const timers: (() => void)[] = [];
  const waitsMs: number[] = [];
  const frames: PushedFrame[] = [];
  const push = new BoxPush("cam 1", live, (frame) => frames.push(frame), {
    open: (address) => {
      const made = new Socket(address);
      sockets.push(made);
      return made;
    },
    token: async () => "token",
    setTimeout: (work, ms) => {
      waitsMs.push(ms);
      return timers.push(work);
    },
    clearTimeout: () => {},
    random: () => 0.5,
  });
  return { push, sockets, timers, waitsMs, frames };
};

beforeEach(() => vi.stubGlobal("window", { location: { protocol: "https:", host: "vms.example" } }));
afterEach(() => vi.unstubAllGlobals());

describe("boxes as they are understood", () => {
  it("are asked for with the session that they lie on, and with the token in a message", async () => {
    const { push, sockets } = setUp("abc");
    await push.start();
    expect(sockets[0]?.address).toBe("wss://vms.example/ws/cameras/cam%201/boxes?session=abc");
    sockets[0]?.open();
    expect(sockets[0]?.sent).toEqual([{ token: "token" }]);
    push.follow("def");
    push.follow("def");
    expect(sockets[0]?.sent.at(-1)).toEqual({ session: "def" });
    expect(sockets[0]?.sent).toHaveLength(2);
  });
  it("name a session that came while the connection was made", async () => {
    const { push, sockets } = setUp(null);
    await push.start();
    push.follow("late");
    sockets[0]?.open();
    expect(sockets[0]?.sent).toEqual([{ token: "token" }, { session: "late" }]);
  });
  it("are told on; what is not understood is passed over", async () => {
    const { push, sockets, frames } = setUp(null);
    await push.start();
    for (const data of ["{", '{"ready":true}', '{"at":"2026-11-23T10:13:00Z","tracks":[]}', "null"]) {
      sockets[0]?.hear(data);
    }
    expect(frames).toHaveLength(1);
  });
  it("come back after a loss, but not where they are refused, nor after the end", async () => {
    const { push, sockets, timers } = setUp(null);
    await push.start();
    sockets[0]?.end(1006);
    expect(timers).toHaveLength(1);
    timers[0]?.();
    await vi.waitFor(() => expect(sockets).toHaveLength(2));
    sockets[1]?.end(4403);
    expect(timers).toHaveLength(1);
    push.stop();
    sockets[1]?.end(1006);
    expect(timers).toHaveLength(1);
  });
  it("wait longer and longer for a server that lets them in and then fails, and begin anew once a picture came", async () => {
    const { push, sockets, timers, waitsMs } = setUp(null);
    await push.start();
    for (let times = 0; times < 3; times += 1) {
      sockets[times]?.hear('{"ready":true}');
      if (times === 2) sockets[times]?.hear('{"at":"2026-11-23T10:13:00Z","tracks":[]}');
      sockets[times]?.end(1006);
      timers[times]?.();
      await vi.waitFor(() => expect(sockets).toHaveLength(times + 2));
    }
    expect(waitsMs).toEqual([2_000, 4_000, 2_000]);
  });
});
