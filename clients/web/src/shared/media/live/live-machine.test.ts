import { describe, expect, it } from "vitest";
import { Problem } from "@/shared/api/problem";
import { INITIAL, type LiveCommand, type LiveEvent, type LiveState, step, stillsCause, waitMs } from "./live-machine";

/** Plays events to one machine; chance is always one half, so a wait is three quarters of its length. */
class Player {
  state: LiveState = INITIAL;
  commands: LiveCommand[] = [];
  nowMs = 1_000_000;

  /** Lets `ms` pass, then takes the event. */
  at(ms: number, event: LiveEvent): this {
    this.nowMs += ms;
    const { state, commands } = step(this.state, event, this.nowMs, 0.5);
    this.state = state;
    this.commands = commands;
    return this;
  }
  frames(ms: number, decoded: number): this {
    return this.at(ms, { type: "frames", attempt: this.state.attempt, decoded });
  }
  connection(ms: number, state: RTCPeerConnectionState): this {
    return this.at(ms, { type: "connection", attempt: this.state.attempt, state });
  }
  refused(ms: number, problem: Problem): this {
    return this.at(ms, { type: "refused", attempt: this.state.attempt, problem });
  }
  opened(): this {
    return this.at(100, { type: "opened", attempt: this.state.attempt });
  }
  start(): this {
    return this.at(0, { type: "start" });
  }
  live(): this {
    return this.start().opened().connection(50, "connected").frames(850, 12);
  }
  get retryInMs(): number | null {
    return this.state.retryAtMs === null ? null : this.state.retryAtMs - this.nowMs;
  }
}

const unreachable = new Problem(0, "unreachable", "", "");
const busy = new Problem(503, "too-many-viewers", "", "enough viewers", 20);

describe("a live picture", () => {
  it("connects, lives, and knows when its first picture came", () => {
    const player = new Player().start();
    expect(player.commands).toEqual(["open"]);
    expect(player.state.phase).toBe("connecting");
    player.opened().connection(50, "connected");
    expect(player.state.phase).toBe("connecting");
    player.at(200, { type: "shown", attempt: player.state.attempt });
    expect(player.state).toMatchObject({ phase: "live", firstPictureMs: 350, retryAtMs: null });
    player.frames(1_000, 20);
    expect(player.state.firstPictureMs).toBe(350);
  });
  it("is stalled after two seconds without a new frame, asks after its session once, and lives again", () => {
    const player = new Player().live().frames(1_000, 12);
    expect(player.state.phase).toBe("live");
    player.frames(1_000, 12);
    expect(player.state.phase).toBe("stalled");
    expect(player.commands).toEqual(["check"]);
    player.frames(1_000, 12);
    expect(player.commands).toEqual([]);
    player.frames(1_000, 13);
    expect(player.state.phase).toBe("live");
  });
  it("is tried for anew after ten seconds without a frame", () => {
    const player = new Player().live();
    for (let second = 1; second < 10; second += 1) player.frames(1_000, 12);
    expect(player.state.phase).toBe("stalled");
    player.frames(1_000, 12);
    expect(player.state.phase).toBe("waiting");
    expect(player.commands).toEqual(["close"]);
    expect(player.retryInMs).toBeLessThanOrEqual(1_000);
  });
  it("does not take a pause of the page for a stalled picture", () => {
    expect(new Player().live().frames(60_000, 900).state.phase).toBe("live");
  });
});

