import type { CameraStatus } from "@/shared/api/types";
import type { Key } from "@/shared/i18n";
import type { LivePhase } from "./live-session";

export interface LiveCaption {
  key: Key;
  tone: "quiet" | "warn" | "bad";
  /** Why, as the server tells it. */
  reason: string | null;
  busy: boolean;
}

/**
 * What to say of a live picture that is not simply live; null when it is. The camera's own trouble comes first: it
 * explains the viewer's.
 */
export function liveCaption(
  phase: LivePhase,
  status: CameraStatus | undefined,
  problemDetail: string | null,
): LiveCaption | null {
  if (phase === "live") return null;
  const reason = status?.reason ?? null;
  switch (status?.state) {
    case "offline":
      return { key: "state.offline", tone: "bad", reason, busy: false };
    case "unauthorized":
      return { key: "state.unauthorized", tone: "bad", reason, busy: false };
    case "error":
      return { key: "state.error", tone: "bad", reason, busy: false };
    default:
      break;
  }
  switch (phase) {
    case "stalled":
      return { key: "live.stalled", tone: "warn", reason: null, busy: false };
    case "unplayable":
      return { key: "live.stillsOnly", tone: "warn", reason: null, busy: false };
    case "waiting":
      return { key: "live.reconnecting", tone: "warn", reason: problemDetail, busy: true };
    default:
      return {
        key: status?.state === "connecting" ? "live.cameraConnecting" : "live.connecting",
        tone: "quiet",
        reason,
        busy: true,
      };
  }
}
