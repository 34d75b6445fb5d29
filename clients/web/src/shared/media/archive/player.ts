import { isAbort, Problem } from "@/shared/api/problem";
import { DAY_MS, type InstantMs } from "@/shared/time/instant";
import { Backoff } from "../backoff";
import { fragmentsOf, keepFragments, keepTracks, type Track, tracksOf } from "./boxes";
import { ArchiveFeed } from "./feed";
import type { InitSection, Segment } from "./playlist";
import { loadBytes, recordingsOf } from "./source";
import { TimeMap } from "./time-map";

/**
 * loading: the picture of the wanted instant is on its way; ready: it is there; edge: everything recorded was shown,
 * more is awaited; unplayable: this browser has no decoder for the codec; failed: the server refused.
 */
export type PlaybackPhase = "loading" | "ready" | "edge" | "unplayable" | "failed";

export interface PlaybackListener {
  /** `codec` names what cannot be decoded. */
  phase: (phase: PlaybackPhase, cause: { problem?: Problem; codec?: string }) => void;
  /** A gap was jumped over. */
  skipped: (from: InstantMs, to: InstantMs) => void;
}

// Seconds to have in hand at normal speed; twice as fast needs twice as many.
const AHEAD_S = 24;
const BEHIND_S = 45;
const TICK_MS = 150;
const EDGE_PAUSE_MS = 1_000;
// A segment whose clock moved by less than this against the one before goes on without a seam.
const SEAM_S = 0.25;
const DECODE_RETRIES = 3;

interface Prepared {
  key: string;
  bytes: Uint8Array<ArrayBuffer>;
  mime: string;
  ids: Set<number>;
  video: Track;
  hasAudio: boolean;
}

// Without the query: every window has a token of its own.
const keyOf = (init: InitSection): string =>
  `${init.url.replace(/\?.*$/, "")} ${init.range?.offset ?? ""} ${init.range?.length ?? ""}`;

/** Raised for recordings in a codec that this browser cannot decode. */
class UnplayableCodec extends Error {
  constructor(readonly codec: string) {
    super(codec);
  }
}

/**
 * Plays a camera's recordings in a video element through Media Source Extensions. Positions of the element are seconds
 * since `epoch`, a fixed instant before everything that is looked at, so that gaps stay gaps.
 */
