import { createEffect, type JSX, on, onCleanup } from "solid-js";
import { drawBoxes, drawRules, prepare } from "@/shared/analysis/box-drawing";
import { BoxTimeline } from "@/shared/analysis/box-timeline";
import { pictureIn } from "@/shared/analysis/geometry";
import { detections } from "@/shared/api/analysis";
import type { Rule } from "@/shared/api/analysis-types";
import { isAbort, Problem } from "@/shared/api/problem";
import { type InstantMs, parseInstant } from "@/shared/time/instant";

// Asked for by windows that begin at round times, the next one before it is needed.
const WINDOW_MS = 60_000;
const AHEAD_MS = 15_000;
const MOST_FRAMES = 1_000;
const KEPT_WINDOWS = 20;
// What was being understood when it was asked for is asked for again.
const FRESH_MS = 90_000;
const AGAIN_MS = 4_000;

/** Boxes over recorded pictures, as they were understood when they were recorded. */
export default function ArchiveBoxes(props: {
  video: HTMLVideoElement;
  cameraId: string;
  rules: readonly Rule[];
  /** The instant that is shown. */
  at: () => InstantMs | null;
}): JSX.Element {
  let canvas: HTMLCanvasElement | undefined;
  const timeline = new BoxTimeline();
  const asked = new Map<number, number>();
  let aborter = new AbortController();

  const load = async (start: number) => {
    const { signal } = aborter;
    asked.set(start, performance.now());
    if (asked.size > KEPT_WINDOWS) {
      timeline.clear();
      asked.clear();
      asked.set(start, performance.now());
    }
    try {
      let from = start;
      while (from < start + WINDOW_MS) {
        const found = await detections(props.cameraId, { start: from, end: start + WINDOW_MS }, MOST_FRAMES, signal);
        if (signal.aborted) return;
        timeline.fill(found.map((frame) => ({ atMs: parseInstant(frame.at), tracks: frame.tracks })));
        const last = found.at(-1);
        if (found.length < MOST_FRAMES || !last) break;
        from = parseInstant(last.at) + 1;
      }
    } catch (error) {
      // Without boxes the picture is still worth seeing; asked again when it is shown again.
      if (isAbort(error) || signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
    }
  };
  const want = (at: InstantMs) => {
    for (const moment of [at, at + AHEAD_MS]) {
      const start = Math.floor(moment / WINDOW_MS) * WINDOW_MS;
      if (start > Date.now()) continue;
      const before = asked.get(start);
      const isFresh = Date.now() - start < FRESH_MS && performance.now() - (before ?? 0) > AGAIN_MS;
      if (before === undefined || isFresh) void load(start);
    }
  };

  createEffect(
    on(
      () => props.cameraId,
      () => {
        aborter.abort();
        aborter = new AbortController();
        asked.clear();
        timeline.clear();
      },
    ),
  );
  let handle = 0;
  const draw = () => {
    handle = requestAnimationFrame(draw);
    const { video } = props;
    const at = props.at();
    if (!canvas || at === null) return;
    want(at);
    const context = prepare(canvas, video.clientWidth, video.clientHeight);
    if (!context || video.videoWidth === 0) return;
    const element = { width: video.clientWidth, height: video.clientHeight };
    const picture = pictureIn(element, { width: video.videoWidth, height: video.videoHeight });
    drawRules(context, props.rules, picture);
    const boxes = timeline.at(at);
    drawBoxes(context, boxes, picture);
    canvas.dataset.boxes = String(boxes.length);
  };
  handle = requestAnimationFrame(draw);
  onCleanup(() => {
    cancelAnimationFrame(handle);
    aborter.abort();
  });
  return <canvas ref={canvas} class="pointer-events-none absolute inset-0 h-full w-full" data-testid="archive-boxes" />;
}
