import { type Accessor, createEffect, createMemo, createSignal, on, onCleanup, untrack } from "solid-js";
import { snapshot } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import type { CameraState, StreamName } from "@/shared/api/types";
import { type LiveFigures, type LivePhase, LiveSession } from "./live-session";

export interface LiveView {
  phase: Accessor<LivePhase>;
  problem: Accessor<Problem | null>;
  media: Accessor<MediaStream | null>;
  figures: Accessor<LiveFigures | null>;
  /** A still to show while there is no moving picture; an object URL. */
  still: Accessor<string | null>;
  /** The video element shows frames. */
  shown: () => void;
}

// Where the browser cannot decode the camera's codec, the server makes stills, each of which costs it a decoder.
const STILLS_EVERY_MS = 2_000;
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
  stream: Accessor<StreamName>;
  active: Accessor<boolean>;
  /** What the server says of the camera: when it comes back, the next try does not wait. */
  state: Accessor<CameraState | undefined>;
  stillHeightPx: number;
}): LiveView {
  const [phase, setPhase] = createSignal<LivePhase>("connecting");
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [media, setMedia] = createSignal<MediaStream | null>(null);
  const [figures, setFigures] = createSignal<LiveFigures | null>(null);
  const [still, setStill] = createSignal<string | null>(null);
  let session: LiveSession | null = null;

  // A camera that is known to be down is not asked for; a picture that was there stays, greyed, until it is back.
  const wanted = createMemo(() => {
    if (!options.active()) return false;
    const state = options.state();
    const isDown = state === "offline" || state === "unauthorized" || state === "error";
    const shown = untrack(phase);
    return !isDown || shown === "live" || shown === "stalled";
  });

  createEffect(
    on([options.cameraId, options.stream, wanted], ([cameraId, stream, active]) => {
      setPhase("connecting");
      setProblem(null);
      setFigures(null);
      if (!active) return;
      const started = new LiveSession(cameraId, stream, {
        phase: (next, cause) => {
          setPhase(next);
          setProblem(cause);
          if (next === "waiting") setFigures(null);
        },
        media: setMedia,
        figures: setFigures,
      });
      session = started;
      started.start();
      onCleanup(() => {
        started.stop();
        session = null;
      });
    }),
  );

  createEffect(
    on(options.state, (state, before) => {
      if (state === "online" && before !== undefined && before !== "online") session?.retryNow();
    }),
  );

  const needsStill = () => options.active() && phase() !== "live" && phase() !== "stalled";
  createEffect(() => {
    if (!needsStill() || (options.state() ?? "online") !== "online") return;
    const repeat = phase() === "unplayable";
    const aborter = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      try {
        const blob = await snapshot(options.cameraId(), options.stillHeightPx, "main", aborter.signal);
        replaceStill(URL.createObjectURL(blob));
      } catch (error) {
        // No still: the state that stands beside it says why there is no picture.
        if (!(error instanceof Problem) && !(error instanceof DOMException)) throw error;
      }
      if (repeat && !aborter.signal.aborted) timer = setTimeout(() => void load(), STILLS_EVERY_MS);
    };
    if (repeat || untrack(still) === null) void load();
    onCleanup(() => {
      clearTimeout(timer);
      aborter.abort();
    });
  });

  const replaceStill = (url: string | null) => {
    const before = untrack(still);
    setStill(url);
    if (before !== null) URL.revokeObjectURL(before);
  };
  createEffect(on(options.cameraId, () => replaceStill(null), { defer: true }));
  onCleanup(() => replaceStill(null));

  return { phase, problem, media, figures, still, shown: () => session?.shown() };
}
