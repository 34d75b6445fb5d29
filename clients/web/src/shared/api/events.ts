import { formatInstant, parseInstant } from "@/shared/time/instant";
import type { Span } from "./cameras";
import { requestJson } from "./client";
import type { CameraEvent, Page } from "./types";

/** Which events are wanted; what is empty or null does not count. */
export interface EventFilter {
  cameraId: string;
  type: string;
  /** Words that all occur in text or type. */
  words: string;
  /** Events that go on within it. */
  span: Span | null;
}

/** A page of events, newest start first. */
export function listEvents(
  filter: EventFilter,
  limit: number,
  cursor: string | null,
  signal?: AbortSignal,
): Promise<Page<CameraEvent>> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (filter.cameraId !== "") query.set("camera_id", filter.cameraId);
  if (filter.type !== "") query.set("type", filter.type);
  if (filter.words.trim() !== "") query.set("q", filter.words.trim());
  if (filter.span) {
    query.set("start", formatInstant(filter.span.start));
    query.set("end", formatInstant(filter.span.end));
  }
  if (cursor !== null) query.set("cursor", cursor);
  return requestJson(`/api/v1/events?${query}`, signal ? { signal } : {});
}

/** Whether the filter lets an event through, as the server would. */
export function lets(filter: EventFilter, event: CameraEvent): boolean {
  if (filter.cameraId !== "" && event.camera_id !== filter.cameraId) return false;
  if (filter.type !== "" && event.type !== filter.type) return false;
  const told = `${event.text} ${event.type}`.toLowerCase();
  if (
    !filter.words
      .toLowerCase()
      .split(/\s+/)
      .every((word) => told.includes(word))
  )
    return false;
  if (!filter.span) return true;
  const end = event.end === null ? Number.POSITIVE_INFINITY : parseInstant(event.end);
  return parseInstant(event.start) < filter.span.end && end >= filter.span.start;
}

/** A list, newest start first, with some events put in; those that it has already are replaced. */
export function merged(list: readonly CameraEvent[], found: readonly CameraEvent[]): CameraEvent[] {
  const byId = new Map(list.map((event) => [event.id, event]));
  for (const event of found) byId.set(event.id, event);
  // As the server orders them: by start, then by identifier. Times are all written alike, so that text compares.
  return [...byId.values()].sort((a, b) => compare(b.start, a.start) || compare(b.id, a.id));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
