import { describe, expect, it } from "vitest";
import { Problem } from "@/shared/api/problem";
import type { CameraStatus } from "@/shared/api/types";
import { liveCaption } from "./caption";
import { INITIAL, type LiveState } from "./live-machine";
import { pictureHeightPx, runningStream, streamPreference } from "./stream-choice";

const status = (state: CameraStatus["state"], reason: string | null = null): CameraStatus => ({
  ...{ codec: null, width: 0, height: 0, fps: 0, bitrate_bps: 0, last_frame_at: null, reconnects: 0, rtp_lost: 0 },
  recording: false,
  state,
  reason,
});
const live = (state: Partial<LiveState>): LiveState => ({ ...INITIAL, ...state });

describe("what is said of a live picture", () => {
  it("is that it is live while frames arrive, whatever the camera's state says yet", () => {
    expect(liveCaption(live({ phase: "live" }), status("offline"), false).state).toBe("live");
  });
  it("is the camera's trouble first, with its reason", () => {
    for (const phase of ["connecting", "waiting", "stalled", "stills"] as const) {
      const said = liveCaption(live({ phase }), status("unauthorized", "401"), false);
      expect(said).toMatchObject({ state: "offline", key: "state.unauthorized", tone: "bad", reason: "401" });
    }
  });
  it("is the viewer's own trouble else", () => {
    expect(liveCaption(live({ phase: "stalled" }), status("online"), false)).toMatchObject({ state: "stalled" });
    const full = live({ phase: "waiting", problem: new Problem(409, "conflict", "", "shows nothing yet") });
    expect(liveCaption(full, undefined, false)).toMatchObject({ state: "reconnecting", reason: "shows nothing yet" });
    expect(liveCaption(full, status("connecting"), false).key).toBe("live.cameraConnecting");
    expect(liveCaption(live({}), status("connecting"), false).key).toBe("live.cameraConnecting");
    expect(liveCaption(live({}), undefined, false)).toMatchObject({ state: "connecting", key: "live.connecting" });
  });
  it("is in the reader's language where the refusal is a known one", () => {
    const dark = live({ phase: "waiting", problem: new Problem(409, "no-picture", "", "shows nothing yet") });
    expect(liveCaption(dark, status("online"), false).why).toBe("live.whyNoPicture");
  });
  it("is that the server is away rather than what it last said of the camera", () => {
    const away = live({ phase: "waiting", problem: new Problem(0, "unreachable", "", "") });
    expect(liveCaption(away, status("connecting"), false)).toMatchObject({
      state: "reconnecting",
      why: "problem.unreachable",
    });
  });
  it("is why there are stills, and that they stopped", () => {
    const stills = live({ phase: "stills", cause: "blocked" });
    expect(liveCaption(stills, status("online"), false)).toMatchObject({ state: "stills", why: "live.whyBlocked" });
    expect(liveCaption(stills, status("online"), true).state).toBe("stalled");
  });
});

describe("the choice of stream", () => {
  const streams = (main: string | null, sub: string | null): CameraStatus => ({
    ...status("online"),
    streams: { main: { codec: main, height: 1080 }, sub: { codec: sub, height: 360 } },
  });

  it("is the server's where there are two of one codec, as far as is known", () => {
    const of = (known: CameraStatus | undefined) =>
      streamPreference({ hasSub: true, status: known, tilesShown: 16, enlarged: false });
    expect([undefined, streams(null, "h264"), streams("h264", "h264")].map(of)).toEqual([["auto"], ["auto"], ["auto"]]);
  });
  it("is the sub stream for small tiles and the main stream for large ones where their codecs differ", () => {
    const of = (tilesShown: number, enlarged: boolean) =>
      streamPreference({ hasSub: true, status: streams("h265", "h264"), tilesShown, enlarged });
    expect([1, 4, 9, 16].map((tiles) => of(tiles, false)[0])).toEqual(["main", "main", "sub", "sub"]);
    expect(of(16, true)).toEqual(["main", "sub"]);
    expect(of(16, false)).toEqual(["sub", "main"]);
  });
  it("is no choice without a sub stream", () => {
    expect(streamPreference({ hasSub: false, status: undefined, tilesShown: 16, enlarged: false })).toEqual(["main"]);
  });
  it("goes by the height of the picture, in device pixels where there are few", () => {
    expect(pictureHeightPx({ width: 1920, height: 1080 }, 1, 2)).toBe(2160);
    expect(pictureHeightPx({ width: 480, height: 270 }, 16, 2)).toBe(270);
    expect(pictureHeightPx({ width: 320, height: 900 }, 4, 1), "upright").toBe(180);
    expect(pictureHeightPx({ width: 0, height: 0 }, 1, 2)).toBe(0);
  });
  it("is told from the pictures that come", () => {
    const known = streams("h264", "h264");
    expect([360, 352, 1080, 1088].map((height) => runningStream("auto", height, known))).toEqual([
      "sub",
      "sub",
      "main",
      "main",
    ]);
    expect(runningStream("auto", 0, known)).toBe("auto");
    expect(runningStream("auto", 360, undefined)).toBe("auto");
    expect(runningStream("main", 360, known)).toBe("main");
  });
});
