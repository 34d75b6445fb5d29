import type { Problem } from "@/shared/api/problem";

/**
 * connecting: no picture yet; live: new frames are decoded; stalled: none for more than two seconds; waiting: refused or
 * lost, another try follows; stills: fallen back to still pictures, moving ones are tried for again from time to time.
 */
export type LivePhase = "connecting" | "live" | "stalled" | "waiting" | "stills";

/**
 * Why there are stills. codec: this browser has no decoder for the stream; blocked: the server answers, but no media
 * passes the network; busy: the server takes no more viewers now; unsupported: this browser has no WebRTC.
 */
export type StillsCause = "codec" | "blocked" | "busy" | "unsupported";

/** What is known of one camera's live picture. Times are monotonic milliseconds (performance.now()). */
export interface LiveState {
  phase: LivePhase;
  /** Only with the phase `stills`. */
  cause: StillsCause | null;
  /** The server's refusal that led here, where there was one. */
  problem: Problem | null;
  /** Counts tries; what still comes from an earlier one is ignored. */
  attempt: number;
  transport: "closed" | "opening" | "open";
  /** Tries since the last picture, which lengthen the wait. */
  failures: number;
  /** When this attempt began, and when its answer was applied. */
  beganAtMs: number;
  openedAtMs: number;
  wasConnected: boolean;
  disconnectedAtMs: number | null;
  framesDecoded: number;
  /** When the last new frame was noticed; null before the first. */
  pictureAtMs: number | null;
  /** From the beginning of this attempt to its first picture. */
  firstPictureMs: number | null;
  /** When the next try is due; null when none is. */
  retryAtMs: number | null;
  /** The server asked not to be asked before (Retry-After). */
  notBeforeMs: number;
}

export type LiveEvent =
  | { type: "start" }
  | { type: "stop" }
  /** The server's answer was applied. */
  | { type: "opened"; attempt: number }
  | { type: "refused"; attempt: number; problem: Problem }
  | { type: "connection"; attempt: number; state: RTCPeerConnectionState }
  /** The frame counter, once a second. */
  | { type: "frames"; attempt: number; decoded: number }
  /** The first picture of the attempt is on the screen. */
  | { type: "shown"; attempt: number }
  /** The server does not know the session (any more), or does not answer. */
  | { type: "gone"; attempt: number }
  /** Something changed for the better: the network, the server or the camera is back. */
  | { type: "wake"; reason: "network" | "server" | "camera" }
  /** The time of the next try may have come. */
  | { type: "due" };

/** What is to be done: open a session, close the one there is, ask the server whether it still knows it. */
export type LiveCommand = "open" | "close" | "check";

export interface Step {
  state: LiveState;
  commands: LiveCommand[];
}

export const STALLED_AFTER_MS = 2_000;
const LOST_AFTER_MS = 10_000;
const DISCONNECTED_FOR_MS = 3_000;
// A connection that is possible at all is made within a second or two.
const CONNECT_WITHIN_MS = 6_000;
const FIRST_PICTURE_WITHIN_MS = 8_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
// Whether a camera's codec or a browser's decoders changed is worth a question now and then.
const CODEC_WAIT_MS = 60_000;
// All viewers see a server come back at the same instant; they do not all ask at it.
const SPREAD_MS = 800;

export const INITIAL: LiveState = {
  phase: "connecting",
  cause: null,
  problem: null,
  attempt: 0,
  transport: "closed",
  failures: 0,
  beganAtMs: 0,
  openedAtMs: 0,
  wasConnected: false,
  disconnectedAtMs: null,
  framesDecoded: 0,
  pictureAtMs: null,
  firstPictureMs: null,
  retryAtMs: null,
  notBeforeMs: 0,
};

/** The wait before try number `failures` + 1: doubling from a second to half a minute, the half of it by chance. */
export function waitMs(failures: number, random: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 16)) * (0.5 + 0.5 * random);
}

/** Why a refusal leaves stills as the way to see the camera; null where they would not help either. */
export function stillsCause(problem: Problem): StillsCause | null {
  if (problem.code === "no-webrtc") return "unsupported";
  if (problem.code === "webrtc") return null;
  if (problem.status === 406 || problem.status === 415 || problem.status === 422) return "codec";
  // `unavailable` is a part of the server that does not answer: it makes no stills either.
  const isFull = problem.status === 429 || problem.status === 503;
  return isFull && problem.code !== "unavailable" ? "busy" : null;
}

