import type { Span } from "@/shared/api/cameras";
import { clockTime, hourMinute, longDate, monthYear, weekdayDay } from "@/shared/time/format";
import { DAY_MS, type InstantMs, MINUTE_MS } from "@/shared/time/instant";
import type { TimelineData } from "./timeline-data";
import { midnightsOf, type TimelineView, ticksOf, xOf } from "./timeline-view";

export interface TimelineColours {
  ground: string;
  recorded: string;
  gap: string;
  line: string;
  lineStrong: string;
  ink: string;
  muted: string;
  accent: string;
  select: string;
  rec: string;
}

export interface TimelinePicture {
  view: TimelineView;
  data: TimelineData | null;
  now: InstantMs;
  position: InstantMs | null;
  live: boolean;
  hover: InstantMs | null;
  selection: Span | null;
  locale: string;
}

export const DATE_ROW_PX = 19;
export const HOUR_ROW_PX = 18;
export const BAR_TOP_PX = DATE_ROW_PX + HOUR_ROW_PX;
export const HEIGHT_PX = 88;
const BAR_BOTTOM_PX = HEIGHT_PX - 10;
// The least width of an event.
const EVENT_PX = 2;
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";

export function readColours(element: Element): TimelineColours {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    ground: read("--timeline-ground"),
    recorded: read("--timeline-recorded"),
    gap: read("--timeline-gap"),
    line: read("--line"),
    lineStrong: read("--line-strong"),
    ink: read("--ink"),
    muted: read("--muted"),
    accent: read("--accent"),
    select: read("--timeline-select"),
    rec: read("--rec"),
  };
}

/** Draws the timeline; `context` is scaled so that one unit is one CSS pixel. */
export function drawTimeline(
  context: CanvasRenderingContext2D,
  widthPx: number,
  picture: TimelinePicture,
  colours: TimelineColours,
): void {
  const { view } = picture;
  const x = (at: InstantMs) => xOf(at, view, widthPx);
  context.clearRect(0, 0, widthPx, HEIGHT_PX);
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, widthPx, HEIGHT_PX);
  context.fillStyle = colours.gap;
  context.fillRect(0, BAR_TOP_PX, widthPx, BAR_BOTTOM_PX - BAR_TOP_PX);

  drawRanges(context, widthPx, picture, colours);
  drawFuture(context, widthPx, x(picture.now), colours);
  drawTicks(context, widthPx, picture, colours);
  drawEvents(context, widthPx, picture, colours);
  if (picture.selection) drawSelection(context, widthPx, x(picture.selection.start), x(picture.selection.end), colours);
  if (picture.hover !== null) {
    context.fillStyle = colours.muted;
    context.fillRect(Math.round(x(picture.hover)), BAR_TOP_PX - 4, 1, BAR_BOTTOM_PX - BAR_TOP_PX + 8);
  }
  drawPlayhead(
    context,
    x(picture.live || picture.position === null ? picture.now : picture.position),
    picture.live,
    colours,
  );
}

function drawRanges(
  context: CanvasRenderingContext2D,
  widthPx: number,
  picture: TimelinePicture,
  colours: TimelineColours,
): void {
  if (!picture.data) return;
  context.fillStyle = colours.recorded;
  // Ranges of less than a pixel are drawn a pixel wide, and those that touch as one: a month has thousands.
  let openFrom = Number.NaN;
  let openTo = Number.NaN;
  const flush = () => {
    if (!Number.isNaN(openFrom)) {
      context.fillRect(openFrom, BAR_TOP_PX + 3, Math.max(1, openTo - openFrom), BAR_BOTTOM_PX - BAR_TOP_PX - 6);
    }
  };
  for (const range of picture.data.ranges) {
    if (range.end < picture.view.start) continue;
    if (range.start > picture.view.end) break;
    const from = Math.max(0, xOf(range.start, picture.view, widthPx));
    const to = Math.min(widthPx, xOf(range.end, picture.view, widthPx));
    if (from <= openTo + 0.5) {
      openTo = Math.max(openTo, to);
      continue;
    }
    flush();
    openFrom = from;
    openTo = Math.max(to, from + 1);
  }
  flush();
}

/** A strip below the bar: a mark where something happened, as long as it lasted. */
function drawEvents(
  context: CanvasRenderingContext2D,
  widthPx: number,
  picture: TimelinePicture,
  colours: TimelineColours,
): void {
  context.fillStyle = colours.accent;
  // Of thousands in a month those that share pixels are drawn once.
  let drawnTo = Number.NEGATIVE_INFINITY;
  for (const event of picture.data?.events ?? []) {
    const start = xOf(event.start, picture.view, widthPx);
    const end = Math.max(start + EVENT_PX, xOf(event.end ?? picture.now, picture.view, widthPx));
    const to = Math.min(widthPx, end);
    if (start > widthPx || to <= Math.max(0, drawnTo)) continue;
    const left = Math.max(0, start, drawnTo);
    context.fillRect(left, BAR_BOTTOM_PX + 3, to - left, 4);
    drawnTo = to;
  }
}

