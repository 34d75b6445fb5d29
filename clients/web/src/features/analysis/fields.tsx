import { createEffect, For, type JSX, Show } from "solid-js";
import { ALL_LABELS, labelColour, labelText, USUAL_LABELS } from "@/shared/analysis/labels";
import { Field } from "@/shared/ui/Field";
import { at } from "./texts";

/** A number; NaN (or null where that is a value) while the field holds none. */
export function NumberField(props: {
  label: string;
  value: number | null;
  onValue: (value: number | null) => void;
  nullable?: boolean;
  hint?: string;
  error?: string | undefined;
  disabled?: boolean;
  step?: number | "any";
}): JSX.Element {
  let input: HTMLInputElement | undefined;
  const read = (text: string): number | null => {
    if (text.trim() === "") return props.nullable ? null : Number.NaN;
    return Number(text.replace(",", "."));
  };
  // What is typed stays as it is typed: only another value replaces it.
  createEffect(() => {
    const { value } = props;
    if (!input || Object.is(read(input.value), value)) return;
    input.value = value === null || Number.isNaN(value) ? "" : String(value);
  });
  return (
    <Field label={props.label} hint={props.hint} error={props.error}>
      {(attributes) => (
        <input
          {...attributes}
          ref={input}
          class="field tabular-nums"
          inputmode="decimal"
          autocomplete="off"
          disabled={props.disabled}
          onInput={(event) => props.onValue(read(event.currentTarget.value))}
        />
      )}
    </Field>
  );
}

/** Which classes: the usual ones at hand, every other one in a list. */
export function LabelChooser(props: {
  label: string;
  chosen: readonly string[];
  /** What the detector knows; empty where that is unknown. */
  known: readonly string[];
  disabled: boolean;
  error?: string | undefined;
  onChosen: (labels: string[]) => void;
}): JSX.Element {
  const known = () => (props.known.length > 0 ? props.known : ALL_LABELS);
  const shown = () => [
    ...USUAL_LABELS.filter((label) => known().includes(label)),
    ...props.chosen.filter((label) => !USUAL_LABELS.includes(label)),
  ];
  const others = () =>
    known()
      .filter((label) => !shown().includes(label))
      .map((label) => ({ label, text: labelText(label) }))
      .sort((a, b) => a.text.localeCompare(b.text));
  const toggle = (label: string) =>
    props.onChosen(
      props.chosen.includes(label) ? props.chosen.filter((other) => other !== label) : [...props.chosen, label],
    );
  return (
    <fieldset disabled={props.disabled} class="min-w-0">
      <legend class="mb-1.5 font-medium text-[13px] text-muted">
        {props.label}
        <Show when={props.chosen.length === 0}>: {at("labelsAll")}</Show>
      </legend>
      <div class="flex flex-wrap gap-1.5">
        <For each={shown()}>
          {(label) => (
            <button
              type="button"
              class="inline-flex min-h-8 items-center gap-1.5 rounded-full border px-2.5 text-[13px] disabled:opacity-60"
              classList={{
                "border-accent bg-accent-soft text-ink": props.chosen.includes(label),
                "border-line text-muted hover:bg-hover": !props.chosen.includes(label),
              }}
              aria-pressed={props.chosen.includes(label)}
              onClick={() => toggle(label)}
            >
              <span
                class="h-2.5 w-2.5 rounded-full border border-black/30"
                style={{ background: labelColour(label) }}
                aria-hidden="true"
              />
              {labelText(label)}
            </button>
          )}
        </For>
        <select
          class="min-h-8 max-w-44 rounded-full border border-line bg-transparent px-2.5 text-[13px] text-muted *:bg-surface"
          aria-label={at("labelsOther")}
          value=""
          onChange={(event) => {
            const label = event.currentTarget.value;
            event.currentTarget.value = "";
            if (label !== "") toggle(label);
          }}
        >
          <option value="">{at("labelsOther")}</option>
          <For each={others()}>{(entry) => <option value={entry.label}>{entry.text}</option>}</For>
        </select>
      </div>
      <Show when={props.error}>
        <p class="mt-1 text-[12.5px] text-bad">{props.error}</p>
      </Show>
    </fieldset>
  );
}

/** A switch with words beside it. */
export function Toggle(props: {
  label: string;
  hint?: string;
  on: boolean;
  disabled?: boolean;
  onToggle: (on: boolean) => void;
  testId?: string;
}): JSX.Element {
  return (
    <label class="flex cursor-pointer items-start gap-3">
      <span class="relative mt-0.5 inline-flex shrink-0">
        <input
          type="checkbox"
          role="switch"
          aria-checked={props.on}
          class="peer absolute inset-0 z-10 h-full w-full cursor-pointer opacity-0"
          checked={props.on}
          disabled={props.disabled}
          data-testid={props.testId}
          onChange={(event) => props.onToggle(event.currentTarget.checked)}
        />
        <span class="h-5 w-9 rounded-full border border-line-strong bg-ground transition-colors peer-checked:border-accent peer-checked:bg-accent peer-focus-visible:outline-2 peer-focus-visible:outline-accent peer-focus-visible:outline-offset-2 peer-disabled:opacity-50" />
        <span class="absolute top-[3px] left-[3px] h-3.5 w-3.5 rounded-full bg-muted transition-transform peer-checked:translate-x-4 peer-checked:bg-accent-ink" />
      </span>
      <span class="min-w-0">
        <span class="block font-medium">{props.label}</span>
        <Show when={props.hint}>
          <span class="block text-[12.5px] text-muted">{props.hint}</span>
        </Show>
      </span>
    </label>
  );
}
