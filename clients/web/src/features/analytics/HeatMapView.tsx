import { createEffect, createSignal, type JSX, on, onCleanup, Show } from "solid-js";
import { heatMap } from "@/shared/api/analysis";
import type { HeatMap } from "@/shared/api/analysis-types";
import { frameAt, type Span, snapshot } from "@/shared/api/cameras";
import { isAbort, Problem } from "@/shared/api/problem";
import { durationText } from "@/shared/time/format";
import { Spinner } from "@/shared/ui/Icon";
import { ProblemNotice } from "@/shared/ui/Notice";
import { an } from "./texts";

const STILL_PX = 540;
// From hardly anybody to where they stay: blue, green, yellow, red.
const WARMTH: readonly (readonly [number, number, number])[] = [
  [40, 80, 255],
  [0, 200, 160],
  [255, 220, 40],
  [255, 60, 30],
];

/** How long things stood where, over a still of the camera. */
export function HeatMapView(props: { cameraId: string; span: Span; name: string }): JSX.Element {
  const [map, setMap] = createSignal<HeatMap | null>(null);
  const [still, setStill] = createSignal<string | null>(null);
  const [ratio, setRatio] = createSignal(16 / 9);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  let canvas: HTMLCanvasElement | undefined;

  createEffect(
    on([() => props.cameraId, () => props.span.start, () => props.span.end], ([cameraId, start, end]) => {
      const aborter = new AbortController();
      setProblem(null);
      setMap(null);
      heatMap(cameraId, { start, end }, aborter.signal, setMap).then(setMap, (error: unknown) => {
        if (isAbort(error)) return;
        if (!(error instanceof Problem)) throw error;
        setProblem(error);
      });
      onCleanup(() => aborter.abort());
    }),
  );
  createEffect(
    on([() => props.cameraId, () => props.span.end], ([cameraId, end]) => {
      const aborter = new AbortController();
      const show = (blob: Blob) => {
        if (!aborter.signal.aborted) setStill(URL.createObjectURL(blob));
      };
      // As it looks now; a camera that is away, as it looked then. Without either the warmth stands alone.
      snapshot(cameraId, STILL_PX, "main", aborter.signal)
        .catch(() => frameAt(cameraId, Math.min(end, Date.now()) - 60_000, STILL_PX, aborter.signal))
        .then(show, () => setStill(null));
      onCleanup(() => {
        aborter.abort();
        const shown = still();
        if (shown !== null) URL.revokeObjectURL(shown);
        setStill(null);
      });
    }),
  );
  const longest = () => Math.max(0, ...(map()?.seconds ?? []));
  createEffect(() => {
    const shown = map();
    const context = canvas?.getContext("2d");
    if (!canvas || !context || !shown || shown.columns * shown.rows === 0) return;
    canvas.width = shown.columns;
    canvas.height = shown.rows;
    const image = context.createImageData(shown.columns, shown.rows);
    const most = longest();
    for (const [index, seconds] of shown.seconds.entries()) {
      if (seconds <= 0 || most <= 0) continue;
      // Where somebody stood for hours must not hide where people walk.
      const warmth = Math.sqrt(seconds / most);
      image.data.set([...colourOf(warmth), Math.round(70 + 150 * warmth)], index * 4);
    }
    context.putImageData(image, 0, 0);
  });

  return (
    <Show when={!problem()} fallback={problem() && <ProblemNotice problem={problem() as Problem} />}>
      <figure data-testid="heat-map">
        <div class="relative overflow-hidden rounded-lg bg-stage" style={{ "aspect-ratio": String(ratio()) }}>
          <Show when={still()}>
            {(url) => (
              <img
                src={url()}
                alt={props.name}
                class="absolute inset-0 h-full w-full brightness-75 saturate-50"
                onLoad={({ currentTarget: image }) =>
                  image.naturalHeight > 0 && setRatio(image.naturalWidth / image.naturalHeight)
                }
              />
            )}
          </Show>
          <canvas ref={canvas} class="absolute inset-0 h-full w-full blur-[6px]" />
          <Show when={map() === null}>
            <div class="absolute inset-0 grid place-items-center text-white/80">
              <Spinner size={28} />
            </div>
          </Show>
        </div>
        <figcaption class="mt-2 flex flex-wrap items-center justify-between gap-x-4 gap-y-1 text-[12.5px] text-muted">
          <span>{map() && longest() === 0 ? an("heatNone") : an("heatHint")}</span>
          <Show when={longest() > 0}>
            <span class="inline-flex items-center gap-2 tabular-nums">
              <span
                class="h-2.5 w-24 rounded-full"
                style={{
                  background: `linear-gradient(90deg, ${WARMTH.map((part) => `rgb(${part.join(" ")})`).join(", ")})`,
                }}
                aria-hidden="true"
              />
              {an("heatLongest", { length: durationText(longest() * 1_000) })}
            </span>
          </Show>
        </figcaption>
      </figure>
    </Show>
  );
}

function colourOf(warmth: number): [number, number, number] {
  const place = Math.min(1, Math.max(0, warmth)) * (WARMTH.length - 1);
  const index = Math.min(WARMTH.length - 2, Math.floor(place));
  const [from, to] = [WARMTH[index], WARMTH[index + 1]];
  if (!from || !to) return [0, 0, 0];
  const share = place - index;
  const mix = (channel: 0 | 1 | 2) => Math.round(from[channel] + (to[channel] - from[channel]) * share);
  return [mix(0), mix(1), mix(2)];
}
