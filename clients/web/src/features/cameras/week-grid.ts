import type { Day, Schedule, Slot, SlotMode } from "@/shared/api/types";

export const DAYS: readonly Day[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
export const MODES: readonly SlotMode[] = ["continuous", "motion", "event", "off"];
export const STEP_MINUTES = 30;
export const STEPS = (24 * 60) / STEP_MINUTES;

/** A day in steps of half an hour, each with what is recorded then. */
export type Row = readonly SlotMode[];
export type WeekGrid = Record<Day, Row>;

/** Cells from one step until before another, on some days. */
export interface Block {
  days: readonly Day[];
  from: number;
  to: number;
}

export const rowOf = (mode: SlotMode): Row => Array.from({ length: STEPS }, () => mode);

/** A week of which every cell is the same. */
export function gridOf(mode: SlotMode): WeekGrid {
  return Object.fromEntries(DAYS.map((day) => [day, rowOf(mode)])) as WeekGrid;
}

/** Minutes since midnight of "HH:MM"; 1440 of "24:00". */
export function minutesOf(text: string): number {
  const [hours = "0", minutes = "0"] = text.split(":");
  return Number(hours) * 60 + Number(minutes);
}

/** "HH:MM" of a step's beginning; "24:00" of the one after the last. */
export function stepTime(step: number): string {
  const minutes = step * STEP_MINUTES;
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The row of a day's slots. A half hour has the mode that its beginning has, or of a slot that begins within it. */
export function readSlots(slots: readonly Slot[]): Row {
  const row: SlotMode[] = [...rowOf("off")];
  for (const slot of slots) {
    const first = Math.floor(minutesOf(slot.from) / STEP_MINUTES);
    const last = Math.ceil(minutesOf(slot.to) / STEP_MINUTES);
    for (let step = first; step < last; step += 1) row[step] = slot.mode ?? "continuous";
  }
  return row;
}

/**
 * The slots of a row; what is off has none. Where the row says no more than `before` did, `before` is kept: slots may
 * begin at any minute, and a plan that nobody touched must not change.
 */
export function writeSlots(row: Row, before: readonly Slot[] = []): Slot[] {
  if (before.length > 0 && readSlots(before).every((mode, step) => mode === row[step])) return [...before];
  const slots: Slot[] = [];
  let from = 0;
  for (let step = 1; step <= STEPS; step += 1) {
    const mode = row[from] ?? "off";
    if (step < STEPS && row[step] === mode) continue;
    if (mode !== "off") slots.push({ from: stepTime(from), to: stepTime(step), mode });
    from = step;
  }
  return slots;
}

export function readWeek(week: Schedule["week"]): WeekGrid {
  return Object.fromEntries(DAYS.map((day) => [day, readSlots(week[day] ?? [])])) as WeekGrid;
}

/** Every day is named, so that a merge patch takes away what was there. */
export function writeWeek(grid: WeekGrid, before: Schedule["week"] = {}): Record<Day, Slot[]> {
  return Object.fromEntries(DAYS.map((day) => [day, writeSlots(grid[day], before[day])])) as Record<Day, Slot[]>;
}

/** The grid with a block of it painted. */
export function paint(grid: WeekGrid, block: Block, mode: SlotMode): WeekGrid {
  const painted = { ...grid };
  for (const day of block.days) {
    painted[day] = grid[day].map((before, step) => (step >= block.from && step < block.to ? mode : before));
  }
  return painted;
}

/** The grid with some days the same as one. */
export function copyDay(grid: WeekGrid, from: Day, to: readonly Day[]): WeekGrid {
  const copied = { ...grid };
  for (const day of to) copied[day] = grid[from];
  return copied;
}

/** The block between two cells, whichever corner each is. */
export function blockBetween(one: { day: Day; step: number }, other: { day: Day; step: number }): Block {
  const [first, last] = [DAYS.indexOf(one.day), DAYS.indexOf(other.day)].sort((a, b) => a - b) as [number, number];
  return {
    days: DAYS.slice(first, last + 1),
    from: Math.min(one.step, other.step),
    to: Math.max(one.step, other.step) + 1,
  };
}

/** The mode that a whole day has; null where it has several or other times than the grid's. */
export function wholeDayMode(slots: readonly Slot[]): SlotMode | null {
  if (slots.length === 0) return "off";
  const [only] = slots;
  const isWhole = slots.length === 1 && only?.from === "00:00" && only.to === "24:00";
  return isWhole ? (only.mode ?? "continuous") : null;
}

/** Every time zone that the browser knows, its own first. */
export function timeZones(chosen: string): string[] {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  return [...new Set([own, chosen, "UTC", ...Intl.supportedValuesOf("timeZone")].filter((zone) => zone !== ""))];
}
