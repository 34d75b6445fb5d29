import { type InstantMs, parseInstant } from "@/shared/time/instant";

/** Part of a resource; the whole when absent. */
export interface ByteRange {
  offset: number;
  length: number;
}

export interface InitSection {
  url: string;
  range: ByteRange | null;
}

export interface Segment {
  url: string;
  range: ByteRange | null;
  durationS: number;
  /** Server time of the segment's first sample. */
  startsAt: InstantMs;
  init: InitSection;
  /** Time does not run on from the segment before. */
  discontinuity: boolean;
}

export interface Playlist {
  segments: Segment[];
  /** Whether the window is complete (EXT-X-ENDLIST). */
  ended: boolean;
}

/**
 * A media playlist of fMP4 segments (RFC 8216 §4). Raises Error, naming the line, for text that is no such playlist;
 * tags that are not needed to play recordings are passed over.
 */
export function parsePlaylist(text: string, baseUrl: string): Playlist {
  const lines = text.split(/\r?\n/);
  if (lines[0]?.trim() !== "#EXTM3U") throw new Error("line 1: not a playlist (no #EXTM3U)");
  const segments: Segment[] = [];
  let durationS: number | null = null;
  let programTime: InstantMs | null = null;
  let discontinuity = false;
  let init: InitSection | null = null;
  let range: ByteRange | null = null;
  let nextOffset = 0;
  let ended = false;
  const wrong = (index: number, what: string) => new Error(`line ${index + 1}: ${what}`);

  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === "") continue;
    if (!line.startsWith("#")) {
      if (durationS === null) throw wrong(index, "a segment without EXTINF");
      if (init === null) throw wrong(index, "a segment without EXT-X-MAP");
      const before: Segment | undefined = segments.at(-1);
      const startsAt = programTime ?? (before ? before.startsAt + before.durationS * 1_000 : null);
      if (startsAt === null) throw wrong(index, "the first segment has no EXT-X-PROGRAM-DATE-TIME");
      segments.push({ url: new URL(line, baseUrl).href, range, durationS, startsAt, init, discontinuity });
      nextOffset = range ? range.offset + range.length : 0;
      durationS = null;
      programTime = null;
      discontinuity = false;
      range = null;
      continue;
    }
    const [tag, value] = splitTag(line);
    switch (tag) {
      case "#EXTINF": {
        durationS = Number.parseFloat(value);
        if (!(durationS >= 0)) throw wrong(index, "EXTINF has no duration");
        break;
      }
      case "#EXT-X-PROGRAM-DATE-TIME": {
        programTime = parseInstant(value);
        if (Number.isNaN(programTime)) throw wrong(index, "EXT-X-PROGRAM-DATE-TIME is no time");
        break;
      }
      case "#EXT-X-DISCONTINUITY":
        discontinuity = true;
        break;
      case "#EXT-X-MAP": {
        const attributes = parseAttributes(value);
        const uri = attributes.get("URI");
        if (uri === undefined) throw wrong(index, "EXT-X-MAP has no URI");
        const bytes = attributes.get("BYTERANGE");
        init = { url: new URL(uri, baseUrl).href, range: bytes === undefined ? null : parseRange(bytes, 0) };
        if (bytes !== undefined && init.range === null) throw wrong(index, "EXT-X-MAP has a broken BYTERANGE");
        break;
      }
      case "#EXT-X-BYTERANGE": {
        range = parseRange(value, nextOffset);
        if (range === null) throw wrong(index, "EXT-X-BYTERANGE is broken");
        break;
      }
      case "#EXT-X-ENDLIST":
        ended = true;
        break;
      default:
        break;
    }
  }
  return { segments, ended };
}

function splitTag(line: string): [string, string] {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
}

function parseRange(text: string, nextOffset: number): ByteRange | null {
  const match = /^(\d+)(?:@(\d+))?$/.exec(text);
  if (!match) return null;
  return { length: Number(match[1]), offset: match[2] === undefined ? nextOffset : Number(match[2]) };
}

/** Attribute lists (RFC 8216 §4.2); quotes are taken off. */
export function parseAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const match of text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)) {
    attributes.set(match[1] ?? "", (match[2] ?? "").replace(/^"|"$/g, ""));
  }
  return attributes;
}

/** The value of a Range header for part of a resource. */
export const rangeHeader = (range: ByteRange): string => `bytes=${range.offset}-${range.offset + range.length - 1}`;
