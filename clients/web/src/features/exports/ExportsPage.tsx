import { createSignal, For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { isFinal, listExports } from "@/shared/api/exports";
import { Problem } from "@/shared/api/problem";
import type { ExportJob } from "@/shared/api/types";
import { directory } from "@/shared/cameras/directory";
import { ExportStatus } from "@/shared/exports/ExportStatus";
import { regional, t } from "@/shared/i18n";
import { dateAndTime, durationText } from "@/shared/time/format";
import { formatInstant, parseInstant } from "@/shared/time/instant";
import { Spinner } from "@/shared/ui/Icon";
import { Empty, ProblemNotice } from "@/shared/ui/Notice";

const BUSY_EVERY_MS = 1_000;
const IDLE_EVERY_MS = 8_000;

/** Every export, newest first. */
export default function ExportsPage(): JSX.Element {
  const [jobs, setJobs] = createStore<{ list: ExportJob[]; loaded: boolean }>({ list: [], loaded: false });
  const [problem, setProblem] = createSignal<Problem | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const aborter = new AbortController();

  const load = async () => {
    clearTimeout(timer);
    try {
      const found = await listExports(aborter.signal);
      setJobs("list", reconcile(found, { key: "id" }));
      setJobs("loaded", true);
      setProblem(null);
    } catch (error) {
      if (aborter.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    }
    const busy = jobs.list.some((job) => !isFinal(job));
    timer = setTimeout(() => void load(), busy ? BUSY_EVERY_MS : IDLE_EVERY_MS);
  };
  onMount(() => void load());
  onCleanup(() => {
    clearTimeout(timer);
    aborter.abort();
  });

  const nameOf = (id: string) =>
    directory.cameras.find((camera) => camera.id === id)?.name ?? t("export.removedCamera");

  return (
    <div class="h-full overflow-y-auto">
      <div class="mx-auto max-w-4xl px-4 py-5 sm:px-6">
        <h1 class="mb-4 font-semibold text-[20px]">{t("nav.exports")}</h1>
        <Show when={problem()}>
          {(found) => (
            <div class="mb-4">
              <ProblemNotice problem={found()} onRetry={() => void load()} />
            </div>
          )}
        </Show>
        <Show when={!jobs.loaded && !problem()}>
          <div class="grid place-items-center py-16 text-muted">
            <Spinner size={28} />
          </div>
        </Show>
        <Show when={jobs.loaded && jobs.list.length === 0}>
          <div class="panel">
            <Empty icon="download" title={t("export.none")}>
              <p>{t("export.noneHint")}</p>
            </Empty>
          </div>
        </Show>
        <ul class="grid gap-2.5">
          <For each={jobs.list}>
            {(job) => (
              <li class="panel grid gap-2 p-4">
                <div class="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-0.5">
                  <p class="font-medium">
                    <For each={job.camera_ids ?? []}>
                      {(id, index) => (
                        <>
                          {index() > 0 && ", "}
                          <a
                            class="hover:text-accent hover:underline"
                            href={`#/cameras/${encodeURIComponent(id)}${job.start ? `?t=${encodeURIComponent(formatInstant(parseInstant(job.start)))}` : ""}`}
                          >
                            {nameOf(id)}
                          </a>
                        </>
                      )}
                    </For>
                    <Show when={job.format}>
                      <span class="ml-2 rounded bg-hover px-1.5 py-0.5 text-[11.5px] text-muted uppercase">
                        {job.format}
                      </span>
                    </Show>
                  </p>
                  <Show when={job.created_at}>
                    {(at) => (
                      <p class="text-[12.5px] text-muted">
                        {t("export.ordered", { at: dateAndTime(parseInstant(at()), regional()) })}
                      </p>
                    )}
                  </Show>
                </div>
                <Show when={job.start !== undefined && job.end !== undefined}>
                  <p class="text-[13px] text-muted tabular-nums">
                    {dateAndTime(parseInstant(job.start ?? ""), regional())} –{" "}
                    {dateAndTime(parseInstant(job.end ?? ""), regional())}
                    <span class="ml-2">
                      ({durationText(parseInstant(job.end ?? "") - parseInstant(job.start ?? ""))})
                    </span>
                  </p>
                </Show>
                <ExportStatus job={job} onRemoved={() => void load()} />
              </li>
            )}
          </For>
        </ul>
      </div>
    </div>
  );
}
