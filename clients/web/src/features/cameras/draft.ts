import type { Camera, CameraDraft, RecordingMode, Transport } from "@/shared/api/types";
import type { Key } from "@/shared/i18n";

/** The form's own state: every field is text, as fields are. */
export interface CameraForm {
  name: string;
  url: string;
  subUrl: string;
  username: string;
  password: string;
  transport: Transport;
  mode: RecordingMode;
  retentionDays: string;
}

export type FieldName = "name" | "url" | "subUrl" | "username" | "password" | "retentionDays";

export const EMPTY: CameraForm = {
  name: "",
  url: "",
  subUrl: "",
  username: "",
  password: "",
  transport: "tcp",
  mode: "continuous",
  retentionDays: "30",
};

export function formOf(camera: Camera): CameraForm {
  return {
    name: camera.name,
    url: camera.streams.main.url,
    subUrl: camera.streams.sub?.url ?? "",
    username: camera.credentials?.username ?? "",
    password: "",
    transport: camera.streams.main.transport,
    mode: camera.recording.mode,
    retentionDays: camera.retention?.days == null ? "" : String(camera.retention.days),
  };
}

/** What is wrong with the form before the server is asked. */
export function check(form: CameraForm): Map<FieldName, Key> {
  const wrong = new Map<FieldName, Key>();
  if (form.name.trim() === "") wrong.set("name", "cameras.nameMissing");
  if (form.url.trim() === "") wrong.set("url", "cameras.urlMissing");
  else if (!isStreamUrl(form.url)) wrong.set("url", "cameras.urlWrong");
  if (form.subUrl.trim() !== "" && !isStreamUrl(form.subUrl)) wrong.set("subUrl", "cameras.urlWrong");
  if (form.password !== "" && form.username.trim() === "" && !hasCredentials(form.url)) {
    wrong.set("username", "cameras.usernameMissing");
  }
  const days = form.retentionDays.trim();
  if (days !== "" && !/^[1-9]\d{0,4}$/.test(days)) wrong.set("retentionDays", "cameras.daysWrong");
  return wrong;
}

const isStreamUrl = (text: string): boolean => /^rtsps?:\/\/[^\s/]+/i.test(text.trim());
const hasCredentials = (text: string): boolean => /^rtsps?:\/\/[^\s/]*@/i.test(text.trim());

/** The camera as POST takes it. */
export function draftOf(form: CameraForm): CameraDraft {
  const sub = form.subUrl.trim();
  const username = form.username.trim();
  return {
    name: form.name.trim(),
    streams: {
      main: { url: form.url.trim(), transport: form.transport },
      ...(sub === "" ? {} : { sub: { url: sub, transport: form.transport } }),
    },
    ...(username === ""
      ? {}
      : { credentials: { username, ...(form.password === "" ? {} : { password: form.password }) } }),
    recording: { mode: form.mode },
    retention: { days: form.retentionDays.trim() === "" ? null : Number(form.retentionDays) },
  };
}

/** The change as PATCH takes it: null removes what was there, an empty password keeps the old one. */
export function patchOf(form: CameraForm, before: Camera): Partial<CameraDraft> {
  const draft = draftOf(form);
  const patch: Partial<CameraDraft> = { ...draft };
  if (before.streams.sub && !draft.streams.sub) patch.streams = { ...draft.streams, sub: null };
  if (before.credentials && !draft.credentials && !hasCredentials(form.url)) patch.credentials = null;
  return patch;
}

/** Which of the form's fields a member of the request belongs to. */
export function fieldOf(pointer: string): FieldName | null {
  if (pointer.startsWith("/name")) return "name";
  if (pointer.startsWith("/streams/sub")) return "subUrl";
  if (pointer.startsWith("/streams")) return "url";
  if (pointer.startsWith("/credentials/password")) return "password";
  if (pointer.startsWith("/credentials")) return "username";
  if (pointer.startsWith("/retention")) return "retentionDays";
  return null;
}