describe("reconnecting", () => {
  it("begins at once where the server forgot the session or the connection failed", () => {
    const forgotten = new Player().live();
    forgotten.at(0, { type: "gone", attempt: forgotten.state.attempt });
    const failed = new Player().live().connection(0, "failed");
    for (const player of [forgotten, failed]) {
      expect(player.state.phase).toBe("waiting");
      expect(player.commands).toEqual(["close"]);
      expect(player.retryInMs).toBeLessThanOrEqual(1_000);
    }
  });
  it("bears an interruption of some seconds, during which frames may go on", () => {
    const player = new Player().live().connection(0, "disconnected");
    expect(player.commands).toEqual(["check"]);
    player.frames(1_000, 13).frames(1_000, 13);
    expect(player.state.phase).toBe("live");
    expect(player.connection(0, "connected").frames(2_000, 13).state.phase).toBe("stalled");
    const lost = new Player().live().connection(0, "disconnected").frames(1_000, 12).frames(1_000, 12);
    expect(lost.frames(1_000, 12).state.phase).toBe("waiting");
  });
  it("waits longer and longer, spread, never more than half a minute", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((failures) => waitMs(failures, 1))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
    ]);
    expect(waitMs(3, 0)).toBe(4_000);
    const player = new Player().start();
    const waits: (number | null)[] = [];
    for (let tries = 0; tries < 7; tries += 1) {
      player.refused(10, unreachable);
      waits.push(player.retryInMs);
      player.at(player.retryInMs ?? 0, { type: "due" });
      expect(player.commands).toEqual(["open"]);
    }
    expect(waits).toEqual([750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]);
    player.opened().frames(500, 3);
    expect(player.refused(0, unreachable).retryInMs).toBe(750);
  });
  it("does not try before it is due", () => {
    const player = new Player().start().refused(10, unreachable);
    expect(player.at(700, { type: "due" }).commands).toEqual([]);
    expect(player.at(60, { type: "due" }).commands).toEqual(["open"]);
  });
  it("does not wait where the network is back, and little where the server is", () => {
    const waiting = () => {
      const player = new Player().start();
      for (let tries = 0; tries < 6; tries += 1) player.refused(10, unreachable).at(60_000, { type: "due" });
      return player.refused(10, unreachable);
    };
    expect(waiting().retryInMs).toBeGreaterThan(20_000);
    expect(waiting().at(5, { type: "wake", reason: "network" }).commands).toEqual(["open"]);
    const server = waiting().at(5, { type: "wake", reason: "server" });
    expect(server.retryInMs).toBeLessThanOrEqual(800);
    expect(server.state.failures).toBe(0);
    expect(waiting().at(5, { type: "wake", reason: "camera" }).retryInMs).toBeLessThanOrEqual(800);
  });
  it("begins anew where the network is back under a stalled picture, not under a live one", () => {
    const stalled = new Player().live().frames(2_000, 12).at(5, { type: "wake", reason: "network" });
    expect(stalled.commands).toEqual(["open"]);
    expect(stalled.state.phase).toBe("waiting");
    expect(new Player().live().at(5, { type: "wake", reason: "network" }).commands).toEqual([]);
  });
  it("ignores what earlier tries still tell, and everything after the end", () => {
    const player = new Player().live();
    const earlier = player.state.attempt;
    player.connection(0, "failed").at(1_000, { type: "due" });
    const before = player.state;
    expect(player.at(0, { type: "gone", attempt: earlier }).state).toBe(before);
    player.at(0, { type: "stop" });
    expect(player.commands).toEqual(["close"]);
    expect(player.at(0, { type: "shown", attempt: player.state.attempt }).state.phase).toBe("connecting");
    expect(player.at(60_000, { type: "due" }).commands).toEqual([]);
  });
});

describe("falling back to stills", () => {
  it("tells a missing decoder, a full server and a browser without WebRTC apart", () => {
    const of = (status: number, code = "") => stillsCause(new Problem(status, code, "", ""));
    expect([406, 415, 422].map((status) => of(status))).toEqual(["codec", "codec", "codec"]);
    expect([of(503, "too-many-viewers"), of(429, "exhausted"), of(503)]).toEqual(["busy", "busy", "busy"]);
    expect(of(503, "unavailable")).toBeNull();
    expect(of(0, "no-webrtc")).toBe("unsupported");
    expect([of(422, "webrtc"), of(409, "no-picture"), of(404), of(500), of(0, "unreachable")]).toEqual(
      Array(5).fill(null),
    );
  });
  it("happens where the server answers and no media passes; moving pictures are tried for behind them", () => {
    const player = new Player().start().opened();
    player.frames(3_000, 0);
    expect(player.state.phase).toBe("connecting");
    player.frames(3_000, 0);
    expect(player.state).toMatchObject({ phase: "stills", cause: "blocked" });
    player.at(player.retryInMs ?? 0, { type: "due" });
    expect(player.commands).toEqual(["open"]);
    expect(player.opened().state.phase).toBe("stills");
    expect(player.connection(10, "failed").state).toMatchObject({ phase: "stills", cause: "blocked" });
    player.at(player.retryInMs ?? 0, { type: "due" });
    expect(player.opened().connection(10, "connected").frames(500, 5).state).toMatchObject({
      phase: "live",
      cause: null,
    });
  });
  it("is not for a connection that stands without pictures", () => {
    const player = new Player().start().opened().connection(10, "connected");
    player.frames(7_000, 0);
    expect(player.state.phase).toBe("connecting");
    expect(player.frames(1_000, 0).state.phase).toBe("waiting");
  });
  it("honours Retry-After, whatever wakes it", () => {
    const player = new Player().start().refused(10, busy);
    expect(player.state).toMatchObject({ phase: "stills", cause: "busy", problem: busy });
    expect(player.retryInMs).toBe(20_400);
    for (const reason of ["network", "server", "camera"] as const) {
      player.at(1_000, { type: "wake", reason });
      expect(player.commands).toEqual([]);
    }
    expect(player.retryInMs).toBeGreaterThanOrEqual(17_000);
    expect(player.at(17_500, { type: "due" }).commands).toEqual(["open"]);
  });
  it("asks again for an undecodable camera now and then, for a browser without WebRTC never", () => {
    const undecodable = new Player().start().refused(10, new Problem(406, "not-acceptable", "", ""));
    expect(undecodable.retryInMs).toBe(45_000);
    expect(undecodable.at(5, { type: "wake", reason: "network" }).commands).toEqual([]);
    const without = new Player().start().refused(10, new Problem(0, "no-webrtc", "", ""));
    expect(without.state.cause).toBe("unsupported");
    expect(without.retryInMs).toBeNull();
    expect(without.at(5, { type: "wake", reason: "network" }).commands).toEqual([]);
  });
  it("ends where the server is gone, since it makes the stills", () => {
    const player = new Player().start().refused(10, busy).at(21_000, { type: "due" }).refused(10, unreachable);
    expect(player.state).toMatchObject({ phase: "waiting", cause: null });
  });
});
