import { createEffect, createMemo, createSignal, Index, type JSX, onCleanup, onMount, Show } from "solid-js";
import { corner, cornerNear, type Size } from "@/shared/analysis/geometry";
import type { AnalysisSettings, Corner } from "@/shared/api/analysis-types";
import { snapshot } from "@/shared/api/cameras";
import { isAbort, Problem } from "@/shared/api/problem";
import { createPageShown } from "@/shared/media/live/live-view";
import { Icon } from "@/shared/ui/Icon";
import { ShapeView } from "./ShapeView";
import { type Drawing, isEnough, isSame, type StageShape, stageShapes, type Target } from "./shapes";
import { at } from "./texts";

const HEIGHT_PX = 720;
const EVERY_MS = 2_000;
const CLOSES_PX = 16;

/** The camera's picture with the shapes on it, which are drawn and changed there. */
export function Stage(props: {
  cameraId: string;
  cameraName: string;
  settings: AnalysisSettings;
  selected: Target | null;
  drawing: Drawing | null;
  held: boolean;
  readOnly: boolean;
  onSelect: (target: Target | null) => void;
  onDrawing: (drawing: Drawing | null) => void;
  onDrawn: (drawing: Drawing) => void;
  /** A change begins, which one undo takes back. */
  onBegin: () => void;
  onShape: (shape: StageShape, points: Corner[]) => void;
  onDirection: (target: Target) => void;
}): JSX.Element {
  const pageShown = createPageShown();
  const [picture, setPicture] = createSignal<string | null>(null);
  const [failed, setFailed] = createSignal(false);
  const [ratio, setRatio] = createSignal(16 / 9);
  const [size, setSize] = createSignal<Size>({ width: 0, height: 0 });
  const [pointer, setPointer] = createSignal<Corner | null>(null);
  let root: HTMLDivElement | undefined;

  createEffect(() => {
    const cameraId = props.cameraId;
    if (!pageShown() || (props.held && picture() !== null)) return;
    const aborter = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      try {
        const blob = await snapshot(cameraId, HEIGHT_PX, "main", aborter.signal);
        if (aborter.signal.aborted) return;
        const before = picture();
        setPicture(URL.createObjectURL(blob));
        if (before !== null) URL.revokeObjectURL(before);
        setFailed(false);
      } catch (error) {
        if (isAbort(error) || aborter.signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        setFailed(true);
      }
      if (!props.held) timer = setTimeout(() => void load(), EVERY_MS);
    };
    // Its own result must not start it again.
    queueMicrotask(() => void load());
    onCleanup(() => {
      clearTimeout(timer);
      aborter.abort();
    });
  });
  onCleanup(() => {
    const shown = picture();
    if (shown !== null) URL.revokeObjectURL(shown);
  });
  onMount(() => {
    if (!root) return;
    const measure = () => root && setSize({ width: root.clientWidth, height: root.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(root);
    measure();
    onCleanup(() => observer.disconnect());
  });

  const shapes = createMemo(() => stageShapes(props.settings));
  const placeOf = (event: PointerEvent | MouseEvent): Corner => {
    const box = root?.getBoundingClientRect();
    if (!box || box.width === 0) return [0, 0];
    return corner((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };

  const click = (event: MouseEvent) => {
    const { drawing } = props;
    if (!drawing) return props.onSelect(null);
    const place = placeOf(event);
    const first = drawing.points.slice(0, 1);
    const closes = drawing.closed && drawing.most > drawing.least && isEnough(drawing);
    if (closes && cornerNear(first, place, size(), CLOSES_PX) === 0) return props.onDrawn(drawing);
    const last = drawing.points.at(-1);
    // The second click of a double click.
    if (last && cornerNear([last], place, size(), 3) === 0) {
      if (isEnough(drawing)) props.onDrawn(drawing);
      return;
    }
    const next = { ...drawing, points: [...drawing.points, place] };
    if (next.points.length >= next.most) props.onDrawn(next);
    else props.onDrawing(next);
  };
  const pixels = (points: readonly Corner[]): string =>
    points.map(([x, y]) => `${x * size().width},${y * size().height}`).join(" ");

  return (
    <div
      ref={root}
      class="relative mx-auto select-none overflow-hidden rounded-lg bg-stage"
      style={{
        "aspect-ratio": String(ratio()),
        width: `min(100%, calc((100dvh - 150px) * ${ratio()}))`,
      }}
      data-testid="analysis-stage"
    >
      <Show when={picture()}>
        {(url) => (
          <img
            src={url()}
            alt={at("pictureOf", { name: props.cameraName })}
            draggable={false}
            class="absolute inset-0 h-full w-full"
            onLoad={({ currentTarget: image }) =>
              image.naturalHeight > 0 && setRatio(image.naturalWidth / image.naturalHeight)
            }
          />
        )}
      </Show>
      <Show when={failed()}>
        <p class="absolute inset-x-3 top-3 flex items-start gap-2 rounded-lg bg-black/70 px-3 py-2 text-[#ffd78a] text-[13px]">
          <Icon name="warning" size={17} class="mt-px" />
          {at("noPicture")}
        </p>
      </Show>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the corners and shapes in it have keys; this is drawing by pointer */}
      <svg
        class="absolute inset-0 h-full w-full overflow-visible"
        classList={{ "cursor-crosshair touch-none": props.drawing !== null }}
        viewBox={`0 0 ${size().width || 1} ${size().height || 1}`}
        role="application"
        aria-label={at("pictureOf", { name: props.cameraName })}
        onClick={click}
        onPointerMove={(event) => props.drawing && setPointer(placeOf(event))}
        onPointerLeave={() => setPointer(null)}
      >
        <Index each={shapes()}>
          {(shape) => (
            <ShapeView
              shape={shape()}
              size={size()}
              selected={isSame(props.selected, shape().target)}
              quiet={props.drawing !== null}
              replaced={isSame(props.drawing?.target ?? null, shape().target) && props.drawing?.name === shape().name}
              readOnly={props.readOnly}
              placeOf={placeOf}
              onSelect={() => props.onSelect(shape().target)}
              onBegin={props.onBegin}
              onPoints={(points) => props.onShape(shape(), points)}
              onDirection={() => props.onDirection(shape().target)}
            />
          )}
        </Index>
        <Show when={props.drawing}>
          {(drawing) => (
            <g class="pointer-events-none" data-testid="drawing">
              <polyline
                points={pixels([...drawing().points, ...(pointer() ? [pointer() as Corner] : [])])}
                fill={drawing().closed ? "rgb(255 255 255 / 0.14)" : "none"}
                stroke="#000"
                stroke-opacity="0.5"
                stroke-width="5"
              />
              <polyline
                points={pixels([...drawing().points, ...(pointer() ? [pointer() as Corner] : [])])}
                fill="none"
                stroke="#fff"
                stroke-width="2"
                stroke-dasharray="6 4"
              />
              <Index each={drawing().points}>
                {(point, index) => (
                  <circle
                    cx={point()[0] * size().width}
                    cy={point()[1] * size().height}
                    r={index === 0 && drawing().closed && isEnough(drawing()) ? 9 : 5}
                    fill={index === 0 ? "#fff" : "#000"}
                    stroke="#fff"
                    stroke-width="2"
                  />
                )}
              </Index>
            </g>
          )}
        </Show>
      </svg>
    </div>
  );
}
