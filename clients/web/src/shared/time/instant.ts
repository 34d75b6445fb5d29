/** Instants are milliseconds since the Unix epoch as floating-point numbers; the fraction carries the µs. */
export type InstantMs = number;

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|z|[+-]\d{2}:?\d{2})$/;

/**
 * The instant of an RFC 3339 time (§5.6), digits past the µs cut off; also takes the colon-less offset that HLS
 * playlists may carry. NaN where the text is no time.
 */
export function parseInstant(text: string): InstantMs {
  const match = RFC_3339.exec(text);
  if (!match) return Number.NaN;
  const zone = (match[4] ?? "Z").toUpperCase().replace(/^([+-]\d{2})(\d{2})$/, "$1:$2");
  const wholeSecondsMs = Date.parse(`${match[1]}T${match[2]}${zone}`);
  const micros = Number((match[3] ?? "").padEnd(6, "0").slice(0, 6));
  return wholeSecondsMs + micros / 1_000;
}

/** RFC 3339 with µs and `Z`, as the interface writes times. */
export function formatInstant(at: InstantMs): string {
  let wholeSecondsMs = Math.floor(at / SECOND_MS) * SECOND_MS;
  let micros = Math.round((at - wholeSecondsMs) * 1_000);
  if (micros >= 1_000_000) {
    micros = 0;
    wholeSecondsMs += SECOND_MS;
  }
  return `${new Date(wholeSecondsMs).toISOString().slice(0, 19)}.${String(micros).padStart(6, "0")}Z`;
}

/** The value of an `<input type="datetime-local" step="1">` for an instant, in the browser's time zone. */
export function toLocalInput(at: InstantMs): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The instant that such an input names; null while it names none. */
export function fromLocalInput(value: string): InstantMs | null {
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : at;
}
