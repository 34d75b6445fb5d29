import { For, Index, type JSX, Show } from "solid-js";
import type { DeviceFigures } from "@/shared/api/analysis-types";
import { directory } from "@/shared/cameras/directory";
import { regional } from "@/shared/i18n";
import { bytesText } from "@/shared/time/format";
import { ai } from "./texts";

const DOTS: Record<DeviceFigures["state"], string> = {
  starting: "bg-warn breathe",
  ready: "bg-ok",
  failed: "bg-bad",
  drained: "bg-muted",
};
// Above this a device has no time left for more cameras.
const NEARLY_FULL = 0.85;

const ms = (value: number): string => `${value.toLocaleString(regional(), { maximumFractionDigits: 1 })} ms`;
const nameOf = (id: string): string => directory.cameras.find((camera) => camera.id === id)?.name ?? id;

/** What runs models, and how busy it is. */
export function Devices(props: { devices: readonly DeviceFigures[] }): JSX.Element {
  return (
    <ul class="grid gap-3 lg:grid-cols-2">
      <Index each={props.devices}>{(figures) => <Device figures={figures()} />}</Index>
    </ul>
  );
}

function Device(props: { figures: DeviceFigures }): JSX.Element {
  const device = () => props.figures.device;
  const share = () => Math.min(1, Math.max(0, props.figures.busy));
  const percent = () => share().toLocaleString(regional(), { style: "percent" });
  return (
    <li class="panel flex flex-col gap-3 p-4" data-device={device().id}>
      <div class="flex items-start justify-between gap-3">
        <div class="min-w-0">
          <p class="truncate font-medium" title={device().name}>
            {device().name || device().id}
          </p>
          <p class="text-[12.5px] text-muted">
            {[
              device().id,
              device().backend,
              device().memory_bytes === null
                ? ""
                : ai("memory", { size: bytesText(device().memory_bytes ?? 0, regional()) }),
            ]
              .filter((part) => part !== "")
              .join(" · ")}
          </p>
        </div>
        <span class="inline-flex shrink-0 items-center gap-2 text-[13px]">
          <span class={`h-2 w-2 rounded-full ${DOTS[props.figures.state]}`} />
          {ai(`device.${props.figures.state}`)}
        </span>
      </div>
      <Show when={props.figures.reason}>
        <p class="break-words text-[13px]" classList={{ "text-bad": props.figures.state === "failed" }}>
          {props.figures.reason}
        </p>
      </Show>
      <Show when={device().reason}>
        <p class="text-[12.5px] text-muted">{device().reason}</p>
      </Show>
      <Show when={props.figures.state === "ready"}>
        <div>
          <div class="mb-1 flex justify-between text-[13px] tabular-nums">
            <span>{ai("busy", { share: percent() })}</span>
            <span class="text-muted">
              {ai("perSecond", {
                count: props.figures.frames_per_second.toLocaleString(regional(), { maximumFractionDigits: 1 }),
              })}
            </span>
          </div>
          <div
            role="progressbar"
            aria-label={ai("busy", { share: percent() })}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={Math.round(share() * 100)}
            class="h-2 overflow-hidden rounded-full bg-hover"
          >
            <div
              class="h-full rounded-full transition-[width] duration-500"
              classList={{ "bg-warn": share() >= NEARLY_FULL, "bg-accent": share() < NEARLY_FULL }}
              style={{ width: `${share() * 100}%` }}
            />
          </div>
        </div>
      </Show>
      <Show when={props.figures.models.length > 0}>
        <table class="w-full text-[13px] tabular-nums">
          <thead class="text-[12px] text-muted">
            <tr class="*:py-1 *:font-medium">
              <th scope="col" class="text-left">
                {ai("model")}
              </th>
              <th scope="col" class="text-right">
                {ai("median")}
              </th>
              <th scope="col" class="text-right">
                {ai("tail")}
              </th>
              <th scope="col" class="text-right">
                {ai("queue")}
              </th>
            </tr>
          </thead>
          <tbody>
            <Index each={props.figures.models}>
              {(model) => (
                <tr class="border-line border-t *:py-1">
                  <th scope="row" class="text-left font-normal">
                    {model().model}
                  </th>
                  <td class="text-right">{ms(model().p50_ms)}</td>
                  <td class="text-right">{ms(model().p95_ms)}</td>
                  <td class="text-right">{model().queue_depth.toLocaleString(regional())}</td>
                </tr>
              )}
            </Index>
          </tbody>
        </table>
      </Show>
      <p class="mt-auto flex flex-wrap gap-x-3 gap-y-1 text-[12.5px] text-muted">
        <Show when={props.figures.cameras.length > 0} fallback={<span>{ai("noCameras")}</span>}>
          <span>
            <For each={props.figures.cameras}>
              {(id, index) => (
                <>
                  {index() > 0 ? ", " : ""}
                  <a class="hover:text-accent hover:underline" href={`#/cameras/${encodeURIComponent(id)}`}>
                    {nameOf(id)}
                  </a>
                </>
              )}
            </For>
          </span>
        </Show>
        <Show when={props.figures.restarts > 0}>
          <span class="text-warn">
            {ai(props.figures.restarts === 1 ? "restarts_one" : "restarts_other", { count: props.figures.restarts })}
          </span>
        </Show>
      </p>
    </li>
  );
}
