import { For, type JSX, Show } from "solid-js";
import { reversed } from "@/shared/analysis/geometry";
import type { Corner, Direction, Rule, Speed } from "@/shared/api/analysis-types";
import { Button } from "@/shared/ui/Button";
import { Field } from "@/shared/ui/Field";
import { LabelChooser, NumberField, Toggle } from "./fields";
import { rectangle, type ShapeName, shapesOf } from "./kinds";
import { at } from "./texts";

const DIRECTIONS: readonly Direction[] = ["both", "right", "left"];

/** Everything of one rule but its shape, which is on the picture. */
export function RuleEditor(props: {
  rule: Rule;
  known: readonly string[];
  readOnly: boolean;
  /** What is wrong with a member. */
  wrong: (member: string) => string | undefined;
  onRule: (rule: Rule) => void;
  onDraw: (shape: ShapeName) => void;
}): JSX.Element {
  const change = (part: Partial<Rule>) => props.onRule({ ...props.rule, ...part } as Rule);
  const number = (member: string, value: number | null) => change({ [member]: value } as Partial<Rule>);
  const has = (member: string) => member in props.rule;
  const value = (member: string) => (props.rule as unknown as Record<string, number | null>)[member] ?? null;
  const field = (member: string, label: string, nullable = false) => (
    <Show when={has(member)}>
      <NumberField
        label={label}
        value={value(member)}
        nullable={nullable}
        disabled={props.readOnly}
        error={props.wrong(member)}
        onValue={(next) => number(member, next)}
      />
    </Show>
  );
  const place = () => ["zone", "line", "arrow", "corners"].map((name) => props.wrong(name)).find(Boolean);
  return (
    <div class="grid gap-4">
      <p class="text-[13px] text-muted">{at(`hint.${props.rule.kind}`)}</p>
      <Show when={props.wrong("") ?? place()}>{(said) => <p class="text-[13px] text-bad">{said()}</p>}</Show>
      <div class="grid grid-cols-2 gap-3">
        <Field label={at("name")} error={props.wrong("name")} class="col-span-2">
          {(attributes) => (
            <input
              {...attributes}
              class="field"
              maxLength={128}
              disabled={props.readOnly}
              placeholder={at(`kind.${props.rule.kind}`)}
              value={props.rule.name}
              onInput={(event) => change({ name: event.currentTarget.value })}
            />
          )}
        </Field>
        {field("count", at("count"))}
        {field("after_s", at("after"))}
        {field("most", at("mostInside"), true)}
        {field("limit_kmh", at("limitKmh"))}
        {field("tolerance_degrees", at("tolerance"))}
        <Show when={props.rule.kind === "tripwire" && props.rule}>
          {(line) => (
            <>
              <Field label={at("direction")} error={props.wrong("direction")}>
                {(attributes) => (
                  <select
                    {...attributes}
                    class="field"
                    disabled={props.readOnly}
                    onChange={(event) => change({ direction: event.currentTarget.value as Direction })}
                  >
                    <For each={DIRECTIONS}>
                      {(entry) => (
                        <option value={entry} selected={line().direction === entry}>
                          {at(`direction.${entry}`)}
                        </option>
                      )}
                    </For>
                  </select>
                )}
              </Field>
              <div class="self-end pb-[3px]">
                <Button
                  icon="flip"
                  class="w-full px-2"
                  disabled={props.readOnly}
                  onClick={() => change({ line: reversed(line().line) } as Partial<Rule>)}
                >
                  {at("flip")}
                </Button>
              </div>
            </>
          )}
        </Show>
      </div>
      <Show when={props.rule.kind === "speed" && props.rule}>
        {(speed) => (
          <Metres
            rule={speed()}
            readOnly={props.readOnly}
            wrong={props.wrong("metres")}
            onMetres={(metres) => change({ metres } as Partial<Rule>)}
          />
        )}
      </Show>
      <Show when={"labels" in props.rule && props.rule}>
        {(rule) => (
          <LabelChooser
            label={at("labels")}
            chosen={rule().labels}
            known={props.known}
            disabled={props.readOnly}
            error={props.wrong("labels")}
            onChosen={(labels) => change({ labels } as Partial<Rule>)}
          />
        )}
      </Show>
      <div class="flex flex-wrap items-center gap-2">
        <For each={props.readOnly ? [] : shapesOf(props.rule)}>
          {(shape) => (
            <Button
              icon={shape.name === "line" || shape.name === "arrow" ? "line" : "zone"}
              onClick={() => props.onDraw(shape.name)}
            >
              {at("drawAnew")}: {at(`shape.${shape.name}`).toLocaleLowerCase()}
            </Button>
          )}
        </For>
      </div>
      <Toggle
        label={at("enabled")}
        on={props.rule.enabled}
        disabled={props.readOnly}
        onToggle={(enabled) => change({ enabled })}
      />
    </div>
  );
}

/** Where the four corners are on the ground: as a rectangle, or each by itself. */
function Metres(props: {
  rule: Speed;
  readOnly: boolean;
  wrong: string | undefined;
  onMetres: (metres: Speed["metres"]) => void;
}): JSX.Element {
  const metres = () => props.rule.metres;
  const isRectangle = () => JSON.stringify(metres()) === JSON.stringify(rectangle(metres()[1][0], metres()[0][1]));
  const set = (index: number, axis: 0 | 1, value: number | null) =>
    props.onMetres(
      metres().map((point, place) =>
        place === index ? (point.map((was, side) => (side === axis ? (value ?? Number.NaN) : was)) as Corner) : point,
      ) as Speed["metres"],
    );
  return (
    <fieldset class="rounded-lg border border-line px-3 pt-1 pb-3">
      <legend class="px-1 font-medium text-[13px] text-muted">{at("metres")}</legend>
      <p class="mb-2 text-[12.5px] text-muted">{at("metresHint")}</p>
      <Show when={isRectangle()}>
        <div class="mb-3 grid grid-cols-2 gap-3">
          <NumberField
            label={`${at("width")} (m)`}
            value={metres()[1][0]}
            disabled={props.readOnly}
            onValue={(value) => props.onMetres(rectangle(value ?? Number.NaN, metres()[0][1]))}
          />
          <NumberField
            label={`${at("length")} (m)`}
            value={metres()[0][1]}
            disabled={props.readOnly}
            onValue={(value) => props.onMetres(rectangle(metres()[1][0], value ?? Number.NaN))}
          />
        </div>
      </Show>
      <div class="grid grid-cols-2 gap-x-4 gap-y-2 text-[13px]">
        <For each={[0, 1, 2, 3]}>
          {(index) => (
            <div class="flex items-center gap-1.5">
              <span class="grid h-5 w-5 shrink-0 place-items-center rounded-full bg-ink font-bold text-[11px] text-ground">
                {index + 1}
              </span>
              <For each={[0, 1] as const}>
                {(axis) => (
                  <input
                    class="field min-w-0 px-1.5 text-center tabular-nums"
                    inputmode="decimal"
                    aria-label={`${at("cornerNumber", { number: index + 1 })}, ${at(axis === 0 ? "across" : "along")}`}
                    disabled={props.readOnly}
                    value={String(metres()[index as 0 | 1 | 2 | 3][axis])}
                    onChange={(event) => set(index, axis, Number(event.currentTarget.value.replace(",", ".")))}
                  />
                )}
              </For>
            </div>
          )}
        </For>
      </div>
      <Show when={props.wrong}>
        <p class="mt-2 text-[12.5px] text-bad">{props.wrong}</p>
      </Show>
    </fieldset>
  );
}
