import type { Span } from "@/shared/api/cameras";
import { type InstantMs, toLocalInput } from "@/shared/time/instant";

export type SpanKind = "day" | "week" | "range";

const MOST_DAYS = 62;

/** The local day of an instant, 2026-11-23. */
export const dayText = (at: InstantMs): string => toLocalInput(at).slice(0, 10);

/** Local midnight of a day, so many days later; null for what is no day. */
function midnight(day: string, plusDays = 0): InstantMs | null {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day);
  if (!match) return null;
  const at = new Date(Number(match[1]), Number(match[2]) - 1, Number(match[3]) + plusDays).getTime();
  return Number.isNaN(at) ? null : at;
}

/**
 * The chosen time: a day, the seven days that end with it, or from one day to another; null where the days are none, or
 * more than can be shown.
 */
export function chosenSpan(kind: SpanKind, day: string, to: string): Span | null {
  const from = midnight(day, kind === "week" ? -6 : 0);
  const end = midnight(kind === "range" ? to : day, 1);
  if (from === null || end === null || end <= from) return null;
  const days = Math.round((end - from) / 86_400_000);
  return days > MOST_DAYS ? null : { start: from, end };
}

/** A day, so many days on. */
export function laterDay(day: string, days: number): string {
  const at = midnight(day, days);
  return at === null ? day : dayText(at);
}
