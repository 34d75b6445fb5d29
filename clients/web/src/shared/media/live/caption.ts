import type { CameraStatus } from "@/shared/api/types";
import type { Key } from "@/shared/i18n";
import type { IconName } from "@/shared/ui/Icon";
import type { LiveState, StillsCause } from "./live-machine";

/** What a viewer is told of a live picture: the state in one word for programs, in a text for people. */
export interface LiveCaption {
  state: "connecting" | "live" | "stalled" | "reconnecting" | "stills" | "offline";
  key: Key;
  tone: "good" | "quiet" | "warn" | "bad";
  icon: IconName;
  /** Something is under way. */
  busy: boolean;
  /** Why: a text of ours, or the words of the server. */
  why: Key | null;
  reason: string | null;
}

const STILLS_WHY: Record<StillsCause, Key> = {
  codec: "live.whyCodec",
  blocked: "live.whyBlocked",
  busy: "live.whyBusy",
  unsupported: "live.whyUnsupported",
};

/** Refusals that are told in the reader's language; of others the server's words are shown. */
const REFUSAL_WHY: Partial<Record<string, Key>> = {
  unreachable: "problem.unreachable",
  unavailable: "problem.unavailable",
  "no-picture": "live.whyNoPicture",
};

/**
 * The caption of a picture. Frames that arrive are the truth; else the camera's own trouble comes first, since it
 * explains the viewer's.
 */
export function liveCaption(live: LiveState, status: CameraStatus | undefined, stillIsOld: boolean): LiveCaption {
  if (live.phase === "live") return caption("live", "live.label", "good", "play");
  const reason = status?.reason ?? null;
  switch (status?.state) {
    case "offline":
      return caption("offline", "state.offline", "bad", "offline", { reason });
    case "unauthorized":
      return caption("offline", "state.unauthorized", "bad", "lock", { reason });
    case "error":
      return caption("offline", "state.error", "bad", "warning", { reason });
    default:
      break;
  }
  const refusal = live.problem?.code ?? "";
  switch (live.phase) {
    case "stalled":
      return caption("stalled", "live.stalled", "warn", "pause");
    case "stills":
      if (stillIsOld) return caption("stalled", "live.stalled", "warn", "pause");
      return caption("stills", "live.stills", "warn", "photo", { why: live.cause && STILLS_WHY[live.cause] });
    case "waiting":
      if (status?.state === "connecting" && refusal !== "unreachable") {
        return caption("connecting", "live.cameraConnecting", "quiet", "clock", { busy: true, reason });
      }
      return caption("reconnecting", "live.reconnecting", "warn", "clock", {
        busy: true,
        why: REFUSAL_WHY[refusal] ?? null,
        reason: live.problem?.detail || null,
      });
    default:
      return caption(
        "connecting",
        status?.state === "connecting" ? "live.cameraConnecting" : "live.connecting",
        "quiet",
        "clock",
        { busy: true, reason },
      );
  }
}

function caption(
  state: LiveCaption["state"],
  key: Key,
  tone: LiveCaption["tone"],
  icon: IconName,
  more: Partial<Pick<LiveCaption, "busy" | "why" | "reason">> = {},
): LiveCaption {
  return { state, key, tone, icon, busy: false, why: null, reason: null, ...more };
}
