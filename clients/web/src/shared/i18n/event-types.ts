import { type Key, t } from "./index";

const KNOWN: Record<string, Key> = { motion: "event.motion", "line.crossed": "event.lineCrossed" };

/** What an event's type is called; types that nobody translated are shown as they are. */
export function eventTypeText(type: string): string {
  const key = KNOWN[type];
  return key ? t(key) : type;
}
