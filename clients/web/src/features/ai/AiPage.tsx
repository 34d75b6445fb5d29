import { createMemo, createSignal, For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { cameraAnalysis, listDevices, listModels, poolFigures } from "@/shared/api/analysis";
import type { CameraAnalysis, DeviceFigures, Model, PoolFigures } from "@/shared/api/analysis-types";
import { isAbort, Problem } from "@/shared/api/problem";
import { directory } from "@/shared/cameras/directory";
import { regional } from "@/shared/i18n";
import { Spinner } from "@/shared/ui/Icon";
import { Empty, Notice, ProblemNotice } from "@/shared/ui/Notice";
import { CameraStates } from "./CameraStates";
import { Devices } from "./Devices";
import { InstallHint, Models } from "./Models";
import { ai } from "./texts";

const EVERY_MS = 3_000;
// Models change when somebody installs one.
const MODELS_EVERY = 5;
const AT_ONCE = 4;

interface Shown {
  devices: DeviceFigures[] | null;
  models: Model[] | null;
  pool: PoolFigures | null;
  cameras: Record<string, CameraAnalysis>;
}

/** How understanding pictures goes: cameras, devices, models. */
export default function AiPage(): JSX.Element {
  const [shown, setShown] = createStore<Shown>({ devices: null, models: null, pool: null, cameras: {} });
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const aborter = new AbortController();

  const askCameras = async () => {
    const waiting = directory.cameras.filter((camera) => camera.analysis?.enabled).map((camera) => camera.id);
    const ask = async () => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
        try {
          setShown("cameras", id, reconcile(await cameraAnalysis(id, aborter.signal)));
        } catch (error) {
          // What is shown stays until the next answer.
          if (!(error instanceof Problem)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
  };
  let turn = 0;
  let busy = false;
  const refresh = async () => {
    if (busy || document.visibilityState !== "visible") return;
    busy = true;
    try {
      const { signal } = aborter;
      const isModelsTurn = turn % MODELS_EVERY === 0 || shown.models === null;
      const [devices, pool, models] = await Promise.all([
        listDevices(signal),
        poolFigures(signal),
        isModelsTurn ? listModels(signal) : null,
      ]);
      turn += 1;
      setShown("devices", reconcile(devices, { key: null }));
      setShown("pool", reconcile(pool));
      if (models) setShown("models", reconcile(models, { key: "name" }));
      setProblem(null);
      await askCameras();
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      busy = false;
    }
  };
  onMount(() => {
    void refresh();
    const timer = setInterval(() => void refresh(), EVERY_MS);
    onCleanup(() => {
      clearInterval(timer);
      aborter.abort();
    });
  });

  const isNothingInstalled = () => shown.models !== null && !shown.models.some((model) => model.installed);
  const totals = createMemo(() => {
    const { pool } = shown;
    if (!pool) return [];
    const text = (value: number) => value.toLocaleString(regional());
    return [
      { label: ai("answered"), value: text(pool.answered), hint: ai("answeredHint"), bad: false },
      { label: ai("dropped"), value: text(pool.dropped), hint: ai("droppedHint"), bad: false },
      { label: ai("failed"), value: text(pool.failed), hint: ai("failedHint"), bad: pool.failed > 0 },
      {
        label: ai("waited"),
        value: `${pool.waited_p95_ms.toLocaleString(regional(), { maximumFractionDigits: 0 })} ms`,
        hint: ai("waitedHint"),
        bad: false,
      },
    ];
  });

  return (
    <div class="h-full overflow-y-auto">
      <div class="mx-auto grid max-w-6xl gap-7 px-4 py-5 sm:px-6">
        <div class="flex flex-wrap items-end justify-between gap-x-8 gap-y-3">
          <h1 class="font-semibold text-[20px]">{ai("title")}</h1>
          <dl class="grid grid-cols-4 gap-x-7 max-sm:w-full max-sm:grid-cols-2 max-sm:gap-y-2">
            <For each={totals()}>
              {(total) => (
                <div title={total.hint}>
                  <dt class="text-[12.5px] text-muted">{total.label}</dt>
                  <dd class="font-semibold text-[17px] tabular-nums" classList={{ "text-warn": total.bad }}>
                    {total.value}
                  </dd>
                </div>
              )}
            </For>
          </dl>
        </div>
        <Show when={problem()}>
          {(found) => (
            <Show
              when={found().code !== "analysis-off"}
              fallback={
                <Notice kind="warn" title={ai("disabled")}>
                  {ai("disabledHint")}
                </Notice>
              }
            >
              <ProblemNotice problem={found()} onRetry={() => void refresh()} />
            </Show>
          )}
        </Show>
        <Show
          when={shown.devices !== null && shown.models !== null}
          fallback={
            <Show when={!problem()}>
              <div class="grid place-items-center py-16 text-muted">
                <Spinner size={28} />
              </div>
            </Show>
          }
        >
          <section aria-labelledby="ai-devices">
            <h2 id="ai-devices" class="mb-2.5 font-semibold text-[16px]">
              {ai("devices")}
            </h2>
            <Show
              when={(shown.devices?.length ?? 0) > 0}
              fallback={
                <div class="panel">
                  <Empty icon="chip" title={ai(isNothingInstalled() ? "noModels" : "noDevices")}>
                    <p>{ai(isNothingInstalled() ? "noModelsHint" : "noDevicesHint")}</p>
                    <InstallHint />
                  </Empty>
                </div>
              }
            >
              <Devices devices={shown.devices ?? []} />
            </Show>
          </section>
          <section aria-labelledby="ai-cameras">
            <h2 id="ai-cameras" class="mb-2.5 font-semibold text-[16px]">
              {ai("cameras")}
            </h2>
            <CameraStates states={shown.cameras} />
          </section>
          <section aria-labelledby="ai-models">
            <h2 id="ai-models" class="mb-2.5 font-semibold text-[16px]">
              {ai("models")}
            </h2>
            <Models models={shown.models ?? []} />
          </section>
        </Show>
      </div>
    </div>
  );
}
