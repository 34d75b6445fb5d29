import { createEffect, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import type { Span } from "@/shared/api/cameras";
import { type Key, regional, t } from "@/shared/i18n";
import { eventTypeText } from "@/shared/i18n/event-types";
import { theme } from "@/shared/theme";
import { clockTime, durationText, longDate, utcText } from "@/shared/time/format";
import { HOUR_MS, type InstantMs, MINUTE_MS } from "@/shared/time/instant";
import { createFramePreview } from "./frame-preview";
import { StillView } from "./StillView";
import { createThumbnails } from "./thumbnail-grid";
import type { TimelineData } from "./timeline-data";
import { drawTimeline, HEIGHT_PX, readColours, type TimelineColours } from "./timeline-drawing";
import { atX, panView, spanOf, type TimelineView, xOf, zoomView } from "./timeline-view";

// A finger or a hand moves a little even when it means a click.
const CLICK_SLOP_PX = 5;
const HANDLE_PX = 12;
const EVENT_SLOP_PX = 3;
const MOST_EVENT_TYPES = 4;
const SHORTEST_SELECTION_MS = 1_000;

type Drag =
  | { kind: "pan"; fromX: number; view: TimelineView; moved: boolean }
  | { kind: "scrub" }
  | { kind: "start" | "end" }
  | { kind: "pinch"; distance: number; view: TimelineView; anchor: InstantMs };

const GAP_CAUSES = new Set(["camera", "network", "disk", "stop", "overload"]);

/** What is recorded, when; click to see it. */
export function Timeline(props: {
  cameraId: string;
  data: TimelineData | null;
  view: TimelineView;
  onView: (view: TimelineView) => void;
  position: InstantMs;
  live: boolean;
  now: InstantMs;
  onSeek: (at: InstantMs) => void;
  onLive: () => void;
  selection: Span | null;
  onSelection: (span: Span) => void;
}): JSX.Element {
  let canvas: HTMLCanvasElement | undefined;
  let root: HTMLDivElement | undefined;
  const [widthPx, setWidthPx] = createSignal(0);
  const [hoverX, setHoverX] = createSignal<number | null>(null);
  const [drag, setDrag] = createSignal<Drag | null>(null);
  const [scrubAt, setScrubAt] = createSignal<InstantMs | null>(null);
  const pointers = new Map<number, number>();
  let colours: TimelineColours | null = null;

  const hoverAt = () => {
    const x = hoverX();
    return x === null ? null : atX(x, props.view, widthPx());
  };
  const recordedAt = (at: InstantMs) =>
    props.data?.ranges.some((range) => range.start <= at && at < range.end) ?? false;
  const wantedAt = () => {
    const at = hoverAt();
    return at !== null && drag()?.kind !== "pan" && recordedAt(at) ? at : null;
  };
  const preview = createFramePreview(() => props.cameraId, wantedAt);
  const still = createThumbnails(() => props.cameraId, wantedAt);
  // The exact picture of another instant would hide the still of this one.
  const exact = () => {
    const found = preview();
    return found && (still() === null || found.isOf(wantedAt())) ? found.url : null;
  };

  onMount(() => {
    if (!root) return;
    const observer = new ResizeObserver((entries) => {
      const width = entries[0]?.contentRect.width;
      if (width) setWidthPx(width);
    });
    observer.observe(root);
    onCleanup(() => observer.disconnect());
    // Solid's delegated listeners are passive for wheels: zooming must not scroll the page.
    root.addEventListener("wheel", onWheel, { passive: false });
  });

  let frame = 0;
  createEffect(() => {
    theme();
    colours = null;
  });
  createEffect(() => {
    theme();
    const width = widthPx();
    const picture = {
      view: props.view,
      data: props.data,
      now: props.now,
      position: scrubAt() ?? props.position,
      live: props.live && scrubAt() === null,
      hover: hoverAt(),
      selection: props.selection,
      locale: regional(),
    };
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      const context = canvas?.getContext("2d");
      if (!canvas || !context || width === 0) return;
      const scale = window.devicePixelRatio || 1;
      const [wide, high] = [Math.round(width * scale), Math.round(HEIGHT_PX * scale)];
      if (canvas.width !== wide || canvas.height !== high) {
        canvas.width = wide;
        canvas.height = high;
      }
      context.setTransform(scale, 0, 0, scale, 0, 0);
      colours ??= readColours(canvas);
      drawTimeline(context, width, picture, colours);
    });
  });
  onCleanup(() => cancelAnimationFrame(frame));

  const localX = (event: { clientX: number }) => event.clientX - (root?.getBoundingClientRect().left ?? 0);

  const onWheel = (event: WheelEvent) => {
    event.preventDefault();
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const unitPx = event.deltaMode === 1 ? 16 : 1;
    if (sideways) {
      const byPx = (event.deltaX || event.deltaY) * unitPx;
      props.onView(panView(props.view, (byPx / widthPx()) * spanOf(props.view), props.now));
    } else {
      const factor = Math.exp(Math.max(-1, Math.min(1, (event.deltaY * unitPx) / 300)));
      props.onView(zoomView(props.view, factor, atX(localX(event), props.view, widthPx()), props.now));
    }
  };

  const nearHandle = (x: number): "start" | "end" | null => {
    const { selection } = props;
    if (!selection) return null;
    const fromStart = Math.abs(x - xOf(selection.start, props.view, widthPx()) + 3);
    const fromEnd = Math.abs(x - xOf(selection.end, props.view, widthPx()) - 3);
    if (Math.min(fromStart, fromEnd) > HANDLE_PX) return null;
    return fromStart < fromEnd ? "start" : "end";
  };
  const nearPlayhead = (x: number) =>
    !props.live && Math.abs(x - xOf(props.position, props.view, widthPx())) < HANDLE_PX - 4;

  const pinch = (): { distance: number; middle: number } | null => {
    const [first, second] = [...pointers.values()];
    if (first === undefined || second === undefined) return null;
    return { distance: Math.max(10, Math.abs(first - second)), middle: (first + second) / 2 };
  };

  const onDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const x = localX(event);
    root?.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, x);
    const two = pinch();
    if (two) {
      setDrag({
        kind: "pinch",
        distance: two.distance,
        view: props.view,
        anchor: atX(two.middle, props.view, widthPx()),
      });
      return;
    }
    const handle = nearHandle(x);
    if (handle) setDrag({ kind: handle });
    else if (nearPlayhead(x)) {
      setDrag({ kind: "scrub" });
      setScrubAt(atX(x, props.view, widthPx()));
    } else setDrag({ kind: "pan", fromX: x, view: props.view, moved: false });
  };

  const onMove = (event: PointerEvent) => {
    const x = localX(event);
    if (event.pointerType !== "touch" || drag()?.kind === "scrub") setHoverX(x);
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, x);
    const now = drag();
    if (!now) return;
    const at = atX(x, props.view, widthPx());
    if (now.kind === "pinch") {
      const two = pinch();
      if (!two) return;
      const zoomed = zoomView(now.view, now.distance / two.distance, now.anchor, props.now);
      const shift = now.anchor - atX(two.middle, zoomed, widthPx());
      props.onView(panView(zoomed, shift, props.now));
    } else if (now.kind === "scrub") setScrubAt(Math.min(at, props.now));
    else if (now.kind === "pan") {
      const movedPx = x - now.fromX;
      if (!now.moved && Math.abs(movedPx) < CLICK_SLOP_PX) return;
      if (!now.moved) setDrag({ ...now, moved: true });
      props.onView(panView(now.view, (-movedPx / widthPx()) * spanOf(now.view), props.now));
    } else if (props.selection) {
      const { start, end } = props.selection;
      if (now.kind === "start") props.onSelection({ start: Math.min(at, end - SHORTEST_SELECTION_MS), end });
      else props.onSelection({ start, end: Math.min(props.now, Math.max(at, start + SHORTEST_SELECTION_MS)) });
    }
  };

  const onUp = (event: PointerEvent) => {
    const ended = drag();
    pointers.delete(event.pointerId);
    setDrag(null);
    if (event.type === "pointercancel") {
      setScrubAt(null);
      return;
    }
    if (ended?.kind === "scrub") {
      const at = scrubAt();
      setScrubAt(null);
      if (at !== null) seek(at);
    } else if (ended?.kind === "pan" && !ended.moved) seek(atX(localX(event), props.view, widthPx()));
    if (event.pointerType === "touch") setHoverX(null);
  };

  const seek = (at: InstantMs) => {
    if (at >= props.now - 500) props.onLive();
    else props.onSeek(at);
  };

  const onKey = (event: KeyboardEvent) => {
    const step = event.shiftKey ? MINUTE_MS : 10_000;
    const length = spanOf(props.view);
    if (event.key === "ArrowLeft") seek((props.live ? props.now : props.position) - step);
    else if (event.key === "ArrowRight") seek((props.live ? props.now : props.position) + step);
    else if (event.key === "PageUp") props.onView(panView(props.view, -length * 0.8, props.now));
    else if (event.key === "PageDown") props.onView(panView(props.view, length * 0.8, props.now));
    else if (event.key === "End") props.onLive();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const cursor = () => {
    const kind = drag()?.kind;
    const x = hoverX();
    if (kind === "start" || kind === "end") return "ew-resize";
    if (kind === "pan" && (drag() as { moved: boolean }).moved) return "grabbing";
    if (x !== null && (nearHandle(x) || nearPlayhead(x))) return "ew-resize";
    return "crosshair";
  };
  const gapAt = (at: InstantMs): string => {
    if (at > props.now) return t("timeline.future");
    const cause = props.data?.gaps.find((gap) => gap.start <= at && at < gap.end)?.cause ?? "";
    return GAP_CAUSES.has(cause) ? t(`gap.${cause}` as Key) : t("gap.unknown");
  };
  // The types of what happened there, each once.
  const eventsAt = (at: InstantMs): string => {
    const slopMs = (spanOf(props.view) / Math.max(1, widthPx())) * EVENT_SLOP_PX;
    const found = (props.data?.events ?? []).filter(
      (event) => event.start - slopMs <= at && at <= (event.end ?? props.now) + slopMs,
    );
    return [...new Set(found.map((event) => eventTypeText(event.type)))].slice(0, MOST_EVENT_TYPES).join(", ");
  };
  const tooltipX = () => Math.min(widthPx() - 106, Math.max(106, hoverX() ?? 0));

  return (
    <div
      ref={root}
      role="slider"
      tabIndex={0}
      aria-label={t("timeline.label")}
      aria-valuemin={Math.round(props.view.start / 1_000)}
      aria-valuemax={Math.round(props.now / 1_000)}
      aria-valuenow={Math.round((props.live ? props.now : props.position) / 1_000)}
      aria-valuetext={
        props.live
          ? t("live.label")
          : [
              `${longDate(props.position, regional())}, ${clockTime(props.position, regional())}`,
              props.data === null || recordedAt(props.position) ? "" : gapAt(props.position),
              eventsAt(props.position),
            ]
              .filter((part) => part !== "")
              .join("; ")
      }
      class="relative touch-none select-none focus-visible:-outline-offset-2"
      style={{ height: `${HEIGHT_PX}px`, cursor: cursor() }}
      data-testid="timeline"
      data-end={props.view.end / 1_000}
      onPointerDown={onDown}
      onPointerMove={onMove}
      onPointerUp={onUp}
      onPointerCancel={onUp}
      onPointerLeave={() => setHoverX(null)}
      onKeyDown={onKey}
    >
      <canvas ref={canvas} class="pointer-events-none absolute inset-0 h-full w-full" />
      <Show when={hoverAt()}>
        {(at) => (
          <div
            class="pointer-events-none absolute bottom-full z-30 mb-1.5 w-[212px] -translate-x-1/2 overflow-hidden rounded-lg border border-line-strong bg-raised text-center shadow-xl"
            style={{ left: `${tooltipX()}px` }}
          >
            <Show when={recordedAt(at())} fallback={<p class="px-2 pt-2 text-[12.5px] text-muted">{gapAt(at())}</p>}>
              <div class="relative aspect-video bg-stage">
                <Show when={still()}>{(found) => <StillView still={found()} />}</Show>
                <Show when={exact()}>
                  {(url) => <img src={url()} alt="" class="absolute inset-0 h-full w-full object-contain" />}
                </Show>
              </div>
            </Show>
            <Show when={eventsAt(at())}>
              {(types) => <p class="truncate px-2 pt-1.5 text-[12.5px] text-accent">{types()}</p>}
            </Show>
            <p class="px-2 py-1.5 text-[13px] tabular-nums" title={utcText(at())}>
              <span class="text-muted">{longDate(at(), regional())}</span>{" "}
              <span class="font-medium">{clockTime(at(), regional())}</span>
            </p>
          </div>
        )}
      </Show>
      <Show when={drag()?.kind === "start" || drag()?.kind === "end" ? props.selection : null}>
        {(span) => (
          <p class="pointer-events-none absolute top-1 right-2 rounded bg-raised px-2 text-[12.5px] tabular-nums">
            {durationText(span().end - span().start)}
          </p>
        )}
      </Show>
      <Show when={spanOf(props.view) > 48 * HOUR_MS && props.data === null}>
        <p class="absolute inset-x-0 bottom-5 text-center text-[12.5px] text-muted">{t("timeline.loading")}</p>
      </Show>
    </div>
  );
}