export class ArchivePlayer {
  private media: MediaSource | null = null;
  private buffer: SourceBuffer | null = null;
  private objectUrl: string | null = null;
  private epoch: InstantMs = 0;
  private readonly map = new TimeMap();
  private aborter = new AbortController();
  private target: InstantMs = 0;
  private positioned = false;
  private inits = new Map<string, Promise<Prepared>>();
  private current: Prepared | null = null;
  private offsetS: number | null = null;
  private frameS = 1 / 25;
  private wantsToPlay = true;
  private rate = 1;
  private decodeFailures = 0;
  private closed = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly cameraId: string,
    private readonly listener: PlaybackListener,
  ) {
    video.addEventListener("error", this.onMediaError);
  }

  /** Shows the instant, or the next recorded one. */
  open(at: InstantMs): void {
    if (this.closed) return;
    this.decodeFailures = 0;
    const position = this.map.positionOf(at);
    if (this.buffer && position !== null && this.isBuffered(position)) {
      this.target = at;
      this.video.currentTime = position;
      return;
    }
    void this.run(at);
  }

  play(): void {
    this.wantsToPlay = true;
    this.resume();
  }

  pause(): void {
    this.wantsToPlay = false;
    this.video.pause();
  }

  setRate(rate: number): void {
    this.rate = rate;
    this.video.defaultPlaybackRate = rate;
    this.video.playbackRate = rate;
  }

  /** Pauses and moves by whole frames. */
  step(frames: number): void {
    this.pause();
    const position = this.video.currentTime + frames * this.frameS;
    if (this.isBuffered(position)) this.video.currentTime = position;
    else this.open(this.position() + frames * this.frameS * 1_000);
  }

  /** The instant that is shown, or the wanted one while its picture is on its way. */
  position(): InstantMs {
    if (!this.positioned || this.video.seeking) return this.target;
    return this.map.wallAt(this.video.currentTime) ?? this.target;
  }

  close(): void {
    this.closed = true;
    this.aborter.abort();
    this.video.removeEventListener("error", this.onMediaError);
    this.detach();
  }

  private resume(): void {
    if (!this.wantsToPlay || !this.positioned) return;
    this.video.play().catch(() => {
      // Refused (sound without a click) or overtaken by a seek; the button shows it as paused.
    });
  }

  private async run(at: InstantMs): Promise<void> {
    this.aborter.abort();
    this.aborter = new AbortController();
    const { signal } = this.aborter;
    this.target = at;
    this.positioned = false;
    this.offsetS = null;
    this.listener.phase("loading", {});
    const backoff = new Backoff(500, 8_000);
    try {
      await this.attach(at, signal);
      await this.clear(signal);
      const feed = new ArchiveFeed(recordingsOf(this.cameraId), at, () => Date.now());
      while (!signal.aborted) {
        this.tidy(signal);
        if (this.positioned && this.aheadS() > AHEAD_S * Math.max(1, this.rate)) {
          this.watch();
          await pause(TICK_MS, signal);
          continue;
        }
        try {
          await this.feedOne(feed, signal);
          backoff.reset();
        } catch (error) {
          if (!(error instanceof Problem) || !error.isTemporary) throw error;
          this.watch();
          await pause(backoff.nextMs(), signal);
        }
      }
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      if (error instanceof UnplayableCodec) this.listener.phase("unplayable", { codec: error.codec });
      else if (error instanceof Problem) this.listener.phase("failed", { problem: error });
      else {
        const detail = error instanceof Error ? error.message : String(error);
        this.listener.phase("failed", { problem: new Problem(422, "playback", "", detail) });
      }
    }
  }

  private async feedOne(feed: ArchiveFeed, signal: AbortSignal): Promise<void> {
    const item = await feed.next(signal);
    if (item.kind === "edge") {
      const deadlineMs = performance.now() + EDGE_PAUSE_MS;
      while (performance.now() < deadlineMs && !signal.aborted) {
        this.watch();
        if (!this.positioned || this.isStarved()) this.listener.phase("edge", {});
        await pause(TICK_MS, signal);
      }
      return;
    }
    await this.append(item.segment, item.afterGap, signal);
    this.positionAtTarget();
    this.watch();
  }

  private async append(segment: Segment, afterGap: boolean, signal: AbortSignal): Promise<void> {
    const loading = loadBytes(segment.url, segment.range, signal);
    // An abort while the initialization section is awaited must not leave this one unheard.
    loading.catch(() => undefined);
    const prepared = await this.prepare(segment.init);
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await loading;
    } catch (error) {
      // Deleted since the playlist was made: what follows may still be there.
      if (error instanceof Problem && (error.status === 404 || error.status === 410)) return;
      throw error;
    }
    signal.throwIfAborted();
    const fragments = fragmentsOf(bytes);
    const first = fragments.find((fragment) => fragment.trackId === prepared.video.id);
    const buffer = await this.bufferFor(prepared, segment, signal);
    if (first) {
      const wallS = (segment.startsAt - this.epoch) / 1_000;
      const mediaS = first.decodeTime / prepared.video.timescale;
      const offsetS = wallS - mediaS;
      const seam =
        segment.discontinuity || afterGap || this.offsetS === null || Math.abs(this.offsetS - offsetS) > SEAM_S;
      if (seam) this.offsetS = offsetS;
      const appliedS = this.offsetS ?? offsetS;
      if (buffer.timestampOffset !== appliedS) buffer.timestampOffset = appliedS;
      this.map.add(mediaS + appliedS, segment.startsAt);
      const frames = fragments.reduce(
        (sum, entry) => sum + (entry.trackId === prepared.video.id ? entry.samples : 0),
        0,
      );
      if (frames > 1 && segment.durationS > 0) this.frameS = segment.durationS / frames;
    }
    await this.push(buffer, keepFragments(bytes, fragments, prepared.ids), signal);
  }

  /** Loads and reads an initialization section once; drops tracks that the browser cannot play. */
  private prepare(init: InitSection): Promise<Prepared> {
    const key = keyOf(init);
    let found = this.inits.get(key);
    if (!found) {
      // Small, and shared by seeks that overtake each other: not given up with any of them.
      found = loadBytes(init.url, init.range, new AbortController().signal).then((bytes) => prepareInit(key, bytes));
      this.inits.set(key, found);
      found.catch(() => this.inits.delete(key));
    }
    return found;
  }

  private async bufferFor(prepared: Prepared, segment: Segment, signal: AbortSignal): Promise<SourceBuffer> {
    if (this.buffer && this.current?.key === prepared.key) return this.buffer;
    if (this.buffer && this.current && this.current.hasAudio !== prepared.hasAudio) {
      // A source buffer cannot gain or lose a track: play out what is there, then begin anew.
      while (this.positioned && !this.isStarved()) {
        this.watch();
        await pause(TICK_MS, signal);
      }
      this.detach();
      await this.attach(segment.startsAt, signal);
      this.target = segment.startsAt;
      this.positioned = false;
      this.offsetS = null;
    }
    const media = this.media;
    if (!media) throw new DOMException("closed", "AbortError");
    if (!this.buffer) {
      this.buffer = media.addSourceBuffer(prepared.mime);
      this.buffer.mode = "segments";
    } else if (this.current?.mime !== prepared.mime) {
      this.buffer.changeType(prepared.mime);
    }
    this.current = prepared;
    await this.push(this.buffer, prepared.bytes, signal);
    return this.buffer;
  }

  private async push(buffer: SourceBuffer, bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    if (bytes.length === 0) return;
    signal.throwIfAborted();
    for (let tries = 0; ; tries += 1) {
      try {
        buffer.appendBuffer(bytes);
        break;
      } catch (error) {
        const full = error instanceof DOMException && error.name === "QuotaExceededError";
        if (!full || tries > 200) throw error;
        // The browser's memory for this is used up: drop what was played and let playback make room.
        const keepFromS = this.video.currentTime - 5;
        if (buffer.buffered.length > 0 && buffer.buffered.start(0) < keepFromS) buffer.remove(0, keepFromS);
        await settled(buffer, signal);
        this.positionAtTarget();
        this.watch();
        await pause(TICK_MS, signal);
      }
    }
    await settled(buffer, signal);
  }

  private positionAtTarget(): void {
    if (this.positioned || !this.buffer) return;
    const ranges = this.video.buffered;
    const wantedS = this.map.positionOf(this.target) ?? (this.target - this.epoch) / 1_000;
    for (let index = 0; index < ranges.length; index += 1) {
      // A picture or two at the very end of a range does not count: the next range may hold the instant.
      if (ranges.end(index) <= wantedS + 0.04) continue;
      this.video.currentTime = Math.max(wantedS, ranges.start(index) + 0.001);
      this.positioned = true;
      this.video.playbackRate = this.rate;
      this.listener.phase("ready", {});
      this.resume();
      return;
    }
  }

  /** Jumps over gaps and tells when playback has caught up with what is recorded. */
  private watch(): void {
    const { video } = this;
    if (!this.positioned || video.seeking) return;
    if (!this.isStarved()) {
      if (!video.paused || video.readyState >= 3) this.listener.phase("ready", {});
      if (this.wantsToPlay && video.paused && !video.ended) this.resume();
      return;
    }
    if (video.paused) return;
    const ranges = video.buffered;
    for (let index = 0; index < ranges.length; index += 1) {
      const startS = ranges.start(index);
      if (startS <= video.currentTime + 0.01) continue;
      const from = this.position();
      video.currentTime = startS + 0.001;
      const to = this.map.wallAt(startS + 0.001);
      if (to !== null && to - from > 1_000) this.listener.skipped(from, to);
      return;
    }
  }

  /** Whether playback has stopped, or is about to, for want of data. A decoder may stop a few pictures early. */
  private isStarved(): boolean {
    const aheadS = this.aheadS();
    return aheadS < 0.12 || (aheadS < 0.6 && this.video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA);
  }

  private aheadS(): number {
    const at = this.video.currentTime;
    const ranges = this.video.buffered;
    for (let index = 0; index < ranges.length; index += 1) {
      if (ranges.start(index) <= at + 0.05 && at < ranges.end(index)) return ranges.end(index) - at;
    }
    return 0;
  }

  private isBuffered(positionS: number): boolean {
    const ranges = this.video.buffered;
    for (let index = 0; index < ranges.length; index += 1) {
      if (ranges.start(index) <= positionS && positionS < ranges.end(index) - 0.02) return true;
    }
    return false;
  }

  private tidy(signal: AbortSignal): void {
    const { buffer } = this;
    if (!buffer || buffer.updating || signal.aborted || !this.positioned || buffer.buffered.length === 0) return;
    const keepFromS = this.video.currentTime - BEHIND_S;
    if (buffer.buffered.start(0) < keepFromS - 15) buffer.remove(0, keepFromS);
  }

  private async attach(at: InstantMs, signal: AbortSignal): Promise<void> {
    if (this.media?.readyState === "open" && at >= this.epoch && at < this.epoch + 400 * DAY_MS) return;
    this.detach();
    if (typeof MediaSource === "undefined") throw new UnplayableCodec("Media Source Extensions");
    const media = new MediaSource();
    this.media = media;
    this.epoch = Math.floor(at / DAY_MS) * DAY_MS - 60 * DAY_MS;
    this.objectUrl = URL.createObjectURL(media);
    const opened = new Promise<void>((resolve, reject) => {
      media.addEventListener("sourceopen", () => resolve(), { once: true });
      signal.addEventListener("abort", () => reject(new DOMException("left", "AbortError")), { once: true });
    });
    this.video.src = this.objectUrl;
    await opened;
    // Long enough that no position is ever past the end.
    media.duration = (500 * DAY_MS) / 1_000;
  }

  private async clear(signal: AbortSignal): Promise<void> {
    this.map.clear();
    const { buffer } = this;
    if (!buffer) return;
    await settled(buffer, signal);
    // Forgets a segment that was half parsed, then everything that is buffered.
    buffer.abort();
    if (buffer.buffered.length > 0) {
      buffer.remove(0, Number.POSITIVE_INFINITY);
      await settled(buffer, signal);
    }
  }

  private detach(): void {
    this.buffer = null;
    this.current = null;
    this.media = null;
    this.map.clear();
    if (this.objectUrl === null) return;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.objectUrl);
    this.objectUrl = null;
  }

  private readonly onMediaError = () => {
    if (this.closed || this.objectUrl === null) return;
    this.decodeFailures += 1;
    const at = this.position();
    this.aborter.abort();
    const detail = this.video.error?.message ?? "";
    this.detach();
    if (this.decodeFailures > DECODE_RETRIES) {
      this.listener.phase("failed", { problem: new Problem(422, "decode", "", detail) });
    } else {
      // A broken picture: go on a moment later.
      void this.run(at + 1_000 * this.decodeFailures);
    }
  };
}

