import { createEffect, createRoot, createSignal, onCleanup } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { getStatus, listCameras } from "@/shared/api/cameras";
import { loggedIn } from "@/shared/api/client";
import { isAbort, Problem } from "@/shared/api/problem";
import type { Camera, CameraStatus } from "@/shared/api/types";

const LIST_EVERY_MS = 30_000;
const STATUS_EVERY_MS = 5_000;
// So many questions at once; more would queue in the browser in front of the media's requests.
const STATUS_AT_ONCE = 4;

export interface Directory {
  cameras: Camera[];
  /** Whether the list came at least once. */
  loaded: boolean;
  problem: Problem | null;
  statuses: Record<string, CameraStatus | undefined>;
}

const [directory, setDirectory] = createStore<Directory>({ cameras: [], loaded: false, problem: null, statuses: {} });
const watchers = new Map<string, number>();
const [watchedChange, setWatchedChange] = createSignal(0, { equals: false });

/** The cameras and the states of the watched ones, kept fresh while the page is seen. */
export { directory };

/** Asks for the list again; the answer replaces what is shown. */
export async function refreshCameras(): Promise<void> {
  try {
    const cameras = await listCameras();
    setDirectory("cameras", reconcile(cameras, { key: "id" }));
    setDirectory({ loaded: true, problem: null });
  } catch (error) {
    if (error instanceof Problem) setDirectory("problem", error);
    else if (!isAbort(error)) throw error;
  }
}

/** Keeps a camera's status fresh until the owner is disposed. Several watchers of one camera share the questions. */
export function watchStatus(cameraId: () => string | null): void {
  createEffect(() => {
    const id = cameraId();
    if (id === null) return;
    watchers.set(id, (watchers.get(id) ?? 0) + 1);
    setWatchedChange(0);
    onCleanup(() => {
      const left = (watchers.get(id) ?? 1) - 1;
      if (left > 0) watchers.set(id, left);
      else watchers.delete(id);
    });
  });
}

export const statusOf = (cameraId: string): CameraStatus | undefined => directory.statuses[cameraId];

async function refreshStatuses(ids: string[]): Promise<void> {
  const waiting = [...ids];
  const ask = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      try {
        setDirectory("statuses", id, reconcile(await getStatus(id)));
      } catch (error) {
        if (error instanceof Problem && error.status === 404) setDirectory("statuses", id, undefined);
        // No answer this time: what is shown stays until the next.
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(STATUS_AT_ONCE, ids.length) }, ask));
}

const shown = () => document.visibilityState === "visible";

createRoot(() => {
  const asked = new Map<string, number>();
  let listedAtMs = 0;
  let busy = false;

  const tick = async () => {
    if (busy || !loggedIn() || !shown()) return;
    busy = true;
    try {
      const now = performance.now();
      if (listedAtMs === 0 || now - listedAtMs >= LIST_EVERY_MS) {
        listedAtMs = now;
        await refreshCameras();
      }
      const due = [...watchers.keys()].filter(
        (id) => now - (asked.get(id) ?? Number.NEGATIVE_INFINITY) >= STATUS_EVERY_MS - 50,
      );
      for (const id of due) asked.set(id, now);
      await refreshStatuses(due);
    } finally {
      busy = false;
    }
  };

  createEffect(() => {
    watchedChange();
    if (loggedIn() !== null) {
      queueMicrotask(() => void tick());
      return;
    }
    listedAtMs = 0;
    asked.clear();
    setDirectory({ cameras: [], loaded: false, problem: null, statuses: {} });
  });
  setInterval(() => void tick(), 1_000);
  document.addEventListener("visibilitychange", () => void tick());
});
