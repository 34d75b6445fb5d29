import { For, type JSX } from "solid-js";
import { t } from "@/shared/i18n";
import { DAY_MS, HOUR_MS, type InstantMs, MINUTE_MS } from "@/shared/time/instant";
import { IconButton } from "@/shared/ui/Button";
import { centerView, panView, SPANS_MS, spanOf, type TimelineView, zoomView } from "./timeline-view";

/** How much time the timeline shows, and where. */
export function TimelineBar(props: {
  view: TimelineView;
  now: InstantMs;
  position: InstantMs;
  onView: (view: TimelineView) => void;
}): JSX.Element {
  // Short enough for a telephone, and the same in both languages.
  const name = (lengthMs: number): string => {
    if (lengthMs >= DAY_MS) return `${lengthMs / DAY_MS} d`;
    return lengthMs >= HOUR_MS ? `${lengthMs / HOUR_MS} h` : `${lengthMs / MINUTE_MS} min`;
  };
  const isShown = (lengthMs: number) => Math.abs(spanOf(props.view) / lengthMs - 1) < 0.02;
  const inside = () => props.position >= props.view.start && props.position <= props.view.end;
  const anchor = () => (inside() ? props.position : (props.view.start + props.view.end) / 2);
  const pan = (share: number) => props.onView(panView(props.view, spanOf(props.view) * share, props.now));
  return (
    <div class="flex items-center gap-1 border-line border-t px-2 py-0.5 text-muted">
      <IconButton
        class="h-8 max-sm:hidden"
        icon="chevronLeft"
        size={17}
        label={t("timeline.earlier")}
        onClick={() => pan(-0.7)}
      />
      <IconButton
        class="h-8 max-sm:hidden"
        icon="chevronRight"
        size={17}
        label={t("timeline.later")}
        onClick={() => pan(0.7)}
      />
      <fieldset class="mx-auto flex items-center gap-0.5">
        <legend class="sr-only">{t("timeline.span")}</legend>
        <For each={SPANS_MS}>
          {(lengthMs) => (
            <button
              type="button"
              class="h-7 whitespace-nowrap rounded-md px-1.5 text-[12.5px] tabular-nums hover:bg-hover hover:text-ink sm:px-2.5"
              classList={{ "bg-accent-soft text-accent font-medium": isShown(lengthMs) }}
              aria-pressed={isShown(lengthMs)}
              onClick={() => props.onView(centerView(anchor(), lengthMs, props.now))}
            >
              {name(lengthMs)}
            </button>
          )}
        </For>
      </fieldset>
      <IconButton
        class="h-8"
        icon="minus"
        size={17}
        label={t("timeline.zoomOut")}
        shortcut="-"
        onClick={() => props.onView(zoomView(props.view, 1 / 0.6, anchor(), props.now))}
      />
      <IconButton
        class="h-8"
        icon="plus"
        size={17}
        label={t("timeline.zoomIn")}
        shortcut="+"
        onClick={() => props.onView(zoomView(props.view, 0.6, anchor(), props.now))}
      />
    </div>
  );
}
