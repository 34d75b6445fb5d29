import { type Accessor, createEffect, createMemo, createSignal, on, onCleanup, untrack } from "solid-js";
import { snapshot } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import type { CameraState, StreamChoice } from "@/shared/api/types";
import { INITIAL, type LivePhase, type LiveState } from "./live-machine";
import { LiveSession } from "./live-session";
import type { LiveStatistics } from "./statistics";
import { stillStream } from "./stream-choice";

export interface LiveView {
  state: Accessor<LiveState>;
  phase: Accessor<LivePhase>;
  media: Accessor<MediaStream | null>;
  /** What the server calls the session that `media` comes by; null where there is none. */
  session: Accessor<string | null>;
  /** Of the last second; null while nothing is received. */
  statistics: Accessor<LiveStatistics | null>;
  /** The stream that is shown or asked for. */
  stream: Accessor<StreamChoice>;
  /** A still to show while there is no moving picture; an object URL. */
  still: Accessor<string | null>;
  /** Whether the newest still could not be had, so that the one shown is old. */
  stillIsOld: Accessor<boolean>;
  /** The video element shows frames. */
  shown: () => void;
}

// The server makes each still with a decoder of its own.
const STILLS_EVERY_MS = 2_000;
// A moving picture is usually there sooner than a still could be made.
const FIRST_STILL_AFTER_MS = 1_500;
// A tab in the background keeps its pictures this long, so that a glance elsewhere does not cost them.
const HIDDEN_GRACE_MS = 20_000;

/** Whether the tab is seen, or was until a moment ago. */
export function createPageShown(): Accessor<boolean> {
  const [shown, setShown] = createSignal(document.visibilityState === "visible");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const update = () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") setShown(true);
    else timer = setTimeout(() => setShown(false), HIDDEN_GRACE_MS);
  };
  document.addEventListener("visibilitychange", update);
  onCleanup(() => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", update);
  });
  return shown;
}

