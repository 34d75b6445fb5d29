import { createMemo, createSignal, For, Index, type JSX, onCleanup, onMount, Show } from "solid-js";
import { regional } from "@/shared/i18n";
import { dateAndTime, hourMinute, longDate, weekdayDay } from "@/shared/time/format";
import { HOUR_MS } from "@/shared/time/instant";
import { type Bucket, ticksTo, type Unit } from "./series";
import { an } from "./texts";

/** Values by bucket: as parts of a bar, or as a line. */
export interface Series {
  name: string;
  colour: string;
  values: readonly number[];
  /** line: over the bars; bar: stacked. */
  shape: "bar" | "line" | "area";
}

const HEIGHT = 220;
const FOOT = 26;
const HEAD = 10;
const BESIDE = 44;

export const colour = (index: number): string => `var(--chart-${(index % 7) + 1})`;

const plain = (value: number): string => value.toLocaleString(regional(), { maximumFractionDigits: 1 });
const short = (value: number): string =>
  value.toLocaleString(regional(), { notation: value >= 10_000 ? "compact" : "standard", maximumFractionDigits: 1 });

/** When a bucket is, in words. */
export function bucketText(bucket: Bucket, unit: Unit): string {
  if (unit === "clock") return `${hourMinute(bucket.start, regional())}–${hourMinute(bucket.end, regional())}`;
  if (unit === "day") return longDate(bucket.start, regional());
  return `${dateAndTime(bucket.start, regional()).replace(/:\d{2}$/, "")}–${hourMinute(bucket.end, regional())}`;
}