/** One event, taken at `nowMs`; `random` is uniform in [0, 1). */
export function step(state: LiveState, event: LiveEvent, nowMs: number, random: number): Step {
  if ("attempt" in event && (event.attempt !== state.attempt || state.transport === "closed")) return same(state);
  switch (event.type) {
    case "start":
      return open(INITIAL, state.attempt, nowMs);
    case "stop":
      return { state: { ...INITIAL, attempt: state.attempt }, commands: ["close"] };
    case "opened":
      return same({ ...state, transport: "open", openedAtMs: nowMs });
    case "refused":
      return again(state, event.problem, stillsCause(event.problem), nowMs, random);
    case "connection":
      return connection(state, event.state, nowMs, random);
    case "frames":
      return frames(state, event.decoded, nowMs, random);
    case "shown":
      return same(picture(state, nowMs));
    case "gone":
      return again(state, null, null, nowMs, random);
    case "wake":
      return wake(state, event.reason, nowMs, random);
    case "due":
      return state.retryAtMs !== null && nowMs >= state.retryAtMs ? open(state, state.attempt, nowMs) : same(state);
  }
}

const same = (state: LiveState): Step => ({ state, commands: [] });

function open(state: LiveState, attempt: number, nowMs: number): Step {
  return {
    state: {
      ...state,
      attempt: attempt + 1,
      transport: "opening",
      beganAtMs: nowMs,
      openedAtMs: nowMs,
      wasConnected: false,
      disconnectedAtMs: null,
      framesDecoded: 0,
      pictureAtMs: null,
      firstPictureMs: null,
      retryAtMs: null,
    },
    commands: ["open"],
  };
}

/** Closes what there is and sets the time of the next try. */
function again(
  state: LiveState,
  problem: Problem | null,
  cause: StillsCause | null,
  nowMs: number,
  random: number,
): Step {
  const wait = cause === "codec" ? CODEC_WAIT_MS * (0.5 + 0.5 * random) : waitMs(state.failures, random);
  const asked = problem?.retryAfterS ?? 0;
  const notBeforeMs = asked > 0 ? nowMs + asked * 1_000 : 0;
  const never = cause === "unsupported";
  return {
    state: {
      ...state,
      phase: cause === null ? "waiting" : "stills",
      cause,
      problem,
      transport: "closed",
      failures: state.failures + 1,
      disconnectedAtMs: null,
      retryAtMs: never ? null : Math.max(nowMs + wait, notBeforeMs === 0 ? 0 : notBeforeMs + random * SPREAD_MS),
      notBeforeMs,
    },
    commands: ["close"],
  };
}

function connection(state: LiveState, now: RTCPeerConnectionState, nowMs: number, random: number): Step {
  switch (now) {
    case "connected":
      return same({ ...state, wasConnected: true, disconnectedAtMs: null });
    case "disconnected":
      return { state: { ...state, disconnectedAtMs: nowMs }, commands: ["check"] };
    case "failed":
    case "closed":
      return again(state, null, state.wasConnected ? null : "blocked", nowMs, random);
    default:
      return same(state);
  }
}

function picture(state: LiveState, nowMs: number): LiveState {
  return {
    ...state,
    phase: "live",
    cause: null,
    problem: null,
    failures: 0,
    wasConnected: true,
    pictureAtMs: nowMs,
    firstPictureMs: state.firstPictureMs ?? nowMs - state.beganAtMs,
  };
}

function frames(state: LiveState, decoded: number, nowMs: number, random: number): Step {
  if (decoded > state.framesDecoded) return same({ ...picture(state, nowMs), framesDecoded: decoded });
  if (state.disconnectedAtMs !== null && nowMs - state.disconnectedAtMs >= DISCONNECTED_FOR_MS) {
    return again(state, null, null, nowMs, random);
  }
  if (state.pictureAtMs === null) {
    const waited = nowMs - state.openedAtMs;
    if (!state.wasConnected && waited >= CONNECT_WITHIN_MS) return again(state, null, "blocked", nowMs, random);
    return waited >= FIRST_PICTURE_WITHIN_MS ? again(state, null, null, nowMs, random) : same(state);
  }
  const silentMs = nowMs - state.pictureAtMs;
  if (silentMs >= LOST_AFTER_MS) return again(state, null, null, nowMs, random);
  if (silentMs < STALLED_AFTER_MS || state.phase === "stalled") return same(state);
  return { state: { ...state, phase: "stalled" }, commands: ["check"] };
}

function wake(state: LiveState, reason: "network" | "server" | "camera", nowMs: number, random: number): Step {
  if (state.phase === "stalled" && reason !== "camera") {
    return open({ ...state, phase: "waiting", failures: 0 }, state.attempt, nowMs);
  }
  if (state.retryAtMs === null || (state.cause === "codec" && reason === "network")) return same(state);
  const soon = reason === "network" ? nowMs : nowMs + random * SPREAD_MS;
  const retryAtMs = Math.max(state.notBeforeMs, Math.min(soon, state.retryAtMs));
  const woken = { ...state, failures: 0, retryAtMs };
  return nowMs >= retryAtMs ? open(woken, state.attempt, nowMs) : same(woken);
}
