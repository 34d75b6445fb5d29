import { describe, expect, it } from "vitest";
import { Problem } from "@/shared/api/problem";
import type { CameraStatus } from "@/shared/api/types";
import { Backoff } from "../backoff";
import { liveCaption } from "./caption";
import { isUnplayable, StallWatch } from "./live-session";

describe("the watch over frames", () => {
  it("tells waiting, live, stalled and lost", () => {
    const watch = new StallWatch(0);
    expect(watch.observe(0, 1_000)).toBe("waiting");
    expect(watch.observe(12, 2_000)).toBe("live");
    expect(watch.observe(12, 4_900)).toBe("live");
    expect(watch.observe(12, 5_000)).toBe("stalled");
    expect(watch.observe(13, 6_000)).toBe("live");
    expect(watch.observe(13, 15_000)).toBe("lost");
  });
  it("gives up on a session that never shows a frame", () => {
    const watch = new StallWatch(0);
    expect(watch.observe(0, 8_000)).toBe("waiting");
    expect(watch.observe(0, 9_000)).toBe("lost");
  });
});

describe("waits between tries", () => {
  it("double up to the ceiling, spread, and begin anew after a success", () => {
    const backoff = new Backoff(1_000, 5_000, () => 0.5);
    expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
    backoff.reset();
    expect(backoff.nextMs()).toBe(1_000);
    expect(new Backoff(1_000, 5_000, () => 0).nextMs()).toBe(800);
  });
});

describe("what is said over the picture", () => {
  const status = (state: CameraStatus["state"], reason: string | null = null): CameraStatus => ({
    ...{ codec: null, width: 0, height: 0, fps: 0, bitrate_bps: 0, last_frame_at: null, reconnects: 0, rtp_lost: 0 },
    recording: false,
    state,
    reason,
  });
  it("is nothing while it moves", () => expect(liveCaption("live", status("offline"), null)).toBeNull());
  it("is the camera's trouble first, with its reason", () => {
    expect(liveCaption("waiting", status("unauthorized", "401"), "x")).toMatchObject({
      key: "state.unauthorized",
      reason: "401",
    });
    expect(liveCaption("stalled", status("offline", "no route"), null)).toMatchObject({ tone: "bad", busy: false });
  });
  it("is the viewer's own trouble else", () => {
    expect(liveCaption("stalled", status("online"), null)?.key).toBe("live.stalled");
    expect(liveCaption("waiting", undefined, "too many")).toMatchObject({
      key: "live.reconnecting",
      reason: "too many",
    });
    expect(liveCaption("connecting", status("connecting"), null)?.key).toBe("live.cameraConnecting");
  });
  it("tells a codec apart from a failed connection", () => {
    expect(isUnplayable(new Problem(422, "unsupported", "", ""))).toBe(true);
    expect(isUnplayable(new Problem(422, "webrtc", "", ""))).toBe(false);
    expect(isUnplayable(new Problem(409, "conflict", "", ""))).toBe(false);
  });
});