/** A camera's live picture for as long as `active` says so and the owner lives. */
export function createLiveView(options: {
  cameraId: Accessor<string>;
  /** The streams that would do, the best first. */
  streams: Accessor<readonly StreamChoice[]>;
  /** How high the picture is on the screen; 0 while it is not shown. */
  heightPx: Accessor<number>;
  active: Accessor<boolean>;
  /** Whether to ask for sound, which costs: the server may have to convert it, and pictures wait for it a moment. */
  sound: Accessor<boolean>;
  /** What the server says of the camera: when it comes back, the next try does not wait. */
  state: Accessor<CameraState | undefined>;
  stillHeightPx: Accessor<number>;
}): LiveView {
  const [state, setState] = createSignal<LiveState>(INITIAL);
  const [media, setMedia] = createSignal<MediaStream | null>(null);
  const [session, setSession] = createSignal<string | null>(null);
  const [statistics, setStatistics] = createSignal<LiveStatistics | null>(null);
  const [still, setStill] = createSignal<string | null>(null);
  const [stillIsOld, setStillIsOld] = createSignal(false);
  const [undecodable, setUndecodable] = createSignal<readonly StreamChoice[]>([]);
  const phase = createMemo(() => state().phase);
  const stream = createMemo(
    () => options.streams().find((name) => !undecodable().includes(name)) ?? options.streams()[0] ?? "main",
  );

  // A camera that is known to be down is not asked for; a picture that was there stays, greyed, until it is back.
  const wanted = createMemo(() => {
    if (!options.active()) return false;
    const camera = options.state();
    const isDown = camera === "offline" || camera === "unauthorized" || camera === "error";
    const shown = untrack(phase);
    return !isDown || shown === "live" || shown === "stalled";
  });

  // What is shown, and, while another stream of the camera is being fetched, what will replace it: the picture moves on
  // until the better one has arrived.
  let front: LiveSession | null = null;
  let next: LiveSession | null = null;
  let nextMedia: MediaStream | null = null;
  let nextSession: string | null = null;
  let nextState: LiveState = INITIAL;

  const begin = (cameraId: string, name: StreamChoice, sound: boolean): LiveSession => {
    const started: LiveSession = new LiveSession(cameraId, name, sound, untrack(options.heightPx), {
      state: (now) => {
        if (started === front) {
          setState(now);
          if (now.phase !== "live" && next !== null) promote();
        } else if (started === next) {
          nextState = now;
          if (now.phase === "live") promote();
        }
        if (now.cause === "codec" && !untrack(undecodable).includes(name)) {
          // Not at once: this is the middle of that session's step.
          queueMicrotask(() => setUndecodable((known) => (known.includes(name) ? known : [...known, name])));
        }
      },
      media: (now, called) => {
        if (started === front) {
          setMedia(now);
          setSession(called);
        } else if (started === next) {
          nextMedia = now;
          nextSession = called;
        }
      },
      statistics: (now) => {
        if (started === front) setStatistics(now);
      },
    });
    return started;
  };
  const promote = () => {
    const before = front;
    front = next;
    next = null;
    setState(nextState);
    if (nextMedia !== null) {
      setMedia(nextMedia);
      setSession(nextSession);
    }
    setStatistics(null);
    before?.stop();
  };
  const dropNext = () => {
    const dropped = next;
    next = null;
    nextMedia = null;
    nextState = INITIAL;
    dropped?.stop();
  };

  createEffect(
    on([options.cameraId, wanted], ([cameraId, active]) => {
      setState(INITIAL);
      setStatistics(null);
      setUndecodable([]);
      if (!active) return;
      front = begin(cameraId, untrack(stream), untrack(options.sound));
      front.start();
      onCleanup(() => {
        dropNext();
        const ended = front;
        front = null;
        ended?.stop();
        setMedia(null);
        setSession(null);
      });
    }),
  );
  createEffect(
    on(
      [stream, options.sound],
      ([name, sound]) => {
        const fits = (session: LiveSession | null) => session?.stream === name && session.sound === sound;
        if (front === null || fits(next)) return;
        dropNext();
        if (fits(front)) return;
        const cameraId = options.cameraId();
        if (untrack(phase) === "live") {
          next = begin(cameraId, name, sound);
          next.start();
          return;
        }
        const before = front;
        front = begin(cameraId, name, sound);
        before.stop();
        front.start();
      },
      { defer: true },
    ),
  );

  createEffect(
    on(
      options.heightPx,
      (heightPx) => {
        // A tile that is hidden for a moment keeps the stream it had.
        if (heightPx === 0) return;
        front?.resize(heightPx);
        next?.resize(heightPx);
      },
      { defer: true },
    ),
  );

  createEffect(
    on(options.state, (camera, before) => {
      if (camera === "online" && before !== undefined && before !== "online") {
        front?.cameraIsBack();
        next?.cameraIsBack();
      }
    }),
  );

  const replaceStill = (url: string | null) => {
    const before = untrack(still);
    setStill(url);
    if (before !== null) URL.revokeObjectURL(before);
  };
  const needsStill = createMemo(() => options.active() && phase() !== "live" && phase() !== "stalled");
  createEffect(() => {
    if (!needsStill() || (options.state() ?? "online") !== "online") return;
    const repeat = phase() === "stills";
    const name = stream();
    const heightPx = options.stillHeightPx();
    const aborter = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      let waitMs = STILLS_EVERY_MS;
      try {
        const blob = await snapshot(options.cameraId(), heightPx, stillStream(name, heightPx), aborter.signal);
        if (aborter.signal.aborted) return;
        replaceStill(URL.createObjectURL(blob));
        setStillIsOld(false);
      } catch (error) {
        if (aborter.signal.aborted) return;
        // No still: the state that stands beside it says why there is no picture.
        if (!(error instanceof Problem) && !(error instanceof DOMException)) throw error;
        setStillIsOld(true);
        if (error instanceof Problem) waitMs = Math.max(waitMs, (error.retryAfterS ?? 0) * 1_000);
      }
      if (repeat) timer = setTimeout(() => void load(), waitMs);
    };
    setStillIsOld(false);
    if (repeat) void load();
    else if (untrack(still) === null) timer = setTimeout(() => void load(), FIRST_STILL_AFTER_MS);
    onCleanup(() => {
      clearTimeout(timer);
      aborter.abort();
    });
  });
  createEffect(on(options.cameraId, () => replaceStill(null), { defer: true }));
  onCleanup(() => replaceStill(null));

  return { state, phase, media, session, statistics, stream, still, stillIsOld, shown: () => front?.shown() };
}
