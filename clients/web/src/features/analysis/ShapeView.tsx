import { createMemo, createSignal, For, Index, type JSX, Show } from "solid-js";
import { sidesOf } from "@/shared/analysis/box-drawing";
import {
  crossesItself,
  edges,
  insertCorner,
  middleOf,
  moveCorner,
  moveShape,
  removeCorner,
  type Size,
} from "@/shared/analysis/geometry";
import type { Corner } from "@/shared/api/analysis-types";
import type { StageShape } from "./shapes";
import { at } from "./texts";

const STEP = 0.01;
const FINE_STEP = 0.002;
const STEPS: Record<string, Corner> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

// `tabindex` is written small: where Solid sets it on a drawing's elements, its case counts.
/** One shape on the picture; the chosen one has corners to take hold of. */
export function ShapeView(props: {
  shape: StageShape;
  size: Size;
  selected: boolean;
  /** Something else is being drawn: clicks go through. */
  quiet: boolean;
  /** It is being drawn anew. */
  replaced: boolean;
  readOnly: boolean;
  placeOf: (event: PointerEvent) => Corner;
  onSelect: () => void;
  onBegin: () => void;
  onPoints: (points: Corner[]) => void;
  onDirection: () => void;
}): JSX.Element {
  const [dragged, setDragged] = createSignal<number | null>(null);
  let lastPlace: Corner | null = null;
  const shape = () => props.shape;
  const editable = () => props.selected && !props.quiet && !props.readOnly;
  const x = (point: Corner) => point[0] * props.size.width;
  const y = (point: Corner) => point[1] * props.size.height;
  const points = () =>
    shape()
      .points.map((point) => `${x(point)},${y(point)}`)
      .join(" ");
  const crosses = createMemo(() => crossesItself(shape().points, shape().closed));
  const middle = createMemo(() => middleOf(shape().points, props.size));
  const colour = () => (crosses() ? "#ff6b60" : shape().colour);
  const middles = createMemo(() =>
    shape().points.length >= shape().most
      ? []
      : edges(shape().points.length, shape().closed).map(([from, to]): { index: number; place: Corner } => {
          const a = shape().points[from] ?? [0, 0];
          const b = shape().points[to] ?? [0, 0];
          return { index: from + 1, place: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
        }),
  );

  const grasp = (event: PointerEvent & { currentTarget: SVGElement }, index: number | null) => {
    if (!editable() || event.button !== 0) return;
    event.stopPropagation();
    event.currentTarget.setPointerCapture(event.pointerId);
    props.onBegin();
    setDragged(index);
    lastPlace = props.placeOf(event);
  };
  const drag = (event: PointerEvent) => {
    if (lastPlace === null) return;
    const place = props.placeOf(event);
    const index = dragged();
    if (index !== null) props.onPoints(moveCorner(shape().points, index, place));
    else props.onPoints(moveShape(shape().points, place[0] - lastPlace[0], place[1] - lastPlace[1]));
    lastPlace = place;
  };
  const release = () => {
    setDragged(null);
    lastPlace = null;
  };
  const remove = (index: number) => {
    if (shape().points.length <= shape().least) return;
    props.onBegin();
    props.onPoints(removeCorner(shape().points, index, shape().least));
  };
  const insertAfter = (index: number) => {
    const [from, to] = [shape().points[index], shape().points[(index + 1) % shape().points.length]];
    if (!from || !to || shape().points.length >= shape().most) return;
    props.onBegin();
    props.onPoints(insertCorner(shape().points, index + 1, [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2]));
  };
  const key = (event: KeyboardEvent, index: number) => {
    const direction = STEPS[event.key];
    const point = shape().points[index];
    if (direction && point) {
      const step = event.shiftKey ? STEP * 5 : event.altKey ? FINE_STEP : STEP;
      props.onBegin();
      props.onPoints(
        moveCorner(shape().points, index, [point[0] + direction[0] * step, point[1] + direction[1] * step]),
      );
    } else if (event.key === "Delete" || event.key === "Backspace") remove(index);
    else if (event.key === "Insert" || event.key === "+") insertAfter(index);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const told = (point: Corner, index: number): string =>
    at("corner", {
      shape: shape().title,
      number: index + 1,
      count: shape().points.length,
      x: Math.round(point[0] * 100),
      y: Math.round(point[1] * 100),
    });
  const press = (event: KeyboardEvent, act: () => void) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  };

  return (
    <g
      classList={{ "pointer-events-none": props.quiet, "opacity-15": props.replaced }}
      opacity={shape().faint && !props.selected ? 0.45 : 1}
      data-shape={shape().name}
      data-selected={props.selected}
    >
      <Show
        when={shape().closed}
        fallback={
          <polyline
            points={points()}
            fill="none"
            stroke="#000"
            stroke-opacity="0.5"
            stroke-width={props.selected ? 6 : 5}
          />
        }
      >
        <polygon
          points={points()}
          fill="none"
          stroke="#000"
          stroke-opacity="0.5"
          stroke-width={props.selected ? 6 : 4}
        />
      </Show>
      {/* biome-ignore lint/a11y/useSemanticElements: a button cannot be a shape in a drawing */}
      <polyline
        points={
          shape().closed && shape().points[0]
            ? `${points()} ${x(shape().points[0] as Corner)},${y(shape().points[0] as Corner)}`
            : points()
        }
        class="outline-none focus-visible:[stroke-width:5]"
        classList={{ "cursor-move touch-none": editable(), "cursor-pointer": !editable() }}
        fill={shape().closed ? colour() : "none"}
        fill-opacity={shape().name === "mask" ? 0.34 : shape().name === "corners" ? 0.04 : props.selected ? 0.22 : 0.1}
        stroke={colour()}
        stroke-width={props.selected ? 3 : 2}
        stroke-linejoin="round"
        stroke-linecap="round"
        stroke-dasharray={shape().name === "corners" ? "7 5" : undefined}
        role="button"
        tabindex={props.quiet || props.selected ? -1 : 0}
        aria-label={at("select", { name: shape().title })}
        onPointerDown={(event) => grasp(event, null)}
        onPointerMove={drag}
        onPointerUp={release}
        onPointerCancel={release}
        onClick={(event) => {
          if (props.quiet) return;
          event.stopPropagation();
          props.onSelect();
        }}
        onKeyDown={(event) => press(event, props.onSelect)}
      />
      <Show when={!shape().closed && !props.quiet}>
        {/* biome-ignore lint/a11y/noStaticElementInteractions: a line is thin for a finger; keys use the line itself */}
        <polyline
          points={points()}
          fill="none"
          stroke="transparent"
          stroke-width="26"
          classList={{ "cursor-move touch-none": editable(), "cursor-pointer": !editable() }}
          onPointerDown={(event) => grasp(event, null)}
          onPointerMove={drag}
          onPointerUp={release}
          onPointerCancel={release}
          onClick={(event) => {
            event.stopPropagation();
            props.onSelect();
          }}
        />
      </Show>
      <Show when={shape().name === "arrow" && shape().points.length === 2}>
        <path
          d={headPath(
            [x(shape().points[0] as Corner), y(shape().points[0] as Corner)],
            [x(shape().points[1] as Corner), y(shape().points[1] as Corner)],
            16,
          )}
          fill="none"
          stroke={colour()}
          stroke-width="3.5"
          stroke-linecap="round"
          stroke-linejoin="round"
          class="pointer-events-none"
        />
      </Show>
      <Show when={shape().direction}>
        {(direction) => (
          // biome-ignore lint/a11y/useSemanticElements: a button cannot be a shape in a drawing
          <g
            role="button"
            tabindex={editable() ? 0 : -1}
            aria-label={at("arrowLabel", { name: shape().title, direction: at(`direction.${direction()}`) })}
            class="outline-none [&:focus-visible>circle]:stroke-white"
            classList={{ "cursor-pointer": editable() }}
            data-testid="flip-arrow"
            data-direction={direction()}
            onClick={(event) => {
              event.stopPropagation();
              if (editable()) props.onDirection();
              else props.onSelect();
            }}
            onKeyDown={(event) => press(event, props.onDirection)}
          >
            <title>{at(`direction.${direction()}`)}</title>
            <For each={sidesOf(direction())}>
              {(side) => {
                const from = (): Corner => [middle().x, middle().y];
                const to = (): Corner => [
                  middle().x + middle().rightX * side * 34,
                  middle().y + middle().rightY * side * 34,
                ];
                return (
                  <>
                    <path
                      d={arrowPath(from(), to())}
                      stroke="#000"
                      stroke-opacity="0.55"
                      stroke-width="7"
                      fill="none"
                      stroke-linecap="round"
                      stroke-linejoin="round"
                    />
                    <path
                      d={arrowPath(from(), to())}
                      stroke={colour()}
                      stroke-width="3.5"
                      fill="none"
                      stroke-linecap="round"
                      stroke-linejoin="round"
                    />
                    <line
                      x1={from()[0]}
                      y1={from()[1]}
                      x2={to()[0]}
                      y2={to()[1]}
                      stroke="transparent"
                      stroke-width="30"
                    />
                  </>
                );
              }}
            </For>
            <circle
              cx={middle().x}
              cy={middle().y}
              r="7"
              fill={colour()}
              stroke="#000"
              stroke-opacity="0.6"
              stroke-width="2"
            />
          </g>
        )}
      </Show>
      <Show when={editable()}>
        <Index each={middles()}>
          {(between) => (
            // biome-ignore lint/a11y/noStaticElementInteractions: with keys, Insert at a corner does the same
            <g
              class="cursor-copy touch-none"
              data-testid="insert-corner"
              onPointerDown={(event) => {
                if (event.button !== 0) return;
                const { index, place } = between();
                // A line's arrow is where the only edge has its middle.
                props.onBegin();
                props.onPoints(insertCorner(shape().points, index, place));
                event.stopPropagation();
                event.currentTarget.setPointerCapture(event.pointerId);
                setDragged(index);
                lastPlace = place;
              }}
              onPointerMove={drag}
              onPointerUp={release}
              onPointerCancel={release}
              onClick={(event) => event.stopPropagation()}
            >
              <circle cx={x(offset(between().place))} cy={y(offset(between().place))} r="13" fill="transparent" />
              <circle
                cx={x(offset(between().place))}
                cy={y(offset(between().place))}
                r="4.5"
                fill="#fff"
                fill-opacity="0.75"
                stroke="#000"
                stroke-opacity="0.6"
                stroke-width="1.5"
              />
            </g>
          )}
        </Index>
        <Index each={shape().points}>
          {(point, index) => (
            // biome-ignore lint/a11y/useSemanticElements: a button cannot be a shape in a drawing
            <g
              role="button"
              tabindex={0}
              aria-label={told(point(), index)}
              class="cursor-grab touch-none outline-none [&:focus-visible>circle:last-of-type]:stroke-[#6fb1ff] [&:focus-visible>circle:last-of-type]:[stroke-width:5]"
              data-testid="corner"
              onPointerDown={(event) => {
                grasp(event, index);
                event.currentTarget.focus();
              }}
              onPointerMove={drag}
              onPointerUp={release}
              onPointerCancel={release}
              onClick={(event) => event.stopPropagation()}
              onDblClick={() => remove(index)}
              onKeyDown={(event) => key(event, index)}
            >
              <circle cx={x(point())} cy={y(point())} r="20" fill="transparent" />
              <circle
                cx={x(point())}
                cy={y(point())}
                r="7"
                fill={colour()}
                stroke="#000"
                stroke-opacity="0.75"
                stroke-width="2"
              />
              <Show when={shape().name === "corners"}>
                <text
                  x={x(point())}
                  y={y(point()) + 4}
                  text-anchor="middle"
                  font-size="11"
                  font-weight="700"
                  fill="#000"
                  class="pointer-events-none"
                >
                  {index + 1}
                </text>
              </Show>
            </g>
          )}
        </Index>
      </Show>
    </g>
  );

  /** The place of an edge's dot: beside the arrow where that has the middle. */
  function offset(place: Corner): Corner {
    if (shape().direction === null || shape().points.length !== 2) return place;
    const [a, b] = [shape().points[0] as Corner, shape().points[1] as Corner];
    return [place[0] + (b[0] - a[0]) * 0.25, place[1] + (b[1] - a[1]) * 0.25];
  }
}

const arrowPath = (from: Corner, to: Corner): string =>
  `M${from[0]} ${from[1]}L${to[0]} ${to[1]}${headPath(from, to, 11)}`;

function headPath(from: Corner, to: Corner, reach: number): string {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  const [dx, dy] = [((to[0] - from[0]) / length) * reach, ((to[1] - from[1]) / length) * reach];
  const [leftX, leftY] = [to[0] - dx - dy * 0.7, to[1] - dy + dx * 0.7];
  const [rightX, rightY] = [to[0] - dx + dy * 0.7, to[1] - dy - dx * 0.7];
  return `M${leftX} ${leftY}L${to[0]} ${to[1]}L${rightX} ${rightY}`;
}
