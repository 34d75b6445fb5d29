import { cameraPath } from "@/shared/api/cameras";
import { request } from "@/shared/api/client";
import { isAbort, Problem } from "@/shared/api/problem";
import type { StreamName } from "@/shared/api/types";

// Host candidates are found at once; what is not found by then would come from networks that lead nowhere here.
const GATHERING_MS = 200;

/** One WHEP session: a peer connection that receives a camera's picture and sound. */
export interface WhepSession {
  connection: RTCPeerConnection;
  media: MediaStream;
  /** Closes the connection and tells the server; safe to call twice and while the page is being left. */
  close: () => void;
}

/**
 * Offers to receive video and audio and applies the server's answer. Raises Problem when the server refuses (409: the
 * camera shows nothing, 422: no codec in common), DOMException AbortError when `signal` says so.
 */
export async function openWhep(cameraId: string, stream: StreamName, signal: AbortSignal): Promise<WhepSession> {
  const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const media = new MediaStream();
  let location: string | null = null;
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    for (const track of media.getTracks()) track.stop();
    if (location === null) connection.close();
    // Told first: a closed connection ends the session by itself, and the server would not know it any more.
    else void leave(location).finally(() => connection.close());
  };
  try {
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.addTransceiver("audio", { direction: "recvonly" });
    connection.addEventListener("track", (event) => {
      // A surveillance picture is wanted now rather than smooth.
      if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
      media.addTrack(event.track);
    });
    await connection.setLocalDescription();
    await gathered(connection, signal);
    const query = stream === "main" ? "" : `?stream=${stream}`;
    const response = await request(`${cameraPath(cameraId, "/live/whep")}${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: connection.localDescription?.sdp ?? "",
      signal,
    });
    const resource = response.headers.get("location");
    if (resource !== null) location = new URL(resource, response.url || window.location.href).pathname;
    const answer = await response.text();
    if (signal.aborted) throw new DOMException("left", "AbortError");
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    return { connection, media, close };
  } catch (error) {
    close();
    if (error instanceof Problem || isAbort(error)) throw error;
    // The browser could not make the offer or could not use the answer.
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem(422, "webrtc", "", detail);
  }
}

function gathered(connection: RTCPeerConnection, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      connection.removeEventListener("icegatheringstatechange", check);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const check = () => {
      if (connection.iceGatheringState === "complete") done();
    };
    const timer = setTimeout(done, GATHERING_MS);
    connection.addEventListener("icegatheringstatechange", check);
    signal.addEventListener("abort", done);
    check();
  });
}

async function leave(path: string): Promise<void> {
  try {
    // keepalive lets the request outlive a page that is being closed.
    await request(path, { method: "DELETE", keepalive: true });
  } catch {
    // The server ends sessions that go silent by itself.
  }
}
