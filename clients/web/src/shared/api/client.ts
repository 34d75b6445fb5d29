import { createSignal } from "solid-js";
import { isAbort, Problem, problemOf, unreachable } from "./problem";
import { Session, type SessionState } from "./session";

const [sessionState, setSessionState] = createSignal<SessionState | null>(null);

function sessionStorageOrMemory(): Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  try {
    window.sessionStorage.getItem("");
    return window.sessionStorage;
  } catch {
    // Storage is switched off: the log-in then lasts until the page is closed.
    const memory = new Map<string, string>();
    return {
      getItem: (key) => memory.get(key) ?? null,
      setItem: (key, value) => void memory.set(key, value),
      removeItem: (key) => void memory.delete(key),
    };
  }
}

/** The log-in of this browser. */
export const session = new Session({
  fetch: (input, init) => fetch(input, init),
  storage: sessionStorageOrMemory(),
  channel: typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("vms.session"),
  // Locks exist in secure contexts only; without them a page served over plain HTTP just renews on its own.
  exclusively: (work) => (navigator.locks ? navigator.locks.request("vms.session", work) : work()),
  nowMs: () => Date.now(),
  onChange: setSessionState,
});
setSessionState(session.current);

/** Who is logged in, as a signal; null when nobody is. */
export const loggedIn = sessionState;

/**
 * A request with the log-in's token; renews the token once when the server refuses it (where that fails, the log-in is
 * over). Resolves with any successful answer. Raises Problem for refusals and for no answer, DOMException AbortError for
 * aborts.
 */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response = await send(path, init, await session.token());
  if (response.status === 401) {
    const refused = sentTokens.get(response);
    const renewed = await session.token(refused);
    if (renewed !== null && renewed !== refused) {
      response = await send(path, init, renewed);
      if (response.status === 401) session.end();
    }
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

const sentTokens = new WeakMap<Response, string>();

async function send(path: string, init: RequestInit, token: string | null): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  try {
    const response = await fetch(path, { ...init, headers });
    if (token) sentTokens.set(response, token);
    return response;
  } catch (error) {
    if (isAbort(error)) throw error;
    throw unreachable();
  }
}

/** A request whose answer is JSON. */
export async function requestJson<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await request(path, init);
  try {
    return (await response.json()) as Answer;
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Problem(response.status, "unreadable", "", "");
  }
}

/** Method, body and content type of a request that carries JSON. */
export function json(method: "POST" | "PATCH", body: unknown): RequestInit {
  const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  return { method, body: JSON.stringify(body), headers: { "Content-Type": type } };
}
