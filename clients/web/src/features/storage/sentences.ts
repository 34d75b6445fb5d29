import type { Volume } from "@/shared/api/types";
import { type CountedKey, type Key, regional, t, tn } from "@/shared/i18n";

/** A sentence of the texts, and the number in it where there is one. */
export type Sentence = { key: Key } | { counted: CountedKey; count: number };

/** How long a volume lasts. */
export function forecastOf(volume: Pick<Volume, "state" | "weight" | "tier" | "forecast">): Sentence {
  if (volume.state === "missing") return { key: "storage.missing" };
  const { outcome, days_left: days } = volume.forecast;
  if (outcome === "unknown" || days === null) return { key: "storage.unknown" };
  // Days are rounded down: what is told must not come sooner.
  const whole = Math.floor(days);
  if (outcome === "retention") return { counted: "storage.replacedAfter", count: Math.max(1, Math.round(days)) };
  return whole < 1 ? { key: "storage.fullNow" } : { counted: "storage.fullIn", count: whole };
}

export function say(sentence: Sentence): string {
  return "key" in sentence ? t(sentence.key) : tn(sentence.counted, sentence.count);
}

/** What to do about a volume's state; null while it is well. */
export function adviceOf(volume: Pick<Volume, "state">): Key | null {
  return volume.state === "ok" ? null : `storage.advice.${volume.state}`;
}

/** The shares of a volume's bar, from 0 to 1; recorded, other and free make 1. */
export function sharesOf(volume: Pick<Volume, "total_bytes" | "free_bytes" | "recorded_bytes" | "reserve_bytes">): {
  recorded: number;
  other: number;
  free: number;
  /** Where the reserve begins, from the left. */
  reserveAt: number;
} {
  const total = volume.total_bytes;
  if (total <= 0) return { recorded: 0, other: 0, free: 0, reserveAt: 1 };
  const share = (bytes: number) => Math.min(1, Math.max(0, bytes / total));
  const free = share(volume.free_bytes);
  const recorded = Math.min(1 - free, share(volume.recorded_bytes));
  return { recorded, free, other: 1 - free - recorded, reserveAt: 1 - share(volume.reserve_bytes) };
}

/** So many days, the first ten with a decimal place. */
export function daysText(days: number | null): string {
  if (days === null) return "–";
  return tn("cameras.days", days, {
    count: days.toLocaleString(regional(), { maximumFractionDigits: days < 10 ? 1 : 0 }),
  });
}
