import { For, type JSX, Show } from "solid-js";
import type { AnalysisSettings, Extra, Model } from "@/shared/api/analysis-types";
import { regional } from "@/shared/i18n";
import { Field } from "@/shared/ui/Field";
import { Fold } from "@/shared/ui/Fold";
import { Notice } from "@/shared/ui/Notice";
import { LabelChooser, NumberField, Toggle } from "./fields";
import { at } from "./texts";

const EXTRAS: readonly Extra[] = ["faces", "pose", "text"];
const PRIORITIES: readonly AnalysisSettings["priority"][] = ["low", "normal", "high"];

/** Everything of the settings but rules and masks. */
export function SettingsFields(props: {
  settings: AnalysisSettings;
  /** null: not known (yet). */
  models: Model[] | null;
  readOnly: boolean;
  known: readonly string[];
  wrong: (member: string) => string | undefined;
  onChange: (part: Partial<AnalysisSettings>, what?: string) => void;
}): JSX.Element {
  const detectors = () => props.models?.filter((model) => model.task === "detect" && model.installed) ?? [];
  const chosen = () => props.settings.detector ?? "";
  const isMissing = () => chosen() !== "" && !detectors().some((model) => model.name === chosen());
  const byDefault = () => detectors().find((model) => model.default);
  return (
    <div class="grid gap-4">
      <Toggle
        label={at("switch")}
        hint={at("switchHint")}
        on={props.settings.enabled}
        disabled={props.readOnly}
        testId="analysis-enabled"
        onToggle={(enabled) => props.onChange({ enabled })}
      />
      <Show when={props.models !== null && detectors().length === 0}>
        <Notice kind="warn" title={at("noModel")}>
          {at("noModelHint")}
          <code class="mt-1 block rounded bg-ground px-2 py-1 font-mono text-ink">vms models install coco-ssd</code>
        </Notice>
      </Show>
      <LabelChooser
        label={at("labels")}
        chosen={props.settings.labels}
        known={props.known}
        disabled={props.readOnly}
        error={props.wrong("labels")}
        onChosen={(labels) => props.onChange({ labels })}
      />
      <Field
        label={`${at("score")}: ${props.settings.least_score.toLocaleString(regional(), { style: "percent" })}`}
        hint={at("scoreHint")}
        error={props.wrong("least_score")}
      >
        {(attributes) => (
          <input
            {...attributes}
            type="range"
            min="0.05"
            max="1"
            step="0.05"
            class="w-full accent-accent"
            disabled={props.readOnly}
            value={props.settings.least_score}
            onInput={(event) => props.onChange({ least_score: Number(event.currentTarget.value) }, "least_score")}
          />
        )}
      </Field>
      <Fold
        title={at("tuning")}
        summary={chosen() === "" ? (byDefault()?.title ?? "") : chosen()}
        forced={["detector", "most_fps", "least_fps", "priority", "extras"].some((member) => props.wrong(member))}
      >
        <Field label={at("detector")} error={props.wrong("detector")}>
          {(attributes) => (
            <select
              {...attributes}
              class="field"
              disabled={props.readOnly}
              onChange={(event) => props.onChange({ detector: event.currentTarget.value || null })}
            >
              <option value="" selected={chosen() === ""}>
                {at("detectorDefault")}
                {byDefault() ? ` (${byDefault()?.title})` : ""}
              </option>
              <For each={detectors()}>
                {(model) => (
                  <option value={model.name} selected={chosen() === model.name}>
                    {model.title}
                  </option>
                )}
              </For>
              <Show when={isMissing()}>
                <option value={chosen()} selected>
                  {at("detectorMissing", { name: chosen() })}
                </option>
              </Show>
            </select>
          )}
        </Field>
        <div class="grid grid-cols-2 gap-3">
          <NumberField
            label={at("most")}
            value={props.settings.most_fps}
            disabled={props.readOnly}
            error={props.wrong("most_fps")}
            onValue={(value) => props.onChange({ most_fps: value ?? Number.NaN }, "most_fps")}
          />
          <NumberField
            label={at("least")}
            value={props.settings.least_fps}
            hint={at("leastHint")}
            disabled={props.readOnly}
            error={props.wrong("least_fps")}
            onValue={(value) => props.onChange({ least_fps: value ?? Number.NaN }, "least_fps")}
          />
        </div>
        <Field label={at("priority")} error={props.wrong("priority")}>
          {(attributes) => (
            <select
              {...attributes}
              class="field"
              disabled={props.readOnly}
              onChange={(event) =>
                props.onChange({ priority: event.currentTarget.value as AnalysisSettings["priority"] })
              }
            >
              <For each={PRIORITIES}>
                {(entry) => (
                  <option value={entry} selected={props.settings.priority === entry}>
                    {at(`priority.${entry}`)}
                  </option>
                )}
              </For>
            </select>
          )}
        </Field>
        <fieldset disabled={props.readOnly}>
          <legend class="mb-1 font-medium text-[13px] text-muted">{at("extras")}</legend>
          <div class="flex flex-wrap gap-x-5 gap-y-1">
            <For each={EXTRAS}>
              {(extra) => (
                <label class="inline-flex min-h-8 items-center gap-2">
                  <input
                    type="checkbox"
                    class="h-4 w-4 accent-accent"
                    checked={props.settings.extras.includes(extra)}
                    onChange={(event) =>
                      props.onChange({
                        extras: EXTRAS.filter((other) =>
                          other === extra ? event.currentTarget.checked : props.settings.extras.includes(other),
                        ),
                      })
                    }
                  />
                  {at(`extra.${extra}`)}
                </label>
              )}
            </For>
          </div>
          <p class="mt-1 text-[12.5px]">
            <Show when={props.wrong("extras")} fallback={<span class="text-muted">{at("extrasHint")}</span>}>
              {(said) => <span class="text-bad">{said()}</span>}
            </Show>
          </p>
        </fieldset>
        <label class="inline-flex items-center gap-2">
          <input
            type="checkbox"
            class="h-4 w-4 accent-accent"
            disabled={props.readOnly}
            checked={props.settings.key_frames_only}
            onChange={(event) => props.onChange({ key_frames_only: event.currentTarget.checked })}
          />
          {at("keyFrames")}
        </label>
      </Fold>
    </div>
  );
}
