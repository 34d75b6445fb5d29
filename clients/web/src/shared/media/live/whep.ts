import { cameraPath } from "@/shared/api/cameras";
import { request } from "@/shared/api/client";
import { iceServersNow } from "@/shared/api/ice-servers";
import { isAbort, Problem } from "@/shared/api/problem";
import type { StreamChoice } from "@/shared/api/types";

// How long a farewell may take before the connection is closed all the same.
const LEAVE_WITHIN_MS = 2_000;
const CHECK_WITHIN_MS = 3_000;
// Host candidates are found at once. A relay takes longer and need not be in the offer: the server learns its address
// from the checks that come through it.
const GATHERING_MS = 200;

/** One WHEP session: a peer connection that receives a camera's picture and sound. */
export interface WhepSession {
  connection: RTCPeerConnection;
  media: MediaStream;
  /** The session's address on the server; null where the server named none. */
  location: string | null;
  /** Closes the connection and tells the server; safe to call twice and while the page is being left. */
  close: () => void;
}

/**
 * Offers to receive video, and audio where `sound` asks for it, and applies the server's answer. Raises Problem when the server refuses (409: the
 * camera shows nothing, 406 or 422: no codec in common, 503: no room for another viewer), when the browser has no WebRTC
 * (`no-webrtc`) or cannot use the answer (`webrtc`); the reason of `signal` when that says so.
 * `heightPx` is that of the picture on the screen, 0 where it is not known.
 */
export async function openWhep(
  cameraId: string,
  stream: StreamChoice,
  sound: boolean,
  heightPx: number,
  signal: AbortSignal,
): Promise<WhepSession> {
  if (typeof RTCPeerConnection === "undefined") throw new Problem(0, "no-webrtc", "", "");
  const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers: await iceServersNow() });
  if (signal.aborted) {
    connection.close();
    throw signal.reason;
  }
  const media = new MediaStream();
  let location: string | null = null;
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    // The stream keeps its tracks: an element that shows it keeps the last picture until it gets another stream.
    for (const track of media.getTracks()) track.stop();
    if (location === null) connection.close();
    // Told first: a closed connection ends the session by itself, and the server would not know it any more.
    else void leave(location).finally(() => connection.close());
  };
  try {
    connection.addTransceiver("video", { direction: "recvonly" });
    if (sound) connection.addTransceiver("audio", { direction: "recvonly" });
    connection.addEventListener("track", (event) => {
      // A surveillance picture is wanted now rather than smooth.
      if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
      media.addTrack(event.track);
    });
    await connection.setLocalDescription();
    await gathered(connection, signal);
    signal.throwIfAborted();
    const query = streamQuery(stream, heightPx);
    // Not cut short by `signal`: the server would keep a session whose address nobody knows.
    const answering = request(`${cameraPath(cameraId, "/live/whep")}${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: connection.localDescription?.sdp ?? "",
    });
    const response = await unlessAborted(answering, signal, (late) => {
      const resource = locationOf(late);
      if (resource !== null) void leave(resource);
    });
    location = locationOf(response);
    const answer = await response.text();
    signal.throwIfAborted();
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    return { connection, media, location, close };
  } catch (error) {
    close();
    if (error instanceof Problem || isAbort(error)) throw error;
    // The browser could not make the offer or could not use the answer.
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem(422, "webrtc", "", detail);
  }
}

function streamQuery(stream: StreamChoice, heightPx: number): string {
  if (stream === "main") return "";
  return stream === "auto" && heightPx > 0 ? `?stream=auto&height=${heightPx}` : `?stream=${stream}`;
}

/** Tells the server how high the picture is shown now, after which it chooses the stream. */
export async function resizeWhep(session: WhepSession, heightPx: number): Promise<void> {
  if (session.location === null || heightPx <= 0) return;
  try {
    await request(session.location, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ height: heightPx }),
      signal: AbortSignal.timeout(CHECK_WITHIN_MS),
    });
  } catch {
    // The picture goes on with the stream it has; a session that is gone is found out by other means.
  }
}

/** The address that a new session was given, without its origin: it is asked for at ours. */
function locationOf(response: Response): string | null {
  const resource = response.headers.get("location");
  if (resource === null) return null;
  const { pathname, search } = new URL(resource, response.url || window.location.href);
  return pathname + search;
}

/** The result of `work`, or the reason of `signal` as soon as that is aborted; what then still comes goes to `late`. */
function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal,
  late: (result: Result) => void,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason);
      work.then(late, () => {});
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
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

/** Whether the server still has the session: true, false, or null when it gave no answer in time. */
export async function isKnown(session: WhepSession, signal: AbortSignal): Promise<boolean | null> {
  if (session.location === null) return true;
  try {
    // A fragment that adds nothing (RFC 8840): refused only where the session is unknown.
    await request(session.location, {
      method: "PATCH",
      headers: { "Content-Type": "application/trickle-ice-sdpfrag" },
      body: "a=end-of-candidates\r\n",
      signal: AbortSignal.any([signal, AbortSignal.timeout(CHECK_WITHIN_MS)]),
    });
    return true;
  } catch (error) {
    if (error instanceof Problem && error.status > 0) return error.status !== 404;
    return null;
  }
}

async function leave(path: string): Promise<void> {
  try {
    // keepalive lets the request outlive a page that is being closed.
    await request(path, { method: "DELETE", keepalive: true, signal: AbortSignal.timeout(LEAVE_WITHIN_MS) });
  } catch {
    // The server ends sessions that go silent by itself.
  }
}
