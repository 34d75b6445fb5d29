import type { Camera } from "@/shared/api/types";

/** Whether an operator's start changes anything: streams that record by hand, or that a plan may leave out. */
export function startsByHand(camera: Pick<Camera, "recording" | "streams">): boolean {
  const { mode, streams } = camera.recording;
  const modes = [streams?.main ?? mode, ...(camera.streams.sub ? [streams?.sub ?? mode] : [])];
  return modes.includes("manual") || modes.includes("schedule");
}
