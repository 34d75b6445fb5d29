import { For, type JSX, Show } from "solid-js";
import type { Model } from "@/shared/api/analysis-types";
import { regional } from "@/shared/i18n";
import { bytesText } from "@/shared/time/format";
import { Icon } from "@/shared/ui/Icon";
import { ai } from "./texts";

/** How to get the first model. */
export function InstallHint(): JSX.Element {
  return (
    <code class="mt-3 inline-block select-all rounded-md border border-line bg-ground px-3 py-1.5 font-mono text-[13px] text-ink">
      vms models install coco-ssd
    </code>
  );
}

/** What can look at pictures, installed or not. */
export function Models(props: { models: readonly Model[] }): JSX.Element {
  const sorted = () => [...props.models].sort((a, b) => Number(b.installed) - Number(a.installed));
  return (
    <Show when={props.models.length > 0} fallback={<p class="text-[13px] text-muted">{ai("noModels")}</p>}>
      <ul class="panel">
        <For each={sorted()}>
          {(model) => (
            <li
              class="grid grid-cols-[1fr_auto] items-start gap-x-4 gap-y-1 border-line border-t px-4 py-3 first:border-t-0 md:grid-cols-[minmax(0,1.4fr)_minmax(0,0.8fr)_minmax(0,1.6fr)_10rem]"
              data-model={model.name}
            >
              <div class="min-w-0" classList={{ "opacity-70": !model.installed }}>
                <p class="font-medium">{model.title}</p>
                <p class="truncate text-[12.5px] text-muted">
                  {model.name} · {model.version}
                </p>
              </div>
              <div class="text-[13px] max-md:order-3 max-md:col-span-2">{ai(`task.${model.task}`)}</div>
              <div class="min-w-0 text-[13px] max-md:order-4 max-md:col-span-2">
                <span class="text-muted">{model.licence}</span>
                <Show when={!model.commercial}>
                  <span class="ml-2 inline-flex items-center gap-1 rounded-md bg-warn-soft px-1.5 py-0.5 text-[12px] text-warn">
                    <Icon name="warning" size={13} />
                    {ai("notCommercial")}
                  </span>
                </Show>
                <Show when={model.notice}>
                  <p class="mt-0.5 text-[12.5px] text-muted">{model.notice}</p>
                </Show>
              </div>
              <div class="text-right text-[13px] tabular-nums">
                <p class="flex items-center justify-end gap-1.5">
                  <Show when={model.default}>
                    <span class="rounded-md bg-accent-soft px-1.5 py-0.5 text-[12px] text-accent">
                      {ai("byDefault")}
                    </span>
                  </Show>
                  <Show when={model.installed} fallback={<span class="text-muted">{ai("notInstalled")}</span>}>
                    <span class="inline-flex items-center gap-1 text-ok">
                      <Icon name="check" size={15} />
                      {ai("installed")}
                    </span>
                  </Show>
                </p>
                <p class="text-[12.5px] text-muted">
                  {[model.size_bytes > 0 ? bytesText(model.size_bytes, regional()) : "", model.precision]
                    .filter((part) => part !== "")
                    .join(" · ")}
                </p>
              </div>
            </li>
          )}
        </For>
      </ul>
    </Show>
  );
}
