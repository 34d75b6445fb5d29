import { createEffect, createRoot, createSignal } from "solid-js";
import { loggedIn, requestJson } from "./client";
import { isAbort, Problem } from "./problem";
import type { Me } from "./types";

export type Permission =
  | "cameras:edit"
  | "recordings:watch"
  | "recordings:start"
  | "recordings:lock"
  | "recordings:export"
  | "events:write"
  | "metrics:read";

const RETRY_MS = 5_000;
const [me, setMe] = createSignal<Me | null>(null);

/** Who is logged in, with the role; null until the server has said so. */
export { me };

/**
 * Whether to offer something. What the server does not allow it refuses by itself: this only spares people buttons
 * that would not work.
 */
export const may = (permission: Permission): boolean => me()?.permissions.includes(permission) ?? false;

createRoot(() => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ask = async (username: string) => {
    try {
      const found = await requestJson<Me>("/api/v1/me");
      if (loggedIn()?.username === username) setMe(found);
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Problem)) throw error;
      if (error.isTemporary && loggedIn()?.username === username)
        timer = setTimeout(() => void ask(username), RETRY_MS);
    }
  };
  let asked: string | null = null;
  createEffect(() => {
    const username = loggedIn()?.username ?? null;
    if (username === asked) return;
    asked = username;
    clearTimeout(timer);
    setMe(null);
    if (username !== null) queueMicrotask(() => void ask(username));
  });
});
