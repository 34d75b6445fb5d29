import type { Span } from "@/shared/api/cameras";
import type { InstantMs } from "@/shared/time/instant";

/** How much of a span is recorded. */
export function recordedWithin(ranges: readonly Span[], span: Span): number {
  let totalMs = 0;
  for (const range of ranges) {
    totalMs += Math.max(0, Math.min(range.end, span.end) - Math.max(range.start, span.start));
  }
  return totalMs;
}

/** What to offer for export: around what is seen, a fifth of the view long, ending by now. */
export function proposedSelection(position: InstantMs, viewLengthMs: number, now: InstantMs): Span {
  const lengthMs = Math.max(10_000, viewLengthMs / 5);
  const end = Math.min(now, position + lengthMs / 2);
  const whole = (at: InstantMs) => Math.round(at / 1_000) * 1_000;
  return { start: whole(end - lengthMs), end: whole(end) };
}