function drawFuture(context: CanvasRenderingContext2D, widthPx: number, nowX: number, colours: TimelineColours): void {
  if (nowX >= widthPx) return;
  const from = Math.max(0, nowX);
  context.save();
  context.beginPath();
  context.rect(from, BAR_TOP_PX, widthPx - from, BAR_BOTTOM_PX - BAR_TOP_PX);
  context.clip();
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.beginPath();
  for (let at = from - 60; at < widthPx + 60; at += 7) {
    context.moveTo(at, BAR_BOTTOM_PX);
    context.lineTo(at + (BAR_BOTTOM_PX - BAR_TOP_PX), BAR_TOP_PX);
  }
  context.stroke();
  context.restore();
}

function drawTicks(
  context: CanvasRenderingContext2D,
  widthPx: number,
  picture: TimelinePicture,
  colours: TimelineColours,
): void {
  const { view, locale } = picture;
  const { stepMs, ticks } = ticksOf(view, widthPx, 74);
  context.textBaseline = "middle";
  context.font = `12px ${FONT}`;
  for (const tick of ticks) {
    const at = Math.round(xOf(tick.at, view, widthPx));
    context.fillStyle = tick.isDay ? colours.lineStrong : colours.line;
    context.fillRect(at, tick.isDay ? 0 : BAR_TOP_PX - 5, 1, HEIGHT_PX);
    const text =
      stepMs >= DAY_MS
        ? weekdayDay(tick.at, locale)
        : stepMs < MINUTE_MS
          ? clockTime(tick.at, locale)
          : hourMinute(tick.at, locale);
    context.fillStyle = colours.muted;
    context.textAlign = "left";
    if (at + 5 + context.measureText(text).width < widthPx)
      context.fillText(text, at + 5, DATE_ROW_PX + HOUR_ROW_PX / 2);
  }
  // Dates stand at their midnight and stay at the left edge while their day goes on.
  context.font = `600 12px ${FONT}`;
  const midnights = midnightsOf(view);
  let freeFrom = 0;
  for (const [index, at] of midnights.entries()) {
    const next = midnights[index + 1];
    const nextX = next === undefined ? widthPx : xOf(next, view, widthPx);
    const shown = stepMs >= DAY_MS ? monthLabel(at, locale, index) : longDate(at, locale);
    if (shown === null) continue;
    const textWidth = context.measureText(shown).width;
    const from = Math.max(xOf(at, view, widthPx) + 5, 6);
    if (from < freeFrom || (from + textWidth > nextX - 4 && index < midnights.length - 1 && stepMs < DAY_MS)) continue;
    if (from + textWidth > widthPx) continue;
    context.fillStyle = colours.ink;
    context.fillText(shown, from, DATE_ROW_PX / 2 + 1);
    freeFrom = from + textWidth + 14;
  }
}

function monthLabel(at: InstantMs, locale: string, index: number): string | null {
  const date = new Date(at);
  if (index > 0 && date.getDate() !== 1) return null;
  return monthYear(at, locale);
}

function drawSelection(
  context: CanvasRenderingContext2D,
  widthPx: number,
  from: number,
  to: number,
  colours: TimelineColours,
): void {
  context.save();
  context.globalAlpha = 0.28;
  context.fillStyle = colours.select;
  context.fillRect(from, BAR_TOP_PX - 2, to - from, BAR_BOTTOM_PX - BAR_TOP_PX + 4);
  context.restore();
  context.fillStyle = colours.select;
  context.fillRect(from, BAR_TOP_PX - 3, Math.max(1, to - from), 2);
  context.fillRect(from, BAR_BOTTOM_PX + 1, Math.max(1, to - from), 2);
  for (const [at, side] of [
    [from, -1],
    [to, 1],
  ] as const) {
    if (at < -20 || at > widthPx + 20) continue;
    context.beginPath();
    context.roundRect(
      side < 0 ? at - 7 : at,
      BAR_TOP_PX - 3,
      7,
      BAR_BOTTOM_PX - BAR_TOP_PX + 6,
      side < 0 ? [4, 0, 0, 4] : [0, 4, 4, 0],
    );
    context.fill();
    context.fillStyle = "rgba(0, 0, 0, 0.55)";
    context.fillRect(side < 0 ? at - 4.5 : at + 2.5, BAR_TOP_PX + 12, 2, BAR_BOTTOM_PX - BAR_TOP_PX - 24);
    context.fillStyle = colours.select;
  }
}

function drawPlayhead(context: CanvasRenderingContext2D, x: number, live: boolean, colours: TimelineColours): void {
  const at = Math.round(x) + 0.5;
  const colour = live ? colours.rec : colours.ink;
  context.fillStyle = colour;
  context.fillRect(at - 1, BAR_TOP_PX - 6, 2, HEIGHT_PX - BAR_TOP_PX + 2);
  context.beginPath();
  context.moveTo(at - 6, BAR_TOP_PX - 12);
  context.lineTo(at + 6, BAR_TOP_PX - 12);
  context.lineTo(at + 6, BAR_TOP_PX - 7);
  context.lineTo(at, BAR_TOP_PX - 1);
  context.lineTo(at - 6, BAR_TOP_PX - 7);
  context.closePath();
  context.fill();
}
