import { describe, expect, it } from "vitest";
import type { Camera } from "@/shared/api/types";
import { check, draftOf, EMPTY, fieldOf, formOf, patchOf, uses, waitsForEvents } from "./draft";
import { gridOf } from "./week-grid";

const good = { ...EMPTY, name: " Door ", url: " rtsp://192.0.2.1/a ", username: "u", password: "p" };
const plan = {
  time_zone: "America/Sao_Paulo",
  week: { mon: [{ from: "08:10", to: "18:00", mode: "event" as const }] },
  holidays: [{ date: "12-25", slots: [] }],
};
const camera: Camera = {
  id: "1",
  name: "Door",
  streams: {
    main: { url: "rtsp://192.0.2.1/a", transport: "udp" },
    sub: { url: "rtsp://192.0.2.1/b", transport: "udp" },
  },
  credentials: { username: "u" },
  recording: {
    mode: "schedule",
    streams: { main: null, sub: "continuous" },
    pre_event_s: 10,
    post_event_s: 20,
    schedule: plan,
    event_types: ["line.crossed"],
  },
  retention: { days: 7, max_bytes: 123_456_789_012, min_days: 2, main_days: 3 },
  group_id: "g",
};

describe("the camera form", () => {
  it("becomes what POST takes", () => {
    expect(draftOf(good)).toEqual({
      name: "Door",
      streams: { main: { url: "rtsp://192.0.2.1/a", transport: "tcp" } },
      credentials: { username: "u", password: "p" },
      recording: {
        mode: "continuous",
        streams: { main: null, sub: null },
        pre_event_s: 60,
        post_event_s: 30,
        event_types: null,
        schedule: null,
      },
      retention: { days: 30, max_bytes: null, min_days: null, main_days: null },
      group_id: null,
    });
  });
  it("is what it was when nothing is touched", () => {
    const { recording, retention, group_id, streams, credentials } = patchOf(formOf(camera), camera);
    expect(recording).toEqual({
      ...camera.recording,
      schedule: { ...plan, week: { ...plan.week, tue: [], wed: [], thu: [], fri: [], sat: [], sun: [] } },
    });
    expect({ retention, group_id, streams, credentials }).toEqual({
      retention: camera.retention,
      group_id: "g",
      streams: camera.streams,
      credentials: { username: "u" },
    });
  });
  it("keeps the password when none is typed, and removes what was emptied", () => {
    const form = { ...formOf(camera), subUrl: "", username: "", retentionDays: "", retentionGb: "", groupId: "" };
    const patch = patchOf(form, camera);
    expect(patch.credentials).toBeNull();
    expect(patch.streams?.sub).toBeNull();
    expect(patch.recording?.streams).toEqual({ main: null, sub: null });
    expect(patch.retention).toEqual({ days: null, max_bytes: null, min_days: 2, main_days: 3 });
    expect(patch.group_id).toBeNull();
  });
  it("keeps a plan that is not in use", () => {
    const patch = patchOf({ ...formOf(camera), mode: "off" }, camera);
    expect(patch.recording?.schedule?.week.mon).toEqual(plan.week.mon);
  });
  it("is checked before it is sent", () => {
    expect([...check(good)]).toEqual([]);
    expect(check({ ...good, name: " ", url: "http://x", retentionDays: "0" })).toEqual(
      new Map([
        ["name", "cameras.nameMissing"],
        ["url", "cameras.urlWrong"],
        ["retentionDays", "cameras.daysWrong"],
      ]),
    );
    expect(check({ ...good, username: "" }).get("username")).toBe("cameras.usernameMissing");
    expect(check({ ...good, username: "", url: "rtsp://u@192.0.2.1/" }).size).toBe(0);
  });
  it("is checked for limits that cannot be", () => {
    const wrong = (more: Partial<typeof good>) => [...check({ ...good, ...more })];
    expect(wrong({ preEventS: "601", postEventS: "" })).toEqual([
      ["preEventS", "cameras.preWrong"],
      ["postEventS", "cameras.postWrong"],
    ]);
    expect(wrong({ retentionDays: "36501" })).toEqual([["retentionDays", "cameras.daysWrong"]]);
    expect(wrong({ retentionGb: "0" })).toEqual([["retentionGb", "cameras.gbWrong"]]);
    expect(wrong({ retentionGb: "much" })).toEqual([["retentionGb", "cameras.gbWrong"]]);
    expect(wrong({ minDays: "31" })).toEqual([["minDays", "cameras.minDaysWrong"]]);
    expect(wrong({ minDays: "8", mainDays: "7" })).toEqual([["minDays", "cameras.minDaysWrong"]]);
    expect(wrong({ eventTypes: "Door open" })).toEqual([["eventTypes", "cameras.eventTypesWrong"]]);
    expect(wrong({ groupId: "new" })).toEqual([["newGroup", "cameras.groupMissing"]]);
    const holidays = (...dates: string[]) =>
      wrong({ mode: "schedule", holidays: dates.map((date) => ({ date, slots: [] })) });
    expect(holidays("02-29", "2026-12-25")).toEqual([]);
    expect(holidays("2026-02-29")).toEqual([["holidays", "cameras.holidayWrong"]]);
    expect(holidays("")).toEqual([["holidays", "cameras.holidayWrong"]]);
    expect(holidays("12-25", "12-25")).toEqual([["holidays", "cameras.holidayTwice"]]);
  });
  it("knows which modes are in use", () => {
    expect(uses({ ...good, subMode: "motion" }, "motion")).toBe(false);
    const both = { ...good, subUrl: "rtsp://192.0.2.1/b", mainMode: "event" as const };
    expect([uses(both, "event"), uses(both, "continuous"), waitsForEvents(both)]).toEqual([true, true, true]);
    expect(waitsForEvents({ ...good, mode: "schedule", week: gridOf("continuous") })).toBe(false);
    expect(waitsForEvents({ ...good, mode: "schedule", week: gridOf("motion") })).toBe(true);
  });
  it("knows which field a server's complaint is about", () => {
    expect(
      [
        "/streams/main/url",
        "/streams/sub",
        "/credentials/password",
        "/retention/days",
        "/retention",
        "/recording",
        "/recording/schedule/week/mon/0/to",
        "/recording/schedule/holidays/3/date",
        "/recording/pre_event_s",
        "/group_id",
        "/names",
        "/else",
      ].map(fieldOf),
    ).toEqual([
      "url",
      "subUrl",
      "password",
      "retentionDays",
      "minDays",
      "mode",
      "week",
      "holidays",
      "preEventS",
      "groupId",
      null,
      null,
    ]);
  });
});
