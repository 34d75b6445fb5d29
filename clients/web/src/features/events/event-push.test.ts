import { describe, expect, it } from "vitest";
import { EventPush, type PushSocket } from "./event-push";

interface FakeSocket extends PushSocket {
  sent: string[];
  closed: boolean;
}

function stage(token: string | null = "T") {
  const sockets: FakeSocket[] = [];
  const timers: { work: () => void; ms: number }[] = [];
  const told: string[] = [];
  const push = new EventPush(
    { cameraId: "c", type: "" },
    {
      event: (event) => told.push(event.id),
      ready: () => told.push("ready"),
      lost: () => told.push("lost"),
    },
    {
      open: () => {
        const socket = {
          sent: [] as string[],
          closed: false,
          onopen: null,
          onmessage: null,
          onclose: null,
        } as unknown as FakeSocket;
        socket.send = (text) => void socket.sent.push(String(text));
        socket.close = () => {
          socket.closed = true;
        };
        sockets.push(socket);
        return socket;
      },
      token: async () => token,
      setTimeout: (work, ms) => timers[timers.push({ work, ms }) - 1],
      clearTimeout: (timer) => {
        const index = timers.indexOf(timer as (typeof timers)[0]);
        if (index >= 0) timers.splice(index, 1);
      },
      random: () => 0.5,
    },
  );
  const hear = (data: unknown) =>
    sockets
      .at(-1)
      ?.onmessage?.call(
        {} as WebSocket,
        { data: typeof data === "string" ? data : JSON.stringify(data) } as MessageEvent,
      );
  const close = (code: number) => sockets.at(-1)?.onclose?.call({} as WebSocket, { code } as CloseEvent);
  const open = () => sockets.at(-1)?.onopen?.call({} as WebSocket, {} as Event);
  return { push, sockets, timers, told, hear, close, open };
}

describe("the push of events", () => {
  it("logs in by its first message and hands on what happens", async () => {
    const { push, sockets, timers, told, hear, open } = stage();
    await push.start();
    open();
    expect(JSON.parse(sockets[0]?.sent[0] ?? "")).toEqual({ token: "T", camera_id: ["c"], type: [] });
    hear({ ready: true });
    hear({ id: "1", start: "2026-11-23T10:00:00.000000Z" });
    hear("no JSON");
    hear({ odd: 1 });
    expect(told).toEqual(["ready", "1"]);
    expect(timers).toEqual([]);
  });
  it("comes back, later each time, until it is ready again", async () => {
    const { push, sockets, timers, told, hear, close } = stage();
    await push.start();
    hear({ ready: true });
    close(1006);
    expect(timers.map(({ ms }) => ms)).toEqual([1_000]);
    timers[0]?.work();
    await Promise.resolve();
    close(1013);
    expect(timers.map(({ ms }) => ms)).toEqual([2_000]);
    timers[0]?.work();
    await Promise.resolve();
    hear({ ready: true });
    close(1001);
    expect(timers.map(({ ms }) => ms)).toEqual([1_000]);
    expect(sockets).toHaveLength(3);
    expect(told.filter((word) => word === "lost")).toHaveLength(3);
  });
  it("does not come back where it is refused", async () => {
    const { push, timers, told, close } = stage();
    await push.start();
    close(4403);
    expect(told).toEqual(["lost"]);
    expect(timers).toEqual([]);
  });
  it("gives up a connection that never becomes ready", async () => {
    const { push, sockets, timers } = stage();
    await push.start();
    expect(timers.map(({ ms }) => ms)).toEqual([10_000]);
    timers[0]?.work();
    expect(sockets[0]?.closed).toBe(true);
  });
  it("says nothing after it was stopped", async () => {
    const { push, timers, told, close } = stage();
    await push.start();
    push.stop();
    close(1000);
    expect([told, timers]).toEqual([[], []]);
  });
});
