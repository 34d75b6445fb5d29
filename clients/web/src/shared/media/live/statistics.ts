/** What a viewer's connection tells of itself: RTCPeerConnection.getStats (W3C webrtc-stats), read without a browser. */

/** One reading of the counters since the connection began. Times in the report's own milliseconds. */
export interface Reading {
  atMs: number;
  codec: string | null;
  width: number;
  height: number;
  framesDecoded: number;
  framesDropped: number;
  bytesReceived: number;
  packetsReceived: number;
  packetsLost: number;
  nacks: number;
  retransmitted: number;
  keyFrameRequests: number;
  /** Summed over the frames emitted. */
  jitterBufferS: number;
  jitterBufferFrames: number;
  freezes: number;
  frozenS: number;
  /** Null before the first answer to a STUN check. */
  rttS: number | null;
  /** `udp` or `tcp`, and whether a relay stands between; null before a pair is chosen. */
  transport: string | null;
}

/** What is shown: counters since the beginning, rates over the last interval. */
export interface LiveStatistics {
  codec: string | null;
  width: number;
  height: number;
  fps: number;
  bitrateBps: number;
  packetsReceived: number;
  packetsLost: number;
  nacks: number;
  retransmitted: number;
  framesDropped: number;
  keyFrameRequests: number;
  /** Mean over the frames of the last interval; null when there were none. */
  jitterBufferMs: number | null;
  rttMs: number | null;
  freezes: number;
  frozenMs: number;
  transport: string | null;
  firstPictureMs: number | null;
  /** Bit/s of the last minute, oldest first, one per second. */
  bitrates: number[];
}

type Entry = Record<string, unknown> & { id?: unknown; type?: unknown };

const HISTORY = 60;

const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);

/** Reads a report's entries; null while it has none of received video. */
export function readReport(entries: Iterable<object>): Reading | null {
  const byId = new Map<unknown, Entry>();
  for (const entry of entries as Iterable<Entry>) byId.set(entry.id, entry);
  const all = [...byId.values()];
  const video = all.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video");
  if (!video) return null;
  const pair = selectedPair(all, byId);
  const mimeType = byId.get(video.codecId)?.mimeType;
  return {
    atMs: number(video.timestamp),
    codec: typeof mimeType === "string" ? mimeType.replace(/^video\//i, "") : null,
    width: number(video.frameWidth),
    height: number(video.frameHeight),
    framesDecoded: number(video.framesDecoded),
    framesDropped: number(video.framesDropped),
    bytesReceived: number(video.bytesReceived) + number(video.headerBytesReceived),
    packetsReceived: number(video.packetsReceived),
    packetsLost: number(video.packetsLost),
    nacks: number(video.nackCount),
    retransmitted: number(video.retransmittedPacketsReceived),
    keyFrameRequests: number(video.pliCount) + number(video.firCount),
    jitterBufferS: number(video.jitterBufferDelay),
    jitterBufferFrames: number(video.jitterBufferEmittedCount),
    freezes: number(video.freezeCount),
    frozenS: number(video.totalFreezesDuration),
    rttS: pair && typeof pair.currentRoundTripTime === "number" ? pair.currentRoundTripTime : null,
    transport: pair ? transportOf(byId.get(pair.localCandidateId), byId.get(pair.remoteCandidateId)) : null,
  };
}

/** The pair that media takes: as the transport names it or, where it names none, the nominated one that works. */
function selectedPair(all: Entry[], byId: Map<unknown, Entry>): Entry | undefined {
  const transport = all.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId !== undefined);
  return (
    byId.get(transport?.selectedCandidatePairId) ??
    all.find((entry) => entry.type === "candidate-pair" && entry.nominated === true && entry.state === "succeeded")
  );
}

function transportOf(local: Entry | undefined, remote: Entry | undefined): string | null {
  const protocol = local?.protocol ?? remote?.protocol;
  if (typeof protocol !== "string") return null;
  const relayed = local?.candidateType === "relay" || remote?.candidateType === "relay";
  return relayed ? `${protocol} relay` : protocol;
}

/** Turns one connection's readings, about one a second, into what is shown. */
export class StatisticsReader {
  private before: Reading | null = null;
  private bitrates: number[] = [];

  /** `firstPictureMs` is known to who made the connection. */
  take(reading: Reading, firstPictureMs: number | null): LiveStatistics {
    const before = this.before;
    const seconds = before ? (reading.atMs - before.atMs) / 1_000 : 0;
    // A counter that goes back belongs to another receiver: no rate can be told across that.
    const rate = (key: "framesDecoded" | "bytesReceived") =>
      before && seconds > 0 ? Math.max(0, reading[key] - before[key]) / seconds : 0;
    const bitrateBps = rate("bytesReceived") * 8;
    if (before && seconds > 0) this.bitrates = [...this.bitrates, bitrateBps].slice(-HISTORY);
    const emitted = reading.jitterBufferFrames - (before?.jitterBufferFrames ?? 0);
    const delayS = reading.jitterBufferS - (before?.jitterBufferS ?? 0);
    this.before = reading;
    return {
      codec: reading.codec,
      width: reading.width,
      height: reading.height,
      fps: rate("framesDecoded"),
      bitrateBps,
      packetsReceived: reading.packetsReceived,
      packetsLost: reading.packetsLost,
      nacks: reading.nacks,
      retransmitted: reading.retransmitted,
      framesDropped: reading.framesDropped,
      keyFrameRequests: reading.keyFrameRequests,
      jitterBufferMs: emitted > 0 && delayS >= 0 ? (delayS / emitted) * 1_000 : null,
      rttMs: reading.rttS === null ? null : reading.rttS * 1_000,
      freezes: reading.freezes,
      frozenMs: reading.frozenS * 1_000,
      transport: reading.transport,
      firstPictureMs,
      bitrates: this.bitrates,
    };
  }
}
