// What the mock server has "recorded": ten days with gaps, the same minute over and over.
import { CLIP_MS } from "./footage.mjs";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const KEPT_DAYS = 10;

/** Ranges of a camera, oldest first; every camera has gaps of its own. */
export function rangesOf(camera, nowMs) {
  const seed = camera.number;
  const gaps = [];
  const firstDay = Math.floor((nowMs - KEPT_DAYS * DAY) / DAY) * DAY;
  for (let day = firstDay; day < nowMs; day += DAY) {
    gaps.push({
      start: day + 3 * HOUR + seed * 13 * MINUTE,
      end: day + 3 * HOUR + seed * 13 * MINUTE + 17 * MINUTE,
      cause: "network",
    });
    if (((day / DAY) | 0) % 4 === seed % 4)
      gaps.push({ start: day + 11 * HOUR, end: day + 18 * HOUR + 25 * MINUTE, cause: "stop" });
    for (let hour = day; hour < day + DAY; hour += HOUR) {
      if ((hour / HOUR + seed) % 5 === 0)
        gaps.push({ start: hour + 40 * MINUTE, end: hour + 40 * MINUTE + 14_000, cause: "camera" });
    }
  }
  gaps.sort((a, b) => a.start - b.start);
  const ranges = [];
  let from = nowMs - KEPT_DAYS * DAY;
  const newest = camera.recording ? nowMs - 900 : nowMs - 2 * HOUR;
  for (const gap of gaps) {
    if (gap.start >= newest) break;
    if (gap.end <= from) continue;
    if (gap.start > from) ranges.push({ start: from, end: gap.start });
    from = gap.end;
  }
  if (from < newest) ranges.push({ start: from, end: newest });
  return { ranges, gaps: gaps.filter((gap) => gap.end < newest) };
}

const time = (ms) => `${new Date(Math.floor(ms)).toISOString().slice(0, 23)}000Z`;

export function timeline(camera, start, end, nowMs) {
  const { ranges, gaps } = rangesOf(camera, nowMs);
  const cut = (span) => ({ start: time(Math.max(span.start, start)), end: time(Math.min(span.end, end)) });
  const inside = (span) => span.end > start && span.start < end;
  return {
    ranges: ranges.filter(inside).map((range) => ({ ...cut(range), stream: "main" })),
    gaps: gaps.filter(inside).map((gap) => ({ ...cut(gap), cause: gap.cause })),
    events: [],
  };
}

export const isRecorded = (camera, at, nowMs) =>
  rangesOf(camera, nowMs).ranges.some((range) => range.start <= at && at < range.end);

/** The grid of the hour that an instant lies in, of cells so small that any picture has room for them. */
export function thumbnailGrid(camera, at, nowMs) {
  const start = Math.floor(at / HOUR) * HOUR;
  const cells = Array.from({ length: 360 }, (_, cell) => start + cell * 10_000);
  return {
    start: time(start),
    made_until: time(Math.min(nowMs, start + HOUR)),
    columns: 20,
    rows: 18,
    cell_width: 16,
    cell_height: 10,
    period_s: 10,
    times: cells.map((cell) => (isRecorded(camera, cell, nowMs) ? time(cell) : null)),
  };
}

/** The playlist of [start, end), or null when nothing is recorded there. */
export function playlist(camera, clip, start, end, nowMs) {
  const lines = [];
  let first = true;
  for (const range of rangesOf(camera, nowMs).ranges) {
    if (range.end <= start || range.start >= end) continue;
    let seam = true;
    for (
      let loop = Math.floor(Math.max(range.start, start) / CLIP_MS);
      loop * CLIP_MS < Math.min(range.end, end);
      loop += 1
    ) {
      seam = true;
      for (const segment of clip.segments) {
        const at = loop * CLIP_MS + segment.startMs;
        if (at < range.start || at + segment.durationMs > range.end) continue;
        if (at + segment.durationMs <= start || at >= end) continue;
        if (seam) {
          if (!first) lines.push("#EXT-X-DISCONTINUITY");
          lines.push(`#EXT-X-MAP:URI="clip.mp4",BYTERANGE="${clip.initBytes}@0"`);
          seam = false;
          first = false;
        }
        lines.push(`#EXT-X-PROGRAM-DATE-TIME:${time(at)}`, `#EXTINF:${(segment.durationMs / 1_000).toFixed(6)},`);
        if (camera.number % 2) lines.push(`#EXT-X-BYTERANGE:${segment.end - segment.at}@${segment.at}`, "clip.mp4");
        else lines.push(`segment.m4s?from=${segment.at}&to=${segment.end}`);
      }
    }
  }
  if (first) return null;
  const head = [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    "#EXT-X-TARGETDURATION:3",
    "#EXT-X-PLAYLIST-TYPE:VOD",
    "#EXT-X-INDEPENDENT-SEGMENTS",
  ];
  return [...head, ...lines, "#EXT-X-ENDLIST", ""].join("\n");
}
