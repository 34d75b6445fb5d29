import type { Span } from "@/shared/api/cameras";
import { type InstantMs, toLocalInput } from "@/shared/time/instant";

/** The local day of an instant, 2026-11-23. */
export const dayText = (at: InstantMs): string => toLocalInput(at).slice(0, 10);

/** A local day from midnight to midnight, of 23 or 25 hours where the clock is set; null for what is no day. */
export function spanOfDay(day: string): Span | null {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day);
  if (!match) return null;
  const [year, month, date] = [Number(match[1]), Number(match[2]) - 1, Number(match[3])];
  return { start: new Date(year, month, date).getTime(), end: new Date(year, month, date + 1).getTime() };
}
