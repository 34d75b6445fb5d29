import { For, type JSX } from "solid-js";
import type { StreamChoice } from "@/shared/api/types";
import { regional, t } from "@/shared/i18n";
import type { LiveStatistics } from "@/shared/media/live/statistics";
import { sparkline, statisticsRows } from "./statistics-rows";

const SLOTS = 60;
const LINE = { width: 120, height: 18 };

/** What the connection of one tile tells of itself, over the picture. */
export function StatisticsPanel(props: { statistics: LiveStatistics; stream: StreamChoice }): JSX.Element {
  return (
    <section
      class="pointer-events-none absolute top-1.5 left-1.5 z-20 max-w-[calc(100%-0.75rem)] rounded-md bg-black/75 px-2 py-1 text-[11px] text-white leading-[15px] tabular-nums"
      aria-label={t("stats.title")}
      data-testid="statistics"
    >
      <dl class="grid grid-cols-[auto_auto] gap-x-2.5">
        <For each={statisticsRows(props.statistics, props.stream, regional())}>
          {(row, index) => (
            <div
              class="col-span-2 grid-cols-subgrid"
              // A low tile keeps the first rows.
              classList={{ grid: index() < 4, "hidden [@container(min-height:190px)]:grid": index() >= 4 }}
            >
              <dt class="truncate text-white/70">{t(row.label)}</dt>
              <dd class="truncate text-right" classList={{ "font-semibold text-[#ffd78a]": row.isTrouble }}>
                {row.value}
              </dd>
            </div>
          )}
        </For>
      </dl>
      <svg
        viewBox={`0 -1 ${LINE.width} ${LINE.height + 2}`}
        preserveAspectRatio="none"
        class="mt-1 hidden h-[18px] w-full [@container(min-height:216px)]:block"
        aria-hidden="true"
      >
        <polyline
          points={sparkline(props.statistics.bitrates, SLOTS, LINE.width, LINE.height)}
          fill="none"
          stroke="#8cc3ff"
          stroke-width="1.4"
          vector-effect="non-scaling-stroke"
        />
      </svg>
    </section>
  );
}
