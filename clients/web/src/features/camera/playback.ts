import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { Problem } from "@/shared/api/problem";
import { ArchivePlayer, type PlaybackPhase } from "@/shared/media/archive/player";
import { StillsPlayer } from "@/shared/media/archive/stills-player";
import type { InstantMs } from "@/shared/time/instant";

export interface Playback {
  /** Null while the live picture is watched. */
  at: Accessor<InstantMs | null>;
  phase: Accessor<PlaybackPhase>;
  problem: Accessor<Problem | null>;
  /** The codec that this browser cannot decode; stills are shown then. */
  undecodable: Accessor<string | null>;
  still: Accessor<string | null>;
  playing: Accessor<boolean>;
  rate: Accessor<number>;
  skipped: Accessor<{ from: InstantMs; to: InstantMs } | null>;
  seek: (at: InstantMs) => void;
  toggle: () => void;
  setRate: (rate: number) => void;
  step: (frames: number) => void;
  leave: () => void;
  /** The instant that is shown at this moment, finer than `at` tells; null while the live picture is watched. */
  instant: () => InstantMs | null;
}

export const RATES = [0.5, 1, 2, 4, 8] as const;

const POSITION_EVERY_MS = 80;
const SKIP_SHOWN_MS = 5_000;

/** The recordings of one camera, in a video element. */
export function createPlayback(cameraId: Accessor<string>, video: () => HTMLVideoElement | undefined): Playback {
  const [at, setAt] = createSignal<InstantMs | null>(null);
  const [phase, setPhase] = createSignal<PlaybackPhase>("loading");
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [undecodable, setUndecodable] = createSignal<string | null>(null);
  const [still, setStill] = createSignal<string | null>(null);
  const [playing, setPlaying] = createSignal(true);
  const [rate, setRateSignal] = createSignal(1);
  const [skipped, setSkipped] = createSignal<{ from: InstantMs; to: InstantMs } | null>(null);
  let player: ArchivePlayer | StillsPlayer | null = null;
  let skipTimer: ReturnType<typeof setTimeout> | undefined;

  const clock = setInterval(() => {
    if (player) setAt(player.position());
  }, POSITION_EVERY_MS);

  const moving = (): ArchivePlayer | null => {
    const element = video();
    if (!element) return null;
    const made = new ArchivePlayer(element, cameraId(), {
      phase: (next, cause) => {
        setPhase(next);
        setProblem(cause.problem ?? null);
        if (next === "unplayable") useStills(cause.codec ?? "");
      },
      skipped: (from, to) => {
        setSkipped({ from, to });
        clearTimeout(skipTimer);
        skipTimer = setTimeout(() => setSkipped(null), SKIP_SHOWN_MS);
      },
    });
    made.setRate(rate());
    if (!playing()) made.pause();
    return made;
  };

  // Called from within the first player's own report: it is closed once that has returned.
  const useStills = (codec: string) =>
    queueMicrotask(() => {
      const from = player?.position() ?? at() ?? Date.now();
      player?.close();
      setUndecodable(codec);
      setPhase("ready");
      const stills = new StillsPlayer(cameraId(), {
        still: setStill,
        edge: (reached) => setPhase(reached ? "edge" : "ready"),
      });
      player = stills;
      stills.setRate(rate());
      if (!playing()) stills.pause();
      stills.open(from);
    });

  const leave = () => {
    player?.close();
    player = null;
    setAt(null);
    setStill(null);
    setUndecodable(null);
    setProblem(null);
    setSkipped(null);
    setPlaying(true);
    setPhase("loading");
  };
  onCleanup(() => {
    clearInterval(clock);
    clearTimeout(skipTimer);
    player?.close();
  });

  return {
    at,
    phase,
    problem,
    undecodable,
    still,
    playing,
    rate,
    skipped,
    seek: (wanted) => {
      setAt(wanted);
      player ??= moving();
      player?.open(wanted);
    },
    toggle: () => {
      const next = !playing();
      setPlaying(next);
      if (next) player?.play();
      else player?.pause();
    },
    setRate: (next) => {
      setRateSignal(next);
      player?.setRate(next);
    },
    step: (frames) => {
      setPlaying(false);
      player?.step(frames);
    },
    leave,
    instant: () => player?.position() ?? null,
  };
}
