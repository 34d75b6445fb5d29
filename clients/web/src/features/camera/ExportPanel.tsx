import { createMemo, createSignal, For, type JSX, onCleanup, Show } from "solid-js";
import type { Span } from "@/shared/api/cameras";
import { followExport, orderExport } from "@/shared/api/exports";
import { may } from "@/shared/api/me";
import { Problem } from "@/shared/api/problem";
import type { ExportFormat, ExportJob } from "@/shared/api/types";
import { directory } from "@/shared/cameras/directory";
import { ExportStatus } from "@/shared/exports/ExportStatus";
import { t, tn } from "@/shared/i18n";
import { LockForm } from "@/shared/keeping/LockForm";
import { durationText } from "@/shared/time/format";
import { fromLocalInput, toLocalInput } from "@/shared/time/instant";
import { Button, IconButton } from "@/shared/ui/Button";
import { Field } from "@/shared/ui/Field";
import { Fold } from "@/shared/ui/Fold";
import { ProblemNotice } from "@/shared/ui/Notice";
import { say } from "@/shared/ui/toasts";
import { recordedWithin } from "./selection";
import type { TimelineData } from "./timeline-data";

const FORMATS: readonly ExportFormat[] = ["mp4", "mkv", "zip"];

/** Chooses what to export and follows it to the file. */
export function ExportPanel(props: {
  cameraId: string;
  selection: Span;
  onSelection: (span: Span) => void;
  /** Where the in and out marks go: what is seen now. */
  position: number;
  data: TimelineData | null;
  onClose: () => void;
}): JSX.Element {
  const [format, setFormat] = createSignal<ExportFormat>("mp4");
  const [others, setOthers] = createSignal<ReadonlySet<string>>(new Set());
  const [job, setJob] = createSignal<ExportJob | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  let following = new AbortController();
  onCleanup(() => following.abort());

  const several = () => others().size > 0;
  const chosen = (): ExportFormat => (several() ? "zip" : format());
  const recordedMs = createMemo(() => (props.data ? recordedWithin(props.data.ranges, props.selection) : null));

  const order = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const ordered = await orderExport([props.cameraId, ...others()], props.selection, chosen());
      setJob(ordered);
      following.abort();
      following = new AbortController();
      const { signal } = following;
      followExport(ordered.id, setJob, signal).catch((error: unknown) => {
        if (error instanceof Problem && !signal.aborted) setProblem(error);
      });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const toggle = (id: string) =>
    setOthers((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  const setEdge = (edge: "start" | "end", at: number | null) => {
    if (at === null) return;
    const { start, end } = props.selection;
    if (edge === "start") props.onSelection({ start: at, end: Math.max(end, at + 1_000) });
    else props.onSelection({ start: Math.min(start, at - 1_000), end: at });
  };

  return (
    <aside
      aria-label={t("export.title")}
      class="flex w-full shrink-0 flex-col border-line bg-surface max-lg:border-t lg:w-[344px] lg:border-l"
    >
      <div class="flex items-center justify-between border-line border-b py-1 pr-2 pl-4">
        <h2 class="font-semibold">{t("export.title")}</h2>
        <IconButton icon="close" label={t("action.close")} shortcut="E" onClick={() => props.onClose()} />
      </div>
      <div class="grid grid-cols-[minmax(0,1fr)] gap-3.5 overflow-y-auto overflow-x-hidden p-4">
        <p class="text-[13px] text-muted max-lg:hidden">{t("export.hint")}</p>
        <div class="grid grid-cols-2 gap-3.5 lg:grid-cols-1">
          <For each={["start", "end"] as const}>
            {(edge) => (
              <Field label={t(edge === "start" ? "export.from" : "export.to")}>
                {(attributes) => (
                  <div class="flex gap-1.5">
                    <input
                      {...attributes}
                      class="field min-w-0 px-2 tabular-nums"
                      type="datetime-local"
                      step="1"
                      value={toLocalInput(props.selection[edge])}
                      onChange={(event) => setEdge(edge, fromLocalInput(event.currentTarget.value))}
                    />
                    <Button
                      class="px-2.5 max-lg:hidden"
                      title={`${t(edge === "start" ? "export.markIn" : "export.markOut")} (${edge === "start" ? "I" : "O"})`}
                      onClick={() => setEdge(edge, props.position)}
                    >
                      {t(edge === "start" ? "export.in" : "export.out")}
                    </Button>
                  </div>
                )}
              </Field>
            )}
          </For>
        </div>
        <p class="text-[13px] tabular-nums">
          {t("export.length", { length: durationText(props.selection.end - props.selection.start) })}
          <Show
            when={recordedMs() !== null && (recordedMs() ?? 0) < props.selection.end - props.selection.start - 1_500}
          >
            <span class="ml-1.5 text-warn">{t("export.recordedOf", { length: durationText(recordedMs() ?? 0) })}</span>
          </Show>
        </p>
        <fieldset>
          <legend class="mb-1 font-medium text-[13px] text-muted">{t("export.format")}</legend>
          <div class="grid grid-cols-3 gap-1 rounded-lg border border-line bg-ground p-1">
            <For each={FORMATS}>
              {(entry) => (
                <label
                  class="grid min-h-8 cursor-pointer place-items-center rounded-md text-[13px] uppercase has-focus-visible:outline-2 has-focus-visible:outline-accent"
                  classList={{
                    "bg-accent-soft text-accent font-medium": chosen() === entry,
                    "text-muted hover:bg-hover": chosen() !== entry,
                    "cursor-not-allowed opacity-50": several() && entry !== "zip",
                  }}
                >
                  <input
                    type="radio"
                    name="export-format"
                    class="sr-only"
                    disabled={several() && entry !== "zip"}
                    checked={chosen() === entry}
                    onChange={() => setFormat(entry)}
                  />
                  {entry}
                </label>
              )}
            </For>
          </div>
        </fieldset>
        <Show when={directory.cameras.length > 1}>
          <details>
            <summary class="text-[13px] text-muted hover:text-ink">
              {several() ? tn("export.moreCameras", others().size) : t("export.otherCameras")}
            </summary>
            <div class="mt-2 grid max-h-40 gap-0.5 overflow-y-auto">
              <For each={directory.cameras.filter((camera) => camera.id !== props.cameraId)}>
                {(camera) => (
                  <label class="flex min-h-8 items-center gap-2 rounded-md px-1.5 hover:bg-hover">
                    <input
                      type="checkbox"
                      class="h-4 w-4 accent-(--accent)"
                      checked={others().has(camera.id)}
                      onChange={() => toggle(camera.id)}
                    />
                    <span class="truncate">{camera.name}</span>
                  </label>
                )}
              </For>
            </div>
          </details>
        </Show>
        <Show when={problem()}>{(found) => <ProblemNotice problem={found()} />}</Show>
        <Button kind="primary" icon="scissors" busy={busy()} data-testid="order-export" onClick={() => void order()}>
          {t("export.order")}
        </Button>
        <Show when={job()}>
          {(shown) => (
            <div class="rounded-lg border border-line bg-raised p-3">
              <ExportStatus
                job={shown()}
                onRemoved={() => {
                  following.abort();
                  setJob(null);
                }}
              />
            </div>
          )}
        </Show>
        <a href="#/exports" class="text-[13px] text-accent hover:underline">
          {t("export.all")}
        </a>
        <Show when={may("recordings:lock")}>
          <Fold title={t("lock.add")}>
            <p class="text-[13px] text-muted">{t("lock.explain")}</p>
            <LockForm
              cameraIds={[props.cameraId, ...others()]}
              span={props.selection}
              onLocked={() => say(t("lock.done"), "lock")}
            />
            <a href="#/storage" class="text-[13px] text-accent hover:underline">
              {t("lock.all")}
            </a>
          </Fold>
        </Show>
      </div>
    </aside>
  );
}
