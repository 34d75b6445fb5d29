import type { Camera, CameraDraft, Holiday, RecordingMode, Transport } from "@/shared/api/types";
import type { Key } from "@/shared/i18n";
import { checkLimits, type LimitsForm, limitsFormOf, NO_LIMITS, retentionOf } from "@/shared/keeping/limits";
import { gridOf, paint, readWeek, type WeekGrid, writeWeek } from "./week-grid";

/** The mode of a single stream; empty: the camera's. */
export type StreamMode = RecordingMode | "";

/** The form's own state: every field is text, as fields are. */
export interface CameraForm extends LimitsForm {
  name: string;
  url: string;
  subUrl: string;
  username: string;
  password: string;
  transport: Transport;
  mode: RecordingMode;
  mainMode: StreamMode;
  subMode: StreamMode;
  preEventS: string;
  postEventS: string;
  eventTypes: string;
  timeZone: string;
  week: WeekGrid;
  holidays: Holiday[];
  /** Empty: none; NEW_GROUP: the one that `newGroup` names. */
  groupId: string;
  newGroup: string;
}

/** Fields that hold text. */
export type TextName = Exclude<keyof CameraForm, "week" | "holidays">;
/** Fields that something may be wrong with. */
export type FieldName = keyof CameraForm;

export const NEW_GROUP = "new";

const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri"] as const;

export const EMPTY: CameraForm = {
  name: "",
  url: "",
  subUrl: "",
  username: "",
  password: "",
  transport: "tcp",
  mode: "continuous",
  mainMode: "",
  subMode: "",
  preEventS: "60",
  postEventS: "30",
  eventTypes: "",
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
  // Something to begin with: around events all week, everything in office hours.
  week: paint(gridOf("motion"), { days: WEEKDAYS, from: 16, to: 36 }, "continuous"),
  holidays: [],
  ...NO_LIMITS,
  retentionDays: "30",
  groupId: "",
  newGroup: "",
};

export function formOf(camera: Camera): CameraForm {
  const { recording, retention } = camera;
  const schedule = recording.schedule ?? null;
  return {
    name: camera.name,
    url: camera.streams.main.url,
    subUrl: camera.streams.sub?.url ?? "",
    username: camera.credentials?.username ?? "",
    password: "",
    transport: camera.streams.main.transport,
    mode: recording.mode,
    mainMode: recording.streams?.main ?? "",
    subMode: recording.streams?.sub ?? "",
    preEventS: String(recording.pre_event_s ?? EMPTY.preEventS),
    postEventS: String(recording.post_event_s ?? EMPTY.postEventS),
    eventTypes: recording.event_types?.join(", ") ?? "",
    timeZone: schedule?.time_zone ?? EMPTY.timeZone,
    week: schedule ? readWeek(schedule.week) : EMPTY.week,
    holidays: schedule?.holidays ?? [],
    ...limitsFormOf(retention),
    groupId: camera.group_id ?? "",
    newGroup: "",
  };
}

/** Whether any stream has that mode. */
export function uses(form: CameraForm, mode: RecordingMode): boolean {
  if (form.subUrl.trim() === "") return form.mode === mode;
  return [form.mainMode || form.mode, form.subMode || form.mode].includes(mode);
}

/** Whether anything of the camera is recorded around events only, in its plan too. */
export function waitsForEvents(form: CameraForm): boolean {
  const inPlan = () => Object.values(form.week).some((row) => row.includes("motion") || row.includes("event"));
  return uses(form, "motion") || uses(form, "event") || (uses(form, "schedule") && inPlan());
}

const EVENT_TYPE = /^[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$/;
const HOLIDAY = /^(?:(\d{4})-)?(\d{2})-(\d{2})$/;

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
  if (!isSeconds(form.preEventS, 600)) wrong.set("preEventS", "cameras.preWrong");
  if (!isSeconds(form.postEventS, 3_600)) wrong.set("postEventS", "cameras.postWrong");
  if (eventTypesOf(form.eventTypes).some((type) => !EVENT_TYPE.test(type))) {
    wrong.set("eventTypes", "cameras.eventTypesWrong");
  }
  for (const [field, key] of checkLimits(form)) wrong.set(field, key);
  if (form.groupId === NEW_GROUP && form.newGroup.trim() === "") wrong.set("newGroup", "cameras.groupMissing");
  if (uses(form, "schedule")) {
    const dates = form.holidays.map((holiday) => holiday.date);
    if (dates.some((date) => !isHoliday(date))) wrong.set("holidays", "cameras.holidayWrong");
    else if (new Set(dates).size < dates.length) wrong.set("holidays", "cameras.holidayTwice");
  }
  return wrong;
}