function prepareInit(key: string, bytes: Uint8Array<ArrayBuffer>): Prepared {
  const tracks = tracksOf(bytes);
  const video = tracks.find((track) => track.kind === "video");
  if (!video) throw new Error("the recording has no video track");
  const plain = `video/mp4; codecs="${video.codec ?? video.entry}"`;
  if (video.codec === null || !MediaSource.isTypeSupported(plain)) throw new UnplayableCodec(nameOfEntry(video.entry));
  const audio = tracks.find((track) => track.kind === "audio" && track.codec !== null);
  const both = `video/mp4; codecs="${video.codec}, ${audio?.codec}"`;
  const hasAudio = audio !== undefined && MediaSource.isTypeSupported(both);
  const ids = new Set(hasAudio && audio ? [video.id, audio.id] : [video.id]);
  return {
    key,
    bytes: ids.size === tracks.length ? bytes : keepTracks(bytes, ids),
    mime: hasAudio ? both : plain,
    ids,
    video,
    hasAudio,
  };
}

function nameOfEntry(entry: string): string {
  const names: Record<string, string> = { hvc1: "H.265", hev1: "H.265", avc1: "H.264", avc3: "H.264", av01: "AV1" };
  if (entry === "jpeg" || entry === "mjpg" || entry === "mp4v") return "MJPEG";
  return names[entry] ?? entry;
}

function settled(buffer: SourceBuffer, signal: AbortSignal): Promise<void> {
  if (!buffer.updating)
    return signal.aborted ? Promise.reject(new DOMException("left", "AbortError")) : Promise.resolve();
  return new Promise((resolve, reject) => {
    const done = () => {
      buffer.removeEventListener("updateend", done);
      if (signal.aborted) reject(new DOMException("left", "AbortError"));
      else resolve();
    };
    buffer.addEventListener("updateend", done);
  });
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(new DOMException("left", "AbortError"));
      else resolve();
    };
    const timer = setTimeout(end, durationMs);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
