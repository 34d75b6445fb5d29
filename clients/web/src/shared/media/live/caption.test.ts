import { describe, expect, it } from "vitest";
import { Problem } from "@/shared/api/problem";
import type { CameraStatus } from "@/shared/api/types";
import { liveCaption } from "./caption";
import { INITIAL, type LiveState } from "./live-machine";
import { streamPreference } from "./stream-choice";

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
  it("takes the sub stream for small tiles and the main stream for large ones, each in the other's stead", () => {
    const of = (tilesShown: number, enlarged: boolean) => streamPreference({ hasSub: true, tilesShown, enlarged });
    expect([1, 4, 9, 16].map((tiles) => of(tiles, false)[0])).toEqual(["main", "main", "sub", "sub"]);
    expect(of(16, true)).toEqual(["main", "sub"]);
    expect(of(16, false)).toEqual(["sub", "main"]);
  });
  it("is no choice without a sub stream", () => {
    expect(streamPreference({ hasSub: false, tilesShown: 16, enlarged: false })).toEqual(["main"]);
  });
});
