import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { type RecordedTimeline, timelineOf } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import { spanOf, type TimelineView } from "./timeline-view";

export interface TimelineData extends RecordedTimeline {
  start: number;
  end: number;
}

// A view that moves asks once it has rested this long.
const REST_MS = 120;
// While the present is in view, what was recorded meanwhile is asked for this often.
const REFRESH_MS = 5_000;
const RETRY_MS = 4_000;

/** The recorded ranges around the view: loaded with a margin, so that panning shows no holes. */
export function createTimelineData(
  cameraId: Accessor<string>,
  view: Accessor<TimelineView>,
): { data: Accessor<TimelineData | null>; problem: Accessor<Problem | null> } {
  const [data, setData] = createSignal<TimelineData | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let aborter = new AbortController();

  const isEnough = (shown: TimelineView): boolean => {
    const loaded = data();
    if (!loaded || loaded.start > shown.start || loaded.end < shown.end) return false;
    // Far wider than the view: the refreshes would carry more than they need.
    return loaded.end - loaded.start <= spanOf(shown) * 12;
  };
  const load = async () => {
    aborter.abort();
    aborter = new AbortController();
    const { signal } = aborter;
    const shown = view();
    const margin = spanOf(shown);
    const span = { start: shown.start - margin, end: shown.end + margin };
    try {
      const found = await timelineOf(cameraId(), span, signal);
      setData({ ...found, ...span });
      setProblem(null);
      // The view may have left the loaded part meanwhile.
      schedule(isEnough(view()) ? REFRESH_MS : REST_MS);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
      if (error.isTemporary) schedule(RETRY_MS);
    }
  };
  const schedule = (waitMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const seesNow = view().end >= Date.now() - spanOf(view()) * 0.05;
      const { visibilityState } = document;
      if (waitMs === REFRESH_MS && (!seesNow || visibilityState !== "visible")) schedule(REFRESH_MS);
      else void load();
    }, waitMs);
  };

  createEffect(
    on(cameraId, () => {
      setData(null);
      setProblem(null);
      void load();
    }),
  );
  createEffect(
    on(
      view,
      (shown) => {
        if (!isEnough(shown)) schedule(REST_MS);
      },
      { defer: true },
    ),
  );
  onCleanup(() => {
    clearTimeout(timer);
    aborter.abort();
  });
  return { data, problem };
}
