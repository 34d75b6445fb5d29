import { For, type JSX, Show } from "solid-js";
import { directory } from "@/shared/cameras/directory";
import { IconButton } from "@/shared/ui/Button";
import { dayText, laterDay, type SpanKind } from "./span";
import { an } from "./texts";

const KINDS: readonly SpanKind[] = ["day", "week", "range"];

/** Which cameras and what time. */
export function Filters(props: {
  kind: SpanKind;
  day: string;
  to: string;
  cameraIds: readonly string[];
  by: "class" | "camera";
  byHours: boolean;
  onSpan: (kind: SpanKind) => void;
  onDay: (day: string) => void;
  onTo: (day: string) => void;
  onCameras: (ids: string[]) => void;
  onBy: (by: "class" | "camera") => void;
  onByHours: (on: boolean) => void;
}): JSX.Element {
  const today = () => dayText(Date.now());
  const step = () => (props.kind === "week" ? 7 : 1);
  const choices = <Name extends string>(
    label: string,
    names: readonly Name[],
    chosen: Name,
    text: (name: Name) => string,
    choose: (name: Name) => void,
  ) => (
    <fieldset class="inline-flex items-center rounded-lg border border-line bg-surface p-0.5">
      <legend class="sr-only">{label}</legend>
      <For each={names}>
        {(name) => (
          <button
            type="button"
            class="h-8 rounded-md px-3 text-[13px] hover:bg-hover"
            classList={{
              "bg-accent-soft text-accent font-medium": chosen === name,
              "text-muted": chosen !== name,
            }}
            aria-pressed={chosen === name}
            onClick={() => choose(name)}
          >
            {text(name)}
          </button>
        )}
      </For>
    </fieldset>
  );
  const toggle = (id: string) =>
    props.onCameras(
      props.cameraIds.includes(id) ? props.cameraIds.filter((other) => other !== id) : [...props.cameraIds, id],
    );
  const date = (label: string, value: string, change: (day: string) => void) => (
    <input
      class="field w-auto tabular-nums"
      type="date"
      aria-label={label}
      max={today()}
      value={value}
      onChange={(event) => event.currentTarget.value !== "" && change(event.currentTarget.value)}
    />
  );
  return (
    <search class="flex flex-wrap items-center gap-2">
      {choices(an("span"), KINDS, props.kind, (name) => an(name), props.onSpan)}
      <div class="flex items-center gap-1">
        <Show when={props.kind !== "range"}>
          <IconButton
            icon="chevronLeft"
            label={an("earlier")}
            onClick={() => props.onDay(laterDay(props.day, -step()))}
          />
        </Show>
        {date(an(props.kind === "range" ? "from" : "day"), props.day, props.onDay)}
        <Show
          when={props.kind === "range"}
          fallback={
            <IconButton
              icon="chevronRight"
              label={an("later")}
              disabled={props.day >= today()}
              onClick={() => props.onDay(laterDay(props.day, step()) > today() ? today() : laterDay(props.day, step()))}
            />
          }
        >
          <span class="text-muted">–</span>
          {date(an("to"), props.to, props.onTo)}
        </Show>
      </div>
      <details class="relative">
        <summary class="field flex w-auto min-w-44 list-none items-center justify-between gap-2">
          {props.cameraIds.length === 0
            ? an("allCameras")
            : props.cameraIds.length === 1
              ? directory.cameras.find((camera) => camera.id === props.cameraIds[0])?.name
              : an("someCameras", { count: props.cameraIds.length })}
          <span aria-hidden="true" class="text-muted">
            ▾
          </span>
        </summary>
        <div class="panel absolute top-full left-0 z-20 mt-1 grid max-h-72 min-w-56 gap-0.5 overflow-y-auto p-2 shadow-2xl">
          <label class="flex min-h-8 items-center gap-2.5 rounded-md px-2 hover:bg-hover">
            <input
              type="checkbox"
              class="h-4 w-4 accent-accent"
              checked={props.cameraIds.length === 0}
              onChange={() => props.onCameras([])}
            />
            {an("allCameras")}
          </label>
          <For each={directory.cameras}>
            {(camera) => (
              <label class="flex min-h-8 items-center gap-2.5 rounded-md px-2 hover:bg-hover">
                <input
                  type="checkbox"
                  class="h-4 w-4 accent-accent"
                  checked={props.cameraIds.includes(camera.id)}
                  onChange={() => toggle(camera.id)}
                />
                {camera.name}
              </label>
            )}
          </For>
        </div>
      </details>
      {choices(an("by"), ["class", "camera"] as const, props.by, (name) => an(`by.${name}`), props.onBy)}
      <label class="inline-flex min-h-9 items-center gap-2 px-1 text-[13px]">
        <input
          type="checkbox"
          class="h-4 w-4 accent-accent"
          checked={props.byHours}
          onChange={(event) => props.onByHours(event.currentTarget.checked)}
        />
        {an("hours")}
      </label>
    </search>
  );
}
