import { requestJson } from "./client";

// Log-ins at relays last twelve hours; a connection made just before the end of an hour has eleven left.
const FRESH_MS = 3_600_000;

/** Keeps what `load` answers for an hour; a failure is not kept, and means no servers this time. */
export class IceServers {
  private loading: Promise<RTCIceServer[]> | null = null;
  private loadedAtMs = 0;

  constructor(private readonly load: () => Promise<RTCIceServer[]>) {}

  /** Many viewers that begin at once share one question. Never rejects: most viewers need none of these servers. */
  async at(nowMs: number): Promise<RTCIceServer[]> {
    if (this.loading === null || nowMs - this.loadedAtMs >= FRESH_MS) {
      this.loadedAtMs = nowMs;
      this.loading = this.load();
    }
    const asked = this.loading;
    try {
      return await asked;
    } catch {
      if (this.loading === asked) this.loading = null;
      return [];
    }
  }
}

const iceServers = new IceServers(async () => {
  const answer = await requestJson<{ ice_servers: RTCIceServer[] }>("/api/v1/webrtc/ice-servers", {
    signal: AbortSignal.timeout(3_000),
  });
  return answer.ice_servers;
});

/** The STUN and TURN servers of the installation, with this user's log-ins. */
export const iceServersNow = (): Promise<RTCIceServer[]> => iceServers.at(performance.now());
