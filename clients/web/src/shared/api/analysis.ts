import { DAY_MS, formatInstant } from "@/shared/time/instant";
import type {
  AnalysedFrame,
  AnalysisSettings,
  Box,
  CameraAnalysis,
  Count,
  DeviceFigures,
  HeatMap,
  Model,
  PoolFigures,
} from "./analysis-types";
import { cameraPath, listAll, type Span } from "./cameras";
import { json, request, requestJson } from "./client";
import type { Camera, Page } from "./types";

export type Step = "minute" | "hour" | "day";

const spanQuery = (span: Span): Record<string, string> => ({
  start: formatInstant(span.start),
  end: formatInstant(span.end),
});
const withSignal = (signal?: AbortSignal): RequestInit => (signal ? { signal } : {});

/** Changes how a camera's pictures are understood. */
export const saveAnalysis = (cameraId: string, analysis: AnalysisSettings): Promise<Camera> =>
  requestJson(cameraPath(cameraId), json("PATCH", { analysis }));

export const cameraAnalysis = (cameraId: string, signal?: AbortSignal): Promise<CameraAnalysis> =>
  requestJson(cameraPath(cameraId, "/analysis"), withSignal(signal));

export const listModels = (signal?: AbortSignal): Promise<Model[]> => listAll<Model>("/api/v1/ai/models", signal);

export const listDevices = (signal?: AbortSignal): Promise<DeviceFigures[]> =>
  listAll<DeviceFigures>("/api/v1/ai/devices", signal);

export const poolFigures = (signal?: AbortSignal): Promise<PoolFigures> =>
  requestJson("/api/v1/ai/pool", withSignal(signal));

/** What was followed, in order of time; the first `limit` pictures of the span. */
export async function detections(
  cameraId: string,
  span: Span,
  limit: number,
  signal: AbortSignal,
): Promise<AnalysedFrame[]> {
  const query = new URLSearchParams({ ...spanQuery(span), limit: String(limit) });
  const page: Page<AnalysedFrame> = await requestJson(`${cameraPath(cameraId, "/detections")}?${query}`, { signal });
  return page.items;
}

/** How many, by steps of time; of all cameras where none is named. */
export async function counts(
  cameraIds: readonly string[],
  span: Span,
  step: Step,
  signal: AbortSignal,
): Promise<Count[]> {
  const query = new URLSearchParams({ ...spanQuery(span), step });
  for (const id of cameraIds) query.append("camera_id", id);
  const page: Page<Count> = await requestJson(`/api/v1/analytics/counts?${query}`, { signal });
  return page.items;
}

/**
 * How long things stood where. The server adds up a day at most: a longer span is asked for by days, one after another,
 * and told to `partial` as it grows.
 */
export async function heatMap(
  cameraId: string,
  span: Span,
  signal: AbortSignal,
  partial: (map: HeatMap) => void = () => {},
): Promise<HeatMap> {
  let sum: HeatMap | null = null;
  const last = Math.min(span.end, Math.max(Date.now(), span.start + 1));
  for (let start = span.start; start < last; start += DAY_MS) {
    const query = new URLSearchParams(spanQuery({ start, end: Math.min(last, start + DAY_MS) }));
    const found: HeatMap = await requestJson(`${cameraPath(cameraId, "/heat-map")}?${query}`, { signal });
    sum = sum === null ? found : addHeat(sum, found);
    partial(sum);
  }
  return sum ?? { columns: 0, rows: 0, seconds: [] };
}

/** Both together; the later one alone where the cells are others. */
export function addHeat(before: HeatMap, found: HeatMap): HeatMap {
  if (before.columns !== found.columns || before.rows !== found.rows) return found;
  return { ...found, seconds: found.seconds.map((seconds, cell) => seconds + (before.seconds[cell] ?? 0)) };
}

/** The best picture of an event, and where in it that is which it is about. Raises Problem 404 where there is none. */
export async function eventStill(eventId: string, signal: AbortSignal): Promise<{ picture: Blob; box: Box | null }> {
  const answer = await request(`/api/v1/events/${encodeURIComponent(eventId)}/still.jpg`, { signal });
  return { picture: await answer.blob(), box: boxOf(answer.headers.get("Vms-Box")) };
}

function boxOf(header: string | null): Box | null {
  const sides = (header ?? "").split(",").map(Number.parseFloat);
  return sides.length === 4 && sides.every(Number.isFinite) ? (sides as Box) : null;
}
