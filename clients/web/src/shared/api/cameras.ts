import { formatInstant, type InstantMs, parseInstant } from "@/shared/time/instant";
import { json, request, requestJson } from "./client";
import type { Camera, CameraDraft, CameraStatus, Page, StreamName, ThumbnailGrids, Timeline } from "./types";

const BASE = "/api/v1/cameras";

/** The address of a camera's resource; `part` begins with a slash or is empty. */
export const cameraPath = (cameraId: string, part = ""): string => `${BASE}/${encodeURIComponent(cameraId)}${part}`;

/** Every camera, page after page, in the server's order. */
export async function listCameras(signal?: AbortSignal): Promise<Camera[]> {
  return listAll<Camera>(BASE, signal);
}

/** Every item of a list that comes in pages. */
export async function listAll<Item>(path: string, signal?: AbortSignal): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: "500" });
    if (cursor !== null) query.set("cursor", cursor);
    const page: Page<Item> = await requestJson(`${path}?${query}`, signal ? { signal } : {});
    items.push(...page.items);
    cursor = page.next_cursor ?? null;
  } while (cursor !== null);
  return items;
}

export const getCamera = (cameraId: string, signal?: AbortSignal): Promise<Camera> =>
  requestJson(cameraPath(cameraId), signal ? { signal } : {});

export const getStatus = (cameraId: string, signal?: AbortSignal): Promise<CameraStatus> =>
  requestJson(cameraPath(cameraId, "/status"), signal ? { signal } : {});

export const addCamera = (draft: CameraDraft): Promise<Camera> => requestJson(BASE, json("POST", draft));

/** JSON merge patch (RFC 7396): what is absent stays, null removes. */
export const patchCamera = (cameraId: string, patch: Partial<CameraDraft>): Promise<Camera> =>
  requestJson(cameraPath(cameraId), json("PATCH", patch));

export async function removeCamera(cameraId: string): Promise<void> {
  await request(cameraPath(cameraId), { method: "DELETE" });
}

/** A JPEG of what the camera shows now, scaled down to `heightPx`. */
export async function snapshot(
  cameraId: string,
  heightPx: number,
  stream: StreamName,
  signal: AbortSignal,
): Promise<Blob> {
  const query = new URLSearchParams({ height: String(heightPx), stream });
  return (await request(`${cameraPath(cameraId, "/snapshot.jpg")}?${query}`, { signal })).blob();
}

/** A JPEG of what was recorded at that instant. Raises Problem 404 where nothing was. */
export async function frameAt(cameraId: string, at: InstantMs, heightPx: number, signal: AbortSignal): Promise<Blob> {
  const query = new URLSearchParams({ at: formatInstant(at), height: String(heightPx) });
  return (await request(`${cameraPath(cameraId, "/frame.jpg")}?${query}`, { signal })).blob();
}

/** The stills of an hour, in one picture: a cell every `periodMs`, row by row. */
export interface ThumbnailGrid {
  start: InstantMs;
  /** What lies before is in it. */
  madeUntil: InstantMs;
  columns: number;
  rows: number;
  cellWidth: number;
  cellHeight: number;
  periodMs: number;
  /** Whether a cell shows something. */
  shown: boolean[];
}

/** What the stills of the hour that begins at `start` look like; null where there are none. */
export async function thumbnailGrid(
  cameraId: string,
  start: InstantMs,
  signal: AbortSignal,
): Promise<ThumbnailGrid | null> {
  const query = new URLSearchParams({ start: formatInstant(start), end: formatInstant(start + 1) });
  const found: ThumbnailGrids = await requestJson(`${cameraPath(cameraId, "/thumbnails")}?${query}`, { signal });
  const [grid] = found.items;
  if (!grid) return null;
  return {
    start: parseInstant(grid.start),
    madeUntil: parseInstant(grid.made_until),
    columns: grid.columns,
    rows: grid.rows,
    cellWidth: grid.cell_width,
    cellHeight: grid.cell_height,
    periodMs: grid.period_s * 1_000,
    shown: grid.times.map((time) => time !== null),
  };
}

/** The picture of all stills of the hour that begins at `start`. Raises Problem 404 where there are none. */
export async function thumbnailImage(cameraId: string, start: InstantMs, signal: AbortSignal): Promise<Blob> {
  const query = new URLSearchParams({ at: formatInstant(start) });
  return (await request(`${cameraPath(cameraId, "/thumbnails.webp")}?${query}`, { signal })).blob();
}

/** The half-open span [start, end). */
export interface Span {
  start: InstantMs;
  end: InstantMs;
}

export interface RecordedTimeline {
  /** Recorded without a gap, in order of time. */
  ranges: Span[];
  gaps: (Span & { cause: string })[];
  /** What happened, in order of its beginning. */
  events: EventMark[];
}

export interface EventMark {
  id: string;
  type: string;
  start: InstantMs;
  /** null while it goes on. */
  end: InstantMs | null;
}

/** What of a span is recorded on the main stream. */
export async function timelineOf(cameraId: string, span: Span, signal?: AbortSignal): Promise<RecordedTimeline> {
  const query = new URLSearchParams({ start: formatInstant(span.start), end: formatInstant(span.end) });
  const path = `${cameraPath(cameraId, "/timeline")}?${query}`;
  const found: Timeline = await requestJson(path, signal ? { signal } : {});
  const ranges = found.ranges.filter((range) => range.stream === undefined || range.stream === "main");
  const bySpan = (a: Span, b: Span) => a.start - b.start;
  return {
    ranges: ranges.map((range) => ({ start: parseInstant(range.start), end: parseInstant(range.end) })).sort(bySpan),
    gaps: found.gaps
      .map((gap) => ({ start: parseInstant(gap.start), end: parseInstant(gap.end), cause: gap.cause }))
      .sort(bySpan),
    events: found.events.map(({ id, type, start, end }) => ({
      id,
      type,
      start: parseInstant(start),
      end: end === null ? null : parseInstant(end),
    })),
  };
}
