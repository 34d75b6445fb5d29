import type { JSX } from "solid-js";
import type { CameraState } from "@/shared/api/types";
import { t } from "@/shared/i18n";

const DOTS: Record<CameraState | "unknown", string> = {
  online: "bg-ok",
  connecting: "bg-warn breathe",
  offline: "bg-bad",
  unauthorized: "bg-bad",
  error: "bg-bad",
  unknown: "bg-muted breathe",
};

/** A camera's state: a dot and a word, never colour alone. */
export function StatePill(props: { state: CameraState | undefined }): JSX.Element {
  return (
    <span class="inline-flex items-center gap-2 whitespace-nowrap">
      <span class={`h-2 w-2 rounded-full ${DOTS[props.state ?? "unknown"]}`} />
      {t(`state.${props.state ?? "unknown"}`)}
    </span>
  );
}

/** The dot of a recording camera. */
export function RecordingDot(props: { recording: boolean; withText?: boolean }): JSX.Element {
  const label = () => (props.recording ? t("recording.on") : t("recording.off"));
  return (
    <span class="inline-flex items-center gap-1.5" title={label()}>
      <span
        class={`h-2 w-2 rounded-full ${props.recording ? "bg-rec" : "border border-current opacity-60"}`}
        role="img"
        aria-label={label()}
      />
      {props.withText && <span>{label()}</span>}
    </span>
  );
}
