import type { InstantMs } from "./instant";

const formatters = new Map<string, Intl.DateTimeFormat>();

// Making an Intl formatter costs about a hundred times what using one does, and the timeline asks many times a frame.
function formatter(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale} ${JSON.stringify(options)}`;
  let found = formatters.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, options);
    formatters.set(key, found);
  }
  return found;
}

/** 14:03 */
export function hourMinute(at: InstantMs, locale: string): string {
  return formatter(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
}

/** 14:03:27 */
export function clockTime(at: InstantMs, locale: string): string {
  return formatter(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(at);
}

/** 14:03:27.250, for stepping by frames */
export function clockTimeWithMs(at: InstantMs, locale: string): string {
  return formatter(locale, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
    hourCycle: "h23",
  }).format(at);
}

/** Mon, 23 Nov 2026 */
export function longDate(at: InstantMs, locale: string): string {
  return formatter(locale, { weekday: "short", day: "numeric", month: "short", year: "numeric" }).format(at);
}

/** November 2026 */
export function monthYear(at: InstantMs, locale: string): string {
  return formatter(locale, { month: "long", year: "numeric" }).format(at);
}

/** Mon 23 */
export function weekdayDay(at: InstantMs, locale: string): string {
  return formatter(locale, { weekday: "short", day: "numeric" }).format(at);
}

/** 23 Nov 2026, 14:03:27 */
export function dateAndTime(at: InstantMs, locale: string): string {
  return `${formatter(locale, { day: "numeric", month: "short", year: "numeric" }).format(at)}, ${clockTime(at, locale)}`;
}

/** 23 Nov 2026, 14:03:27 – 14:13:00; with the second date where it is another. */
export function spanText(start: InstantMs, end: InstantMs, locale: string): string {
  const isOneDay = new Date(start).toDateString() === new Date(end).toDateString();
  return `${dateAndTime(start, locale)} – ${isOneDay ? clockTime(end, locale) : dateAndTime(end, locale)}`;
}

/** 2026-11-23 17:03:27 UTC */
export function utcText(at: InstantMs): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The browser's zone at that instant, as GMT-3. */
export function zoneName(at: InstantMs, locale: string): string {
  const part = formatter(locale, { timeZoneName: "short" })
    .formatToParts(at)
    .find((entry) => entry.type === "timeZoneName");
  return part?.value ?? "";
}

/** A length of time as 1:02:03 or 02:03. */
export function durationText(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1_000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3_600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** Bytes in decimal units, as disks are sold: 1.5 GB. */
export function bytesText(bytes: number, locale: string): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${value.toLocaleString(locale, { maximumFractionDigits: digits })} ${units[unit]}`;
}

/** Bits per second: 4.0 Mbit/s. */
export function bitrateText(bitsPerSecond: number, locale: string): string {
  const inMega = bitsPerSecond >= 999_500;
  const value = inMega ? bitsPerSecond / 1e6 : bitsPerSecond / 1e3;
  const digits = inMega ? 1 : 0;
  return `${value.toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${
    inMega ? "Mbit/s" : "kbit/s"
  }`;
}
