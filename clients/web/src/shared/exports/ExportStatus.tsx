import { createSignal, type JSX, Show } from "solid-js";
import { downloadExport, isFinal, removeExport } from "@/shared/api/exports";
import { Problem } from "@/shared/api/problem";
import type { ExportJob } from "@/shared/api/types";
import { regional, t } from "@/shared/i18n";
import { problemText } from "@/shared/i18n/problems";
import { bytesText } from "@/shared/time/format";
import { Button, IconButton } from "@/shared/ui/Button";
import { Progress } from "@/shared/ui/Progress";
import { say } from "@/shared/ui/toasts";

/** How far an export is, and what can be done with it. */
export function ExportStatus(props: { job: ExportJob; onRemoved: () => void }): JSX.Element {
  const [busy, setBusy] = createSignal<"download" | "remove" | null>(null);
  const act = async (what: "download" | "remove", work: () => Promise<void>) => {
    setBusy(what);
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(problemText(error).title, "warning");
    } finally {
      setBusy(null);
    }
  };
  const sizeBytes = () => {
    const files = props.job.files ?? [];
    const whole = files.reduce((sum, file) => sum + file.size_bytes, 0);
    return whole || props.job.bytes_written || 0;
  };
  return (
    <div class="grid gap-2" data-export={props.job.id} data-state={props.job.state}>
      <div class="flex items-center gap-3">
        <p class="min-w-0 flex-1 text-[13px]">
          <span
            classList={{
              "text-ok": props.job.state === "done",
              "text-bad": props.job.state === "failed",
              "text-muted": props.job.state === "cancelled",
            }}
            class="font-medium"
          >
            {t(`export.state.${props.job.state}`)}
          </span>
          <Show when={!isFinal(props.job)}>
            <span class="ml-2 whitespace-nowrap text-muted tabular-nums">{Math.floor(props.job.progress * 100)}%</span>
          </Show>
          <Show when={sizeBytes() > 0}>
            <span class="ml-2 whitespace-nowrap text-muted tabular-nums">{bytesText(sizeBytes(), regional())}</span>
          </Show>
        </p>
        <Show when={props.job.state === "done"}>
          <Button
            kind="primary"
            icon="download"
            busy={busy() === "download"}
            onClick={() => void act("download", () => downloadExport(props.job))}
          >
            {t("export.download")}
          </Button>
        </Show>
        <Show
          when={isFinal(props.job)}
          fallback={
            <Button
              kind="plain"
              icon="close"
              busy={busy() === "remove"}
              onClick={() => void act("remove", () => removeExport(props.job.id).then(props.onRemoved))}
            >
              {t("action.cancel")}
            </Button>
          }
        >
          <IconButton
            icon="trash"
            label={t("export.delete")}
            disabled={busy() !== null}
            onClick={() => void act("remove", () => removeExport(props.job.id).then(props.onRemoved))}
          />
        </Show>
      </div>
      <Show when={!isFinal(props.job)}>
        <Progress value={props.job.progress} label={t("export.progress")} />
      </Show>
      <Show when={props.job.error}>
        <p class="break-words text-[13px] text-bad">{props.job.error}</p>
      </Show>
      <Show when={props.job.sha256}>
        <p class="truncate font-mono text-[11.5px] text-muted" title={props.job.sha256 ?? ""}>
          SHA-256 {props.job.sha256}
        </p>
      </Show>
    </div>
  );
}