/** Bars stacked and lines over time, with an axis; a pointer or the arrow keys tell the figures of a bucket. */
export function Chart(props: {
  title: string;
  series: readonly Series[];
  buckets: readonly Bucket[];
  unit: Unit;
}): JSX.Element {
  let root: HTMLDivElement | undefined;
  const [width, setWidth] = createSignal(600);
  const [chosen, setChosen] = createSignal<number | null>(null);
  onMount(() => {
    if (!root) return;
    const observer = new ResizeObserver(() => root && setWidth(root.clientWidth));
    observer.observe(root);
    setWidth(root.clientWidth);
    onCleanup(() => observer.disconnect());
  });

  const stacked = () => props.series.filter((series) => series.shape === "bar");
  const lines = () => props.series.filter((series) => series.shape !== "bar");
  const highest = createMemo(() => {
    let most = 0;
    for (const [index] of props.buckets.entries()) {
      most = Math.max(
        most,
        stacked().reduce((sum, series) => sum + (series.values[index] ?? 0), 0),
        ...lines().map((series) => series.values[index] ?? 0),
      );
    }
    return most;
  });
  const ticks = createMemo(() => ticksTo(highest()));
  const top = () => ticks().at(-1) ?? 1;
  const inner = () => Math.max(40, width() - BESIDE - 8);
  const slot = () => inner() / Math.max(1, props.buckets.length);
  const y = (value: number) => HEAD + (HEIGHT - HEAD - FOOT) * (1 - value / top());
  const middle = (index: number) => BESIDE + slot() * (index + 0.5);

  /** Which buckets have words under them: as many as fit. */
  const named = createMemo(() => {
    const words = (bucket: Bucket): string => {
      if (props.unit === "day") return weekdayDay(bucket.start, regional());
      const isMidnight = new Date(bucket.start).getHours() === 0;
      return isMidnight && props.unit === "hour" && props.buckets.length > 25
        ? weekdayDay(bucket.start, regional())
        : hourMinute(bucket.start, regional());
    };
    const room = props.unit === "day" ? 58 : 46;
    const every = [1, 2, 3, 4, 6, 8, 12, 24, 48, 168].find((step) => slot() * step >= room) ?? 336;
    return props.buckets.flatMap((bucket, index) => (index % every === 0 ? [{ index, text: words(bucket) }] : []));
  });
  const line = (series: Series): string =>
    props.buckets.map((_, index) => `${middle(index)},${y(series.values[index] ?? 0)}`).join(" ");
  const isFuture = (bucket: Bucket) => props.unit !== "clock" && bucket.start > Date.now();

  const choose = (event: PointerEvent) => {
    const box = root?.getBoundingClientRect();
    if (!box) return;
    const index = Math.floor((event.clientX - box.left - BESIDE) / slot());
    setChosen(index >= 0 && index < props.buckets.length ? index : null);
  };
  const key = (event: KeyboardEvent) => {
    const last = props.buckets.length - 1;
    const from = chosen() ?? -1;
    const next: Record<string, number | null> = {
      ArrowRight: Math.min(last, from + 1),
      ArrowLeft: Math.max(0, from - 1),
      Home: 0,
      End: last,
      Escape: null,
    };
    const to = next[event.key];
    if (to === undefined) return;
    setChosen(to);
    event.preventDefault();
  };
  const figures = (index: number) =>
    props.series
      .map((series) => ({ ...series, value: series.values[index] ?? 0 }))
      .filter((series) => series.value > 0 || series.shape !== "bar");

  return (
    <div ref={root} class="relative min-w-0" style={{ height: `${HEIGHT}px` }}>
      <svg
        width={width()}
        height={HEIGHT}
        class="absolute inset-0 touch-pan-y rounded-md"
        role="img"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move through its buckets
        tabIndex={0}
        aria-label={an("chartHelp", {
          title: props.title,
          from: props.buckets[0] ? bucketText(props.buckets[0], props.unit) : "",
          to: props.buckets.at(-1) ? bucketText(props.buckets.at(-1) as Bucket, props.unit) : "",
        })}
        onPointerMove={choose}
        onPointerDown={choose}
        onPointerLeave={() => setChosen(null)}
        onBlur={() => setChosen(null)}
        onKeyDown={key}
      >
        <For each={ticks()}>
          {(tick) => (
            <>
              <line
                x1={BESIDE}
                x2={BESIDE + inner()}
                y1={y(tick)}
                y2={y(tick)}
                stroke="var(--line)"
                stroke-width={tick === 0 ? 1.5 : 1}
              />
              <text x={BESIDE - 8} y={y(tick) + 4} text-anchor="end" font-size="11.5" fill="var(--muted)">
                {short(tick)}
              </text>
            </>
          )}
        </For>
        <For each={named()}>
          {(entry) => (
            <text
              x={props.unit === "day" ? middle(entry.index) : BESIDE + slot() * entry.index}
              y={HEIGHT - 8}
              text-anchor={props.unit === "day" ? "middle" : "start"}
              font-size="11.5"
              fill="var(--muted)"
            >
              {entry.text}
            </text>
          )}
        </For>
        <Show when={chosen() !== null}>
          <rect
            x={BESIDE + slot() * (chosen() ?? 0)}
            y={HEAD}
            width={slot()}
            height={HEIGHT - HEAD - FOOT}
            fill="var(--hover)"
          />
        </Show>
        <Index each={props.buckets}>
          {(bucket, index) => {
            const parts = createMemo(() => {
              let below = 0;
              return stacked().map((series) => {
                const value = series.values[index] ?? 0;
                below += value;
                return { value, top: below, colour: series.colour };
              });
            });
            const wide = () => Math.max(1, Math.min(44, slot() * 0.76));
            return (
              <Show when={!isFuture(bucket())}>
                <Index each={parts()}>
                  {(part) => (
                    <Show when={part().value > 0}>
                      <rect
                        x={middle(index) - wide() / 2}
                        y={y(part().top)}
                        width={wide()}
                        height={Math.max(0, y(part().top - part().value) - y(part().top))}
                        fill={part().colour}
                      />
                    </Show>
                  )}
                </Index>
              </Show>
            );
          }}
        </Index>
        <For each={lines()}>
          {(series) => (
            <>
              <Show when={series.shape === "area"}>
                <polygon
                  points={`${middle(0)},${y(0)} ${line(series)} ${middle(props.buckets.length - 1)},${y(0)}`}
                  fill={series.colour}
                  fill-opacity="0.22"
                />
              </Show>
              <polyline
                points={line(series)}
                fill="none"
                stroke={series.colour}
                stroke-width="2"
                stroke-linejoin="round"
              />
            </>
          )}
        </For>
      </svg>
      <Show when={chosen() !== null && props.buckets[chosen() ?? 0]}>
        {(bucket) => (
          <div
            role="status"
            class="pointer-events-none absolute top-1 z-10 min-w-36 rounded-lg border border-line-strong bg-surface px-3 py-2 text-[12.5px] shadow-xl"
            style={
              middle(chosen() ?? 0) < width() / 2
                ? { left: `${middle(chosen() ?? 0) + slot() / 2 + 8}px` }
                : { right: `${width() - middle(chosen() ?? 0) + slot() / 2 + 8}px` }
            }
          >
            <p class="mb-1 whitespace-nowrap font-medium">{bucketText(bucket(), props.unit)}</p>
            <For each={figures(chosen() ?? 0)}>
              {(entry) => (
                <p class="flex items-center gap-2 tabular-nums">
                  <span class="h-2.5 w-2.5 rounded-sm" style={{ background: entry.colour }} />
                  <span class="mr-auto">{entry.name}</span>
                  <span class="pl-3 font-medium">{plain(entry.value)}</span>
                </p>
              )}
            </For>
            <Show when={figures(chosen() ?? 0).length === 0}>
              <p class="text-muted">0</p>
            </Show>
          </div>
        )}
      </Show>
    </div>
  );
}