const isStreamUrl = (text: string): boolean => /^rtsps?:\/\/[^\s/]+/i.test(text.trim());
const hasCredentials = (text: string): boolean => /^rtsps?:\/\/[^\s/]*@/i.test(text.trim());
const isSeconds = (text: string, most: number): boolean => /^\d{1,4}$/.test(text.trim()) && Number(text) <= most;
const eventTypesOf = (text: string): string[] => [...new Set(text.split(/[\s,;]+/).filter((type) => type !== ""))];

function isHoliday(date: string): boolean {
  const match = HOLIDAY.exec(date);
  if (!match) return false;
  // 2000 was a leap year: 29 February is a day of every year's plan.
  const [year, month, day] = [Number(match[1] ?? 2_000), Number(match[2]), Number(match[3])];
  const found = new Date(Date.UTC(year, month - 1, day));
  return found.getUTCMonth() === month - 1 && found.getUTCDate() === day;
}

/** The camera as POST takes it. `before` is what is changed, where something is: times of its plan may be finer. */
export function draftOf(form: CameraForm, before: Camera | null = null): CameraDraft {
  const sub = form.subUrl.trim();
  const username = form.username.trim();
  const types = eventTypesOf(form.eventTypes);
  const plan = before?.recording.schedule ?? null;
  return {
    name: form.name.trim(),
    streams: {
      main: { url: form.url.trim(), transport: form.transport },
      ...(sub === "" ? {} : { sub: { url: sub, transport: form.transport } }),
    },
    ...(username === ""
      ? {}
      : { credentials: { username, ...(form.password === "" ? {} : { password: form.password }) } }),
    recording: {
      mode: form.mode,
      streams: sub === "" ? { main: null, sub: null } : { main: form.mainMode || null, sub: form.subMode || null },
      pre_event_s: Number(form.preEventS),
      post_event_s: Number(form.postEventS),
      event_types: types.length > 0 ? types : null,
      // A plan that is not in use now is kept for when it is again.
      schedule:
        uses(form, "schedule") || plan
          ? { time_zone: form.timeZone, week: writeWeek(form.week, plan?.week), holidays: form.holidays }
          : null,
    },
    retention: retentionOf(form),
    group_id: form.groupId === "" || form.groupId === NEW_GROUP ? null : form.groupId,
  };
}

/** The change as PATCH takes it: null removes what was there, an empty password keeps the old one. */
export function patchOf(form: CameraForm, before: Camera): Partial<CameraDraft> {
  const draft = draftOf(form, before);
  const patch: Partial<CameraDraft> = { ...draft };
  if (before.streams.sub && !draft.streams.sub) patch.streams = { ...draft.streams, sub: null };
  if (before.credentials && !draft.credentials && !hasCredentials(form.url)) patch.credentials = null;
  return patch;
}

// The longest pointers first.
const POINTERS: readonly (readonly [pointer: string, field: FieldName])[] = [
  ["/name", "name"],
  ["/streams/sub", "subUrl"],
  ["/streams", "url"],
  ["/credentials/password", "password"],
  ["/credentials", "username"],
  ["/recording/pre_event_s", "preEventS"],
  ["/recording/post_event_s", "postEventS"],
  ["/recording/event_types", "eventTypes"],
  ["/recording/schedule/time_zone", "timeZone"],
  ["/recording/schedule/holidays", "holidays"],
  ["/recording/schedule", "week"],
  ["/recording/streams/main", "mainMode"],
  ["/recording/streams", "subMode"],
  ["/recording", "mode"],
  ["/retention/max_bytes", "retentionGb"],
  ["/retention/min_days", "minDays"],
  ["/retention/main_days", "mainDays"],
  ["/retention/days", "retentionDays"],
  // What the limits say together is about the guarantee.
  ["/retention", "minDays"],
  ["/group_id", "groupId"],
];

/** Which of the form's fields a member of the request belongs to. */
export function fieldOf(pointer: string): FieldName | null {
  return POINTERS.find(([start]) => pointer === start || pointer.startsWith(`${start}/`))?.[1] ?? null;
}
