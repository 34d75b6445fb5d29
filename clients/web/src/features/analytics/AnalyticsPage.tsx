import { useSearchParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, Show } from "solid-js";
import { labelText } from "@/shared/analysis/labels";
import { counts } from "@/shared/api/analysis";
import type { Count } from "@/shared/api/analysis-types";
import { isAbort, Problem } from "@/shared/api/problem";
import { directory } from "@/shared/cameras/directory";
import { regional } from "@/shared/i18n";
import { zoneName } from "@/shared/time/format";
import { DAY_MS } from "@/shared/time/instant";
import { Button } from "@/shared/ui/Button";
import { Spinner } from "@/shared/ui/Icon";
import { Empty, ProblemNotice } from "@/shared/ui/Notice";
import { Chart, ChartTable, colour, Legend, type Series, unitFor } from "./Chart";
import { Filters } from "./Filters";
import { HeatMapView } from "./HeatMapView";
import { bucketsOf, csvOf, OTHER, occupancyOf, stackOf, type Unit } from "./series";
import { chosenSpan, dayText, type SpanKind } from "./span";
import { an } from "./texts";

const REFRESH_MS = 60_000;
// Beyond this, hours are more than anybody looks at.
const HOURS_UP_TO_MS = 32 * DAY_MS;

const nameOf = (id: string): string => directory.cameras.find((camera) => camera.id === id)?.name ?? id;