/** What the colours mean, with each one's sum. */
export function Legend(props: { series: readonly Series[]; sums?: readonly number[] }): JSX.Element {
  return (
    <ul class="flex flex-wrap gap-x-4 gap-y-1 text-[13px]">
      <For each={props.series}>
        {(series, index) => (
          <li class="inline-flex items-center gap-2">
            <span class="h-2.5 w-2.5 rounded-sm" style={{ background: series.colour }} aria-hidden="true" />
            {series.name}
            <Show when={props.sums}>
              <span class="text-muted tabular-nums">{plain(props.sums?.[index()] ?? 0)}</span>
            </Show>
          </li>
        )}
      </For>
    </ul>
  );
}

/** The same figures as a table, folded. */
export function ChartTable(props: { series: readonly Series[]; buckets: readonly Bucket[]; unit: Unit }): JSX.Element {
  const [open, setOpen] = createSignal(false);
  return (
    <details class="text-[13px]" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="inline-flex min-h-8 items-center rounded-md px-1 text-muted hover:text-ink">
        {an("asTable")}
      </summary>
      <Show when={open()}>
        <div class="mt-1 max-h-80 overflow-auto rounded-lg border border-line">
          <table class="w-full text-left tabular-nums">
            <thead class="sticky top-0 bg-surface text-[12.5px] text-muted">
              <tr class="*:px-3 *:py-1.5 *:font-medium">
                <th scope="col">{an("time")}</th>
                <For each={props.series}>
                  {(series) => (
                    <th scope="col" class="text-right">
                      {series.name}
                    </th>
                  )}
                </For>
              </tr>
            </thead>
            <tbody>
              <For each={props.buckets}>
                {(bucket, index) => (
                  <tr class="border-line border-t *:px-3 *:py-1">
                    <th scope="row" class="whitespace-nowrap font-normal">
                      {bucketText(bucket, props.unit)}
                    </th>
                    <For each={props.series}>
                      {(series) => <td class="text-right">{plain(series.values[index()] ?? 0)}</td>}
                    </For>
                  </tr>
                )}
              </For>
            </tbody>
          </table>
        </div>
      </Show>
    </details>
  );
}

/** The hours that a span has, for choosing what bars stand for. */
export const unitFor = (lengthMs: number): Unit => (lengthMs <= 50 * HOUR_MS ? "hour" : "day");
