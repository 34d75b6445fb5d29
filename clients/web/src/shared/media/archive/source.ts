import { cameraPath, timelineOf } from "@/shared/api/cameras";
import { request } from "@/shared/api/client";
import { Problem } from "@/shared/api/problem";
import { DAY_MS, formatInstant } from "@/shared/time/instant";
import type { RecordingSource } from "./feed";
import { type ByteRange, parsePlaylist, rangeHeader } from "./playlist";

/** The recordings of a camera on this server. */
export function recordingsOf(cameraId: string): RecordingSource {
  return {
    async playlist(start, end, signal) {
      const query = new URLSearchParams({ start: formatInstant(start), end: formatInstant(end) });
      const path = `${cameraPath(cameraId, "/playback/index.m3u8")}?${query}`;
      try {
        const response = await request(path, { signal });
        const url = new URL(response.url || path, window.location.href).href;
        return parsePlaylist(await response.text(), url);
      } catch (error) {
        if (error instanceof Problem && error.status === 404 && error.code !== "camera-not-found") return null;
        throw error;
      }
    },
    async nextRecorded(at, signal) {
      const found = await timelineOf(cameraId, { start: at, end: Math.max(Date.now(), at) + DAY_MS }, signal);
      const range = found.ranges.find((entry) => entry.end > at);
      return range ? Math.max(range.start, at) : null;
    },
  };
}

/** The bytes of a segment or of an initialization section. */
export async function loadBytes(
  url: string,
  range: ByteRange | null,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const init: RequestInit = range ? { signal, headers: { Range: rangeHeader(range) } } : { signal };
  const { pathname, search } = new URL(url);
  const response = await request(pathname + search, init);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // A server without ranges sends the whole.
  if (range && response.status === 200) return bytes.subarray(range.offset, range.offset + range.length);
  return bytes;
}
