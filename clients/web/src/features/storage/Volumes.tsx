import { For, type JSX, Show } from "solid-js";
import type { Volume } from "@/shared/api/types";
import { regional, t } from "@/shared/i18n";
import { bytesText } from "@/shared/time/format";
import { Icon } from "@/shared/ui/Icon";
import { adviceOf, forecastOf, say, sharesOf } from "./sentences";

const DOTS: Record<Volume["state"], string> = { ok: "bg-ok", full: "bg-warn", failing: "bg-bad", missing: "bg-bad" };

/** The volumes: how full they are, how they are, how long they last. */
export function Volumes(props: { volumes: readonly Volume[] }): JSX.Element {
  return (
    <ul class="grid gap-3 lg:grid-cols-2">
      <For each={props.volumes}>{(volume) => <VolumeItem volume={volume} />}</For>
    </ul>
  );
}

function VolumeItem(props: { volume: Volume }): JSX.Element {
  const shares = () => sharesOf(props.volume);
  const size = (bytes: number) => bytesText(bytes, regional());
  const other = () => Math.max(0, props.volume.total_bytes - props.volume.free_bytes - props.volume.recorded_bytes);
  const width = (share: number) => ({ width: `${share * 100}%` });
  return (
    <li class="panel grid content-start gap-2.5 p-4" data-volume={props.volume.name}>
      <div class="flex items-baseline justify-between gap-3">
        <p class="min-w-0">
          <span class="font-semibold">{props.volume.name}</span>
          <span class="ml-2 text-[13px] text-muted">
            {t(`storage.tier.${props.volume.tier}`)}
            {props.volume.weight === 0 && ` · ${t("storage.weightless")}`}
          </span>
        </p>
        <span class="inline-flex items-center gap-2 whitespace-nowrap text-[13px]">
          <span class={`h-2 w-2 rounded-full ${DOTS[props.volume.state]}`} />
          {t(`storage.state.${props.volume.state}`)}
        </span>
      </div>
      <p class="-mt-2 truncate font-mono text-[12px] text-muted" title={props.volume.path}>
        {props.volume.path}
      </p>
      <Show when={props.volume.total_bytes > 0}>
        <div class="relative pt-1">
          <div
            role="img"
            aria-label={t("storage.bar", {
              recorded: size(props.volume.recorded_bytes),
              other: size(other()),
              free: size(props.volume.free_bytes),
              total: size(props.volume.total_bytes),
            })}
            class="flex h-4 overflow-hidden rounded bg-hover"
          >
            <span class="bg-(--timeline-recorded)" style={width(shares().recorded)} />
            <span class="bg-line-strong" style={width(shares().other)} />
          </div>
          <span
            class="absolute top-0 h-6 w-0.5 bg-warn"
            style={{ left: `calc(${shares().reserveAt * 100}% - 1px)` }}
            title={t("storage.reserve", { size: size(props.volume.reserve_bytes) })}
          />
        </div>
        <dl class="flex flex-wrap gap-x-4 gap-y-1 text-[12.5px] tabular-nums">
          <Figure class="bg-(--timeline-recorded)" name={t("storage.recorded")}>
            {size(props.volume.recorded_bytes)}
          </Figure>
          <Figure class="bg-line-strong" name={t("storage.other")}>
            {size(other())}
          </Figure>
          <Figure class="border border-line-strong bg-hover" name={t("storage.free")}>
            {size(props.volume.free_bytes)}
          </Figure>
          <Figure class="w-0.5 bg-warn" name={t("storage.reserveShort")}>
            {size(props.volume.reserve_bytes)}
          </Figure>
        </dl>
      </Show>
      <p class="text-[13px]">
        <span class="font-medium">{say(forecastOf(props.volume))}</span>
        <Show when={props.volume.bytes_per_day}>
          {(bytes) => <span class="ml-1.5 text-muted">{t("storage.perDay", { size: size(bytes()) })}</span>}
        </Show>
      </p>
      <Show when={adviceOf(props.volume)}>
        {(advice) => (
          <div
            class="flex gap-2 rounded-lg border px-3 py-2 text-[13px]"
            classList={{
              "border-warn/40 bg-warn-soft text-warn": props.volume.state === "full",
              "border-bad/40 bg-bad-soft text-bad": props.volume.state !== "full",
            }}
          >
            <Icon name="warning" size={17} class="mt-px" />
            <div class="min-w-0">
              <p>{t(advice())}</p>
              <Show when={props.volume.reason}>
                <p class="break-words opacity-80">{props.volume.reason}</p>
              </Show>
            </div>
          </div>
        )}
      </Show>
    </li>
  );
}

function Figure(props: { class: string; name: string; children: JSX.Element }): JSX.Element {
  return (
    <div class="flex items-center gap-1.5">
      <span class={`h-2.5 w-2.5 rounded-sm ${props.class}`} />
      <dt class="text-muted">{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}
