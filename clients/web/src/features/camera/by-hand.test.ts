import { expect, it } from "vitest";
import type { RecordingPolicy } from "@/shared/api/types";
import { startsByHand } from "./by-hand";

const main = { url: "rtsp://192.0.2.1/a", transport: "tcp" as const };
const camera = (recording: RecordingPolicy, hasSub = false) => ({
  recording,
  streams: hasSub ? { main, sub: main } : { main },
});

it("recording is started by hand where a mode leaves it to people", () => {
  expect(startsByHand(camera({ mode: "manual" }))).toBe(true);
  expect(startsByHand(camera({ mode: "schedule" }))).toBe(true);
  expect(startsByHand(camera({ mode: "off" }))).toBe(false);
  expect(startsByHand(camera({ mode: "manual", streams: { main: "continuous" } }))).toBe(false);
  expect(startsByHand(camera({ mode: "manual", streams: { main: "continuous" } }, true))).toBe(true);
  expect(startsByHand(camera({ mode: "continuous", streams: { sub: "manual" } }))).toBe(false);
});
