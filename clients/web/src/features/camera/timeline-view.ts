import { DAY_MS, HOUR_MS, type InstantMs, MINUTE_MS, SECOND_MS } from "@/shared/time/instant";

/** The span of time that the timeline shows. */
export interface TimelineView {
  start: InstantMs;
  end: InstantMs;
}

export const SHORTEST_MS = MINUTE_MS;
export const LONGEST_MS = 62 * DAY_MS;
// So much of the view may lie in the future, so that "now" is not glued to the edge.
const FUTURE_SHARE = 0.12;

/** Presets of the length shown. */
export const SPANS_MS = [10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS] as const;

export const spanOf = (view: TimelineView): number => view.end - view.start;

/** The view within what is allowed: its length, and how far it reaches into the future. */
export function clampView(view: TimelineView, now: InstantMs): TimelineView {
  const length = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, spanOf(view)));
  const middle = (view.start + view.end) / 2;
  const latestEnd = now + length * FUTURE_SHARE;
  const end = Math.min(latestEnd, length === spanOf(view) ? view.end : middle + length / 2);
  return { start: end - length, end };
}

/** Makes the view `factor` times as long; what is at `anchor` stays where it is. */
export function zoomView(view: TimelineView, factor: number, anchor: InstantMs, now: InstantMs): TimelineView {
  const length = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, spanOf(view) * factor));
  const share = (anchor - view.start) / spanOf(view);
  const start = anchor - share * length;
  return clampView({ start, end: start + length }, now);
}

export function panView(view: TimelineView, byMs: number, now: InstantMs): TimelineView {
  return clampView({ start: view.start + byMs, end: view.end + byMs }, now);
}

/** A view of that length with `at` in its middle. */
export function centerView(at: InstantMs, length: number, now: InstantMs): TimelineView {
  return clampView({ start: at - length / 2, end: at + length / 2 }, now);
}

/** The view that follows `at` when it has left the shown part, turning by a page; the same view when it has not. */
export function followView(view: TimelineView, at: InstantMs, now: InstantMs): TimelineView {
  if (at >= view.start && at <= view.end) return view;
  return clampView({ start: at - spanOf(view) * 0.15, end: at + spanOf(view) * 0.85 }, now);
}

export const xOf = (at: InstantMs, view: TimelineView, widthPx: number): number =>
  ((at - view.start) / spanOf(view)) * widthPx;

export const atX = (x: number, view: TimelineView, widthPx: number): InstantMs =>
  view.start + (x / widthPx) * spanOf(view);

export interface Tick {
  at: InstantMs;
  /** Local midnight. */
  isDay: boolean;
}

export interface Ticks {
  stepMs: number;
  ticks: Tick[];
}

const STEPS_MS = [
  5 * SECOND_MS,
  10 * SECOND_MS,
  30 * SECOND_MS,
  MINUTE_MS,
  2 * MINUTE_MS,
  5 * MINUTE_MS,
  10 * MINUTE_MS,
  30 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  3 * HOUR_MS,
  6 * HOUR_MS,
  12 * HOUR_MS,
  DAY_MS,
  2 * DAY_MS,
  7 * DAY_MS,
];

/**
 * Marks at round local times, at least `apartPx` from each other. They are counted from local midnight by the local
 * clock, so that on the days when the clock is changed the hours still stand at full hours.
 */
export function ticksOf(view: TimelineView, widthPx: number, apartPx: number): Ticks {
  const wantedMs = (spanOf(view) / Math.max(1, widthPx)) * apartPx;
  const stepMs = STEPS_MS.find((step) => step >= wantedMs) ?? 14 * DAY_MS;
  const first = new Date(view.start);
  const ticks: Tick[] = [];
  const days = Math.max(1, Math.round(stepMs / DAY_MS));
  let day = new Date(first.getFullYear(), first.getMonth(), first.getDate());
  // Whole weeks and fortnights are counted from a fixed day, so that marks do not wander while panning.
  const dayNumber = Math.round((day.getTime() - day.getTimezoneOffset() * MINUTE_MS) / DAY_MS);
  if (stepMs >= DAY_MS) day = new Date(day.getFullYear(), day.getMonth(), day.getDate() - (dayNumber % days));
  let last = Number.NEGATIVE_INFINITY;
  const add = (at: InstantMs, isDay: boolean) => {
    if (at >= view.start && at <= view.end && at > last) {
      ticks.push({ at, isDay });
      last = at;
    }
  };
  for (let guard = 0; day.getTime() <= view.end && guard < 200; guard += 1) {
    const [year, month, date] = [day.getFullYear(), day.getMonth(), day.getDate()];
    const next = new Date(year, month, date + days);
    add(day.getTime(), true);
    if (stepMs < DAY_MS) {
      const from = Math.max(1, Math.floor((view.start - day.getTime() - 2 * HOUR_MS) / stepMs));
      for (let count = from; count * stepMs < DAY_MS; count += 1) {
        const at = new Date(year, month, date, 0, 0, 0, count * stepMs).getTime();
        if (at > view.end) break;
        if (at < next.getTime()) add(at, false);
      }
    }
    day = next;
  }
  return { stepMs, ticks };
}

/** The local midnights inside the view, and the one at or before its start. */
export function midnightsOf(view: TimelineView): InstantMs[] {
  const first = new Date(view.start);
  const found: InstantMs[] = [];
  for (let count = 0; count < 80; count += 1) {
    const at = new Date(first.getFullYear(), first.getMonth(), first.getDate() + count).getTime();
    if (at > view.end) break;
    found.push(at);
  }
  return found;
}
