import { describe, expect, it } from "vitest";
import { type EventFilter, lets, merged } from "./events";
import type { CameraEvent } from "./types";

const event = (id: string, start: string, more: Partial<CameraEvent> = {}): CameraEvent => ({
  id,
  camera_id: "a",
  type: "line.crossed",
  start,
  end: start,
  source: "api:x",
  score: null,
  text: "Gate, inwards",
  created_at: start,
  ...more,
});
const NONE: EventFilter = { cameraId: "", type: "", words: "", span: null };
const at = (minute: number) => `2026-11-23T10:${String(minute).padStart(2, "0")}:00.000000Z`;

describe("a list of events", () => {
  it("has each once, newest first, as it was told last", () => {
    const list = [event("2", at(20)), event("1", at(10), { end: null })];
    const found = merged(list, [event("1", at(10), { end: at(11) }), event("3", at(15)), event("4", at(20))]);
    expect(found.map(({ id }) => id)).toEqual(["4", "2", "3", "1"]);
    expect(found[3]?.end).toBe(at(11));
  });
  it("is filtered as the server would", () => {
    const some = event("1", at(10), { end: at(12) });
    const passes = (filter: Partial<EventFilter>) => lets({ ...NONE, ...filter }, some);
    expect(passes({})).toBe(true);
    expect(passes({ cameraId: "b" })).toBe(false);
    expect(passes({ type: "motion" })).toBe(false);
    expect(passes({ words: " GATE  crossed " })).toBe(true);
    expect(passes({ words: "gate outwards" })).toBe(false);
    const minutes = (from: number, to: number) => ({
      start: Date.UTC(2026, 10, 23, 10, from),
      end: Date.UTC(2026, 10, 23, 10, to),
    });
    expect(passes({ span: minutes(11, 20) })).toBe(true);
    expect(passes({ span: minutes(13, 20) })).toBe(false);
    expect(passes({ span: minutes(0, 10) })).toBe(false);
    expect(lets({ ...NONE, span: minutes(30, 40) }, event("2", at(10), { end: null }))).toBe(true);
  });
});
