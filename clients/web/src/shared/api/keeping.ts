import { formatInstant, type InstantMs } from "@/shared/time/instant";
import { cameraPath, listAll, type Span } from "./cameras";
import { json, request, requestJson } from "./client";
import type { EvidenceLock, Group, Page, RecordingState, Retention, StorageUsage } from "./types";

const GROUPS = "/api/v1/groups";
const LOCKS = "/api/v1/evidence-locks";
const groupPath = (id: string): string => `${GROUPS}/${encodeURIComponent(id)}`;

/** What is kept, and how long it lasts. */
export const getStorage = (signal?: AbortSignal): Promise<StorageUsage> =>
  requestJson("/api/v1/storage", signal ? { signal } : {});

export async function listGroups(signal?: AbortSignal): Promise<Group[]> {
  return (await requestJson<Page<Group>>(GROUPS, signal ? { signal } : {})).items;
}

export const addGroup = (name: string, retention?: Retention): Promise<Group> =>
  requestJson(GROUPS, json("POST", retention ? { name, retention } : { name }));

/** Limits are replaced as a whole. */
export const patchGroup = (id: string, patch: { name?: string; retention?: Retention }): Promise<Group> =>
  requestJson(groupPath(id), json("PATCH", patch));

/** Raises Problem 409 while cameras are in it. */
export async function removeGroup(id: string): Promise<void> {
  await request(groupPath(id), { method: "DELETE" });
}

/** Every lock, newest first, released ones too. */
export const listLocks = (signal?: AbortSignal): Promise<EvidenceLock[]> => listAll<EvidenceLock>(LOCKS, signal);

/** Locks what cameras recorded and will record within the span; `until` null: until somebody releases it. */
export const addLock = (
  cameraIds: string[],
  span: Span,
  reason: string,
  until: InstantMs | null,
): Promise<EvidenceLock> =>
  requestJson(
    LOCKS,
    json("POST", {
      camera_ids: cameraIds,
      start: formatInstant(span.start),
      end: formatInstant(span.end),
      reason,
      until: until === null ? null : formatInstant(until),
    }),
  );

export const releaseLock = (id: string): Promise<EvidenceLock> =>
  requestJson(`${LOCKS}/${encodeURIComponent(id)}`, { method: "DELETE" });

export const getRecording = (cameraId: string, signal?: AbortSignal): Promise<RecordingState> =>
  requestJson(cameraPath(cameraId, "/recording"), signal ? { signal } : {});

/** Starts or stops recording by hand; without `seconds` until it is stopped. */
export const changeRecording = (
  cameraId: string,
  state: "start" | "stop",
  seconds: number | null = null,
): Promise<RecordingState> =>
  requestJson(cameraPath(cameraId, "/recording"), json("POST", seconds === null ? { state } : { state, seconds }));
