import { describe, expect, it } from "vitest";
import type { Camera } from "@/shared/api/types";
import { check, draftOf, EMPTY, fieldOf, formOf, patchOf } from "./draft";

const good = { ...EMPTY, name: " Door ", url: " rtsp://192.0.2.1/a ", username: "u", password: "p" };
const camera: Camera = {
  id: "1",
  name: "Door",
  streams: {
    main: { url: "rtsp://192.0.2.1/a", transport: "udp" },
    sub: { url: "rtsp://192.0.2.1/b", transport: "udp" },
  },
  credentials: { username: "u" },
  recording: { mode: "motion" },
  retention: { days: 7, max_bytes: null },
};

describe("the camera form", () => {
  it("becomes what POST takes", () => {
    expect(draftOf(good)).toEqual({
      name: "Door",
      streams: { main: { url: "rtsp://192.0.2.1/a", transport: "tcp" } },
      credentials: { username: "u", password: "p" },
      recording: { mode: "continuous" },
      retention: { days: 30 },
    });
  });
  it("keeps the password when none is typed, and removes what was emptied", () => {
    const patch = patchOf({ ...formOf(camera), subUrl: "", username: "", retentionDays: "" }, camera);
    expect(patch.credentials).toBeNull();
    expect(patch.streams?.sub).toBeNull();
    expect(patch.retention).toEqual({ days: null });
    expect(patch.recording).toEqual({ mode: "motion" });
    expect(patchOf(formOf(camera), camera).credentials).toEqual({ username: "u" });
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
  it("knows which field a server's complaint is about", () => {
    expect(
      ["/streams/main/url", "/streams/sub", "/credentials/password", "/retention/days", "/else"].map(fieldOf),
    ).toEqual(["url", "subUrl", "password", "retentionDays", null]);
  });
});
