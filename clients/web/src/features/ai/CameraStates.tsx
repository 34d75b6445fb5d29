import { For, type JSX, Show } from "solid-js";
import type { CameraAnalysis } from "@/shared/api/analysis-types";
import { directory } from "@/shared/cameras/directory";
import { regional } from "@/shared/i18n";
import { Empty } from "@/shared/ui/Notice";
import { ai } from "./texts";

const DOTS: Record<CameraAnalysis["state"], string> = {
  off: "bg-muted",
  starting: "bg-warn breathe",
  running: "bg-ok",
  failed: "bg-bad",
};
const number = (value: number, digits = 0): string =>
  value.toLocaleString(regional(), { maximumFractionDigits: digits });

/** How it goes with every camera that is looked at. */
export function CameraStates(props: { states: Record<string, CameraAnalysis> }): JSX.Element {
  const looked = () => directory.cameras.filter((camera) => camera.analysis?.enabled);
  const others = () => directory.cameras.length - looked().length;
  const path = (id: string) => `#/cameras/${encodeURIComponent(id)}/analysis`;
  return (
    <Show
      when={looked().length > 0}
      fallback={
        <div class="panel">
          <Empty icon="eye" title={ai("noneOn")}>
            <p>{ai("noneOnHint")}</p>
          </Empty>
        </div>
      }
    >
      <div class="panel overflow-x-auto">
        <table class="w-full text-left text-[13px] tabular-nums">
          <thead class="text-[12.5px] text-muted">
            <tr class="*:px-4 *:py-2 *:font-medium">
              <th scope="col">{ai("camera")}</th>
              <th scope="col">{ai("state")}</th>
              <th scope="col" class="text-right">
                {ai("rate")}
              </th>
              <th scope="col" class="text-right max-sm:hidden">
                {ai("delay")} {ai("median")} / {ai("tail")}
              </th>
              <th scope="col" class="text-right max-sm:hidden">
                {ai("lost")}
              </th>
            </tr>
          </thead>
          <tbody>
            <For each={looked()}>
              {(camera) => {
                const state = () => props.states[camera.id];
                return (
                  <tr class="border-line border-t align-top *:px-4 *:py-2 hover:bg-raised" data-camera={camera.id}>
                    <th scope="row" class="font-medium">
                      <a class="hover:text-accent hover:underline" href={path(camera.id)}>
                        {camera.name}
                      </a>
                      <span class="block font-normal text-[12.5px] text-muted">
                        {[state()?.detector, state()?.device].filter(Boolean).join(" · ")}
                      </span>
                    </th>
                    <td>
                      <Show when={state()} fallback="–">
                        {(known) => (
                          <>
                            <span class="inline-flex items-center gap-2 whitespace-nowrap">
                              <span class={`h-2 w-2 rounded-full ${DOTS[known().state]}`} />
                              {ai(`state.${known().state}`)}
                            </span>
                            <Show when={known().reason}>
                              <span class="block text-[12.5px]" classList={{ "text-bad": known().state === "failed" }}>
                                {known().reason}
                              </span>
                            </Show>
                          </>
                        )}
                      </Show>
                    </td>
                    <td class="text-right">{state() ? number(state()?.frames_per_second ?? 0, 1) : "–"}</td>
                    <td class="whitespace-nowrap text-right max-sm:hidden">
                      {state()
                        ? `${number(state()?.delay_p50_ms ?? 0)} / ${number(state()?.delay_p95_ms ?? 0)} ms`
                        : "–"}
                    </td>
                    <td class="text-right max-sm:hidden" classList={{ "text-warn": (state()?.dropped ?? 0) > 0 }}>
                      {state() ? number(state()?.dropped ?? 0) : "–"}
                    </td>
                  </tr>
                );
              }}
            </For>
          </tbody>
        </table>
      </div>
      <Show when={others() > 0}>
        <p class="mt-2 text-[12.5px] text-muted">
          {ai(others() === 1 ? "anyOff_one" : "anyOff_other", { count: others() })}
        </p>
      </Show>
    </Show>
  );
}