/** What was counted: seen, over lines, in zones, and where things stay. */
export default function AnalyticsPage(): JSX.Element {
  const [search, setSearch] = useSearchParams<{
    cameras?: string;
    span?: string;
    day?: string;
    to?: string;
    by?: string;
    hours?: string;
    heat?: string;
  }>();
  const [found, setFound] = createSignal<Count[] | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);

  const kind = (): SpanKind => (search.span === "week" || search.span === "range" ? search.span : "day");
  const day = () => search.day ?? dayText(Date.now());
  const to = () => search.to ?? dayText(Date.now());
  const cameraIds = createMemo(() => (search.cameras ?? "").split(",").filter((id) => id !== ""));
  const by = () => (search.by === "camera" ? "camera" : "class");
  const span = createMemo(() => chosenSpan(kind(), day(), to()), null, {
    equals: (a, b) => a?.start === b?.start && a?.end === b?.end,
  });
  const unit = createMemo((): Unit => {
    const chosen = span();
    if (search.hours === "1" && chosen && chosen.end - chosen.start <= HOURS_UP_TO_MS) return "clock";
    return chosen ? unitFor(chosen.end - chosen.start) : "hour";
  });
  const buckets = createMemo(() => {
    const chosen = span();
    return chosen ? bucketsOf(chosen, unit()) : [];
  });

  createEffect(
    on([span, cameraIds], ([chosen, ids]) => {
      if (!chosen) return;
      const aborter = new AbortController();
      const load = async () => {
        setBusy(true);
        try {
          const step = chosen.end - chosen.start <= HOURS_UP_TO_MS ? "hour" : "day";
          setFound(await counts(ids, chosen, step, aborter.signal));
          setProblem(null);
        } catch (error) {
          if (isAbort(error)) return;
          if (!(error instanceof Problem)) throw error;
          setProblem(error);
        }
        setBusy(false);
      };
      void load();
      const timer = setInterval(() => {
        if (chosen.end > Date.now() && document.visibilityState === "visible") void load();
      }, REFRESH_MS);
      onCleanup(() => {
        clearInterval(timer);
        aborter.abort();
      });
    }),
  );

  const ofKind = (wanted: Count["kind"]) => found()?.filter((count) => count.kind === wanted) ?? [];
  const seen = createMemo(() =>
    stackOf(ofKind("seen"), buckets(), unit(), by() === "camera" ? (one) => one.camera_id : (one) => one.label),
  );
  const textOf = (key: string): string =>
    key === OTHER ? an("other") : by() === "camera" ? nameOf(key) : labelText(key);
  const seenSeries = createMemo((): Series[] =>
    seen().keys.map((key, index) => ({
      name: textOf(key),
      colour: key === OTHER ? "var(--chart-7)" : colour(index),
      values: seen().rows.map((row) => row[index] ?? 0),
      shape: "bar",
    })),
  );

  const lines = createMemo(() => {
    const crossed = ofKind("crossed");
    const keys = [...new Set(crossed.map((count) => `${count.camera_id}/${count.rule_id}`))];
    return keys
      .map((key) => {
        const own = crossed.filter((count) => `${count.camera_id}/${count.rule_id}` === key);
        const [cameraId = "", ruleId = ""] = key.split("/");
        const stack = stackOf(own, buckets(), unit(), (one) => one.direction);
        const side = (direction: "right" | "left", name: string, hue: string): Series => {
          const place = stack.keys.indexOf(direction);
          return { name, colour: hue, values: stack.rows.map((row) => row[place] ?? 0), shape: "bar" };
        };
        return {
          cameraId,
          title: ruleTitle(cameraId, ruleId),
          series: [side("right", an("in"), colour(0)), side("left", an("out"), colour(1))],
        };
      })
      .sort((a, b) => sum(b.series) - sum(a.series));
  });
  const zones = createMemo(() => {
    const inside = ofKind("inside");
    const keys = [...new Set(inside.map((count) => `${count.camera_id}/${count.rule_id}`))];
    return keys.map((key) => {
      const [cameraId = "", ruleId = ""] = key.split("/");
      const own = inside.filter((count) => `${count.camera_id}/${count.rule_id}` === key);
      const values = occupancyOf(own, buckets(), unit());
      const series: Series[] = [
        { name: an("mean"), colour: colour(0), values: values.map(({ mean }) => mean), shape: "area" },
        { name: an("peak"), colour: colour(1), values: values.map(({ peak }) => peak), shape: "line" },
      ];
      return { cameraId, title: ruleTitle(cameraId, ruleId), series };
    });
  });
  const heatCamera = createMemo(() => {
    const ids =
      cameraIds().length > 0
        ? cameraIds()
        : directory.cameras.filter((one) => one.analysis?.enabled).map((one) => one.id);
    return ids.includes(search.heat ?? "") ? search.heat : ids[0];
  });
  const heatCameras = createMemo(() =>
    directory.cameras.filter((one) =>
      cameraIds().length > 0 ? cameraIds().includes(one.id) : one.analysis?.enabled === true,
    ),
  );

  const download = () => {
    const chosen = span();
    if (!chosen) return;
    const rows = (found() ?? []).map((one) => [
      one.start,
      one.camera_id,
      nameOf(one.camera_id),
      one.kind,
      one.label,
      one.rule_id,
      one.direction,
      one.count,
      one.mean,
      one.peak,
    ]);
    const names = ["start", "camera_id", "camera", "kind", "label", "rule_id", "direction", "count", "mean", "peak"];
    const url = URL.createObjectURL(new Blob([csvOf(names, rows)], { type: "text/csv;charset=utf-8" }));
    const anchor = document.createElement("a");
    anchor.href = url;
    anchor.download = `counts ${dayText(chosen.start)} ${dayText(chosen.end - 1)}.csv`;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  const set = (change: Partial<Record<"cameras" | "span" | "day" | "to" | "by" | "hours" | "heat", string>>) =>
    setSearch(Object.fromEntries(Object.entries(change).map(([name, value]) => [name, value || undefined])), {
      replace: true,
      scroll: false,
    });

  return (
    <div class="h-full overflow-y-auto">
      <div class="mx-auto grid max-w-6xl grid-cols-[minmax(0,1fr)] gap-5 px-4 py-5 sm:px-6">
        <div class="flex flex-wrap items-center gap-x-4 gap-y-2">
          <h1 class="font-semibold text-[20px]">{an("title")}</h1>
          <Show when={busy()}>
            <Spinner size={17} class="text-muted" />
          </Show>
          <span class="text-[12.5px] text-muted max-sm:hidden">
            {an("zone", { zone: zoneName(span()?.start ?? Date.now(), regional()) })}
          </span>
          <Button
            class="ml-auto"
            icon="download"
            disabled={(found()?.length ?? 0) === 0}
            data-testid="download-csv"
            onClick={download}
          >
            {an("download")}
          </Button>
        </div>
        <Filters
          kind={kind()}
          day={day()}
          to={to()}
          cameraIds={cameraIds()}
          by={by()}
          byHours={search.hours === "1"}
          onSpan={(next) => set({ span: next === "day" ? "" : next })}
          onDay={(next) => set({ day: next })}
          onTo={(next) => set({ to: next })}
          onCameras={(ids) => set({ cameras: ids.join(",") })}
          onBy={(next) => set({ by: next === "class" ? "" : next })}
          onByHours={(next) => set({ hours: next ? "1" : "" })}
        />
        <Show when={span() === null}>
          <p class="text-[13px] text-bad">{an("tooLong")}</p>
        </Show>
        <Show when={problem()}>{(said) => <ProblemNotice problem={said()} />}</Show>
        <Show when={found() !== null && span() !== null}>
          <Show
            when={(found()?.length ?? 0) > 0}
            fallback={
              <div class="panel">
                <Empty icon="analytics" title={an("none")}>
                  <p>{an("noneHint")}</p>
                </Empty>
              </div>
            }
          >
            <Panel
              title={an("seen")}
              hint={an("seenHint")}
              series={seenSeries()}
              buckets={buckets()}
              unit={unit()}
              sums={seen().totals}
            />
            <div class="grid gap-5 lg:grid-cols-2">
              <Show when={lines().length === 0}>
                <div class="panel p-4 text-[13px] text-muted">{an("noRules")}</div>
              </Show>
              <For each={lines()}>
                {(line) => (
                  <Panel
                    title={line.title}
                    hint={`${an("crossed")} · ${nameOf(line.cameraId)}`}
                    series={line.series}
                    buckets={buckets()}
                    unit={unit()}
                    sums={line.series.map((one) => one.values.reduce((total, value) => total + value, 0))}
                  />
                )}
              </For>
              <For each={zones()}>
                {(zone) => (
                  <Panel
                    title={zone.title}
                    hint={`${an("inside")} · ${nameOf(zone.cameraId)}`}
                    series={zone.series}
                    buckets={buckets()}
                    unit={unit()}
                  />
                )}
              </For>
            </div>
          </Show>
          <Show when={heatCamera()}>
            {(id) => (
              <section class="panel p-4">
                <div class="mb-3 flex flex-wrap items-center justify-between gap-2">
                  <h2 class="font-semibold text-[15px]">{an("heat")}</h2>
                  <select
                    class="field w-auto max-w-full"
                    aria-label={an("heatCamera")}
                    onChange={(event) => set({ heat: event.currentTarget.value })}
                  >
                    <For each={heatCameras()}>
                      {(camera) => (
                        <option value={camera.id} selected={camera.id === id()}>
                          {camera.name}
                        </option>
                      )}
                    </For>
                  </select>
                </div>
                <Show when={span()}>
                  {(chosen) => <HeatMapView cameraId={id()} span={chosen()} name={nameOf(id())} />}
                </Show>
              </section>
            )}
          </Show>
        </Show>
      </div>
    </div>
  );
}

const sum = (series: readonly Series[]): number =>
  series.reduce((total, one) => total + one.values.reduce((part, value) => part + value, 0), 0);

function ruleTitle(cameraId: string, ruleId: string): string {
  const rules = directory.cameras.find((camera) => camera.id === cameraId)?.analysis?.rules ?? [];
  const rule = rules.find((one) => one.id === ruleId);
  return rule ? rule.name || ruleId : `${ruleId} (${an("removedRule")})`;
}

function Panel(props: {
  title: string;
  hint: string;
  series: readonly Series[];
  buckets: Parameters<typeof Chart>[0]["buckets"];
  unit: Unit;
  sums?: readonly number[];
}): JSX.Element {
  return (
    <section class="panel grid min-w-0 grid-cols-[minmax(0,1fr)] content-start gap-3 p-4">
      <div>
        <h2 class="font-semibold text-[15px]">{props.title}</h2>
        <p class="text-[12.5px] text-muted">{props.hint}</p>
      </div>
      <Legend series={props.series} {...(props.sums ? { sums: props.sums } : {})} />
      <Chart title={props.title} series={props.series} buckets={props.buckets} unit={props.unit} />
      <ChartTable series={props.series} buckets={props.buckets} unit={props.unit} />
    </section>
  );
}
