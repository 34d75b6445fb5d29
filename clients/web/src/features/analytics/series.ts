import type { Count } from "@/shared/api/analysis-types";
import type { Span } from "@/shared/api/cameras";
import { HOUR_MS, type InstantMs, parseInstant } from "@/shared/time/instant";

/** What counts are put into: hours, local days, or the hours of the day, all days together. */
export type Unit = "hour" | "day" | "clock";

export interface Bucket {
  start: InstantMs;
  end: InstantMs;
}

/** Values by bucket and key; the keys with the most first. */
export interface Stack {
  keys: string[];
  /** Row by bucket, in the order of the keys. */
  rows: number[][];
  totals: number[];
}

export const OTHER = "";
// More than these cannot be told apart by colour.
const MOST_KEYS = 6;

/** The span cut into hours or local days (of 23 or 25 hours where clocks are set), or the day's 24 hours. */
export function bucketsOf(span: Span, unit: Unit): Bucket[] {
  const buckets: Bucket[] = [];
  if (unit === "clock") {
    const midnight = new Date(span.start);
    midnight.setHours(0, 0, 0, 0);
    for (let hour = 0; hour < 24; hour += 1) {
      const start = midnight.getTime() + hour * HOUR_MS;
      buckets.push({ start, end: start + HOUR_MS });
    }
    return buckets;
  }
  let start = span.start;
  while (start < span.end) {
    const next = new Date(start);
    if (unit === "day") next.setHours(24, 0, 0, 0);
    const end = Math.min(span.end, unit === "day" ? next.getTime() : start + HOUR_MS);
    buckets.push({ start, end });
    start = end;
  }
  return buckets;
}

/** Which bucket an instant belongs to; -1 for none. */
export function bucketOf(buckets: readonly Bucket[], unit: Unit, at: InstantMs): number {
  if (unit === "clock") return new Date(at).getHours();
  let [low, high] = [0, buckets.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((buckets[middle]?.end ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return (buckets[low]?.start ?? Number.POSITIVE_INFINITY) <= at ? low : -1;
}

/** Sums counts by bucket and key; the smaller ones beyond what colours can tell are OTHER. */
export function stackOf(
  counts: readonly Count[],
  buckets: readonly Bucket[],
  unit: Unit,
  keyOf: (count: Count) => string,
): Stack {
  const totals = new Map<string, number>();
  for (const count of counts) totals.set(keyOf(count), (totals.get(keyOf(count)) ?? 0) + count.count);
  const ordered = [...totals].filter(([, total]) => total > 0).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const keys = ordered.slice(0, ordered.length > MOST_KEYS + 1 ? MOST_KEYS : MOST_KEYS + 1).map(([key]) => key);
  if (ordered.length > keys.length) keys.push(OTHER);
  const rows = buckets.map(() => keys.map(() => 0));
  for (const count of counts) {
    const row = rows[bucketOf(buckets, unit, parseInstant(count.start))];
    if (!row || count.count === 0) continue;
    const place = keys.indexOf(keyOf(count));
    const index = place === -1 ? keys.indexOf(OTHER) : place;
    row[index] = (row[index] ?? 0) + count.count;
  }
  return { keys, rows, totals: keys.map((_, index) => rows.reduce((sum, row) => sum + (row[index] ?? 0), 0)) };
}

/** How many were inside at once, by bucket: the mean of the steps' means, and the highest peak; null where unknown. */
export function occupancyOf(
  counts: readonly Count[],
  buckets: readonly Bucket[],
  unit: Unit,
): { mean: number; peak: number }[] {
  // Several classes of one zone in one step are there together; several steps follow each other.
  const steps = new Map<string, { bucket: number; mean: number; peak: number }>();
  for (const count of counts) {
    const bucket = bucketOf(buckets, unit, parseInstant(count.start));
    if (bucket === -1) continue;
    const step = steps.get(count.start);
    if (step) {
      step.mean += count.mean;
      step.peak += count.peak;
    } else steps.set(count.start, { bucket, mean: count.mean, peak: count.peak });
  }
  const found = buckets.map(() => ({ mean: 0, peak: 0, steps: 0 }));
  for (const step of steps.values()) {
    const into = found[step.bucket];
    if (!into) continue;
    into.mean += step.mean;
    into.peak = Math.max(into.peak, step.peak);
    into.steps += 1;
  }
  return found.map(({ mean, peak, steps: number }) => ({ mean: number > 0 ? mean / number : 0, peak }));
}

/** The values at which an axis from 0 has lines: round ones, whole where the highest is small. */
export function ticksTo(highest: number, about = 4): number[] {
  if (!(highest > 0)) return [0, 1];
  const rough = highest / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((round) => round * power >= rough) ?? 10;
  const step = Math.max(factor * power, highest >= 1 ? Math.min(1, highest) : 0);
  const ticks: number[] = [];
  for (let index = 0; ; index += 1) {
    const value = Math.round(index * step * 1e6) / 1e6;
    ticks.push(value);
    if (value >= highest) return ticks;
  }
}

/** Text of comma-separated values (RFC 4180) with a line for the names. */
export function csvOf(names: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cell = (value: string | number): string => {
    const text = String(value);
    // A text that begins like a formula must not become one in a spreadsheet.
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [names, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
