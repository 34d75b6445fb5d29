import { For, Index, type JSX, Show } from "solid-js";
import type { Rule, RuleKind } from "@/shared/api/analysis-types";
import { Button, IconButton } from "@/shared/ui/Button";
import { Icon } from "@/shared/ui/Icon";
import { KINDS, type ShapeName } from "./kinds";
import { RuleEditor } from "./RuleEditor";
import { colourOf, ruleTitle } from "./shapes";
import { at } from "./texts";

/** The rules; the chosen one is open. */
export function RuleList(props: {
  rules: readonly Rule[];
  selected: number | null;
  known: readonly string[];
  readOnly: boolean;
  wrong: (index: number, member: string) => string | undefined;
  onSelect: (index: number | null) => void;
  onRule: (index: number, rule: Rule, what: string) => void;
  onRemove: (index: number) => void;
  onAdd: (kind: RuleKind) => void;
  onDraw: (index: number, shape: ShapeName) => void;
}): JSX.Element {
  return (
    <div>
      <h2 class="mb-2 font-semibold text-[14px]">{at("rules")}</h2>
      <Show when={props.rules.length === 0}>
        <p class="mb-2 text-[13px] text-muted">{at("noRules")}</p>
      </Show>
      <ul class="grid gap-2">
        <Index each={props.rules}>
          {(rule, index) => (
            <li
              class="rounded-lg border"
              classList={{ "border-accent": props.selected === index, "border-line": props.selected !== index }}
              data-rule={rule().id}
            >
              <div class="flex items-center">
                <button
                  type="button"
                  class="flex min-h-11 min-w-0 flex-1 items-center gap-2.5 rounded-lg px-3 text-left hover:bg-raised"
                  aria-expanded={props.selected === index}
                  onClick={() => props.onSelect(props.selected === index ? null : index)}
                >
                  <span
                    class="h-3 w-3 shrink-0 rounded-full border border-black/30"
                    style={{ background: colourOf(index), opacity: rule().enabled ? 1 : 0.35 }}
                    aria-hidden="true"
                  />
                  <span class="min-w-0 flex-1">
                    <span class="block truncate font-medium" classList={{ "text-muted line-through": !rule().enabled }}>
                      {ruleTitle(rule())}
                    </span>
                    <Show when={rule().name.trim() !== ""}>
                      <span class="block truncate text-[12.5px] text-muted">{at(`kind.${rule().kind}`)}</span>
                    </Show>
                  </span>
                  <Icon
                    name="chevronRight"
                    size={15}
                    class={`text-muted transition-transform ${props.selected === index ? "rotate-90" : ""}`}
                  />
                </button>
                <Show when={!props.readOnly}>
                  <IconButton
                    class="mr-1 text-muted"
                    icon="trash"
                    label={at("removeRule", { name: ruleTitle(rule()) })}
                    onClick={() => props.onRemove(index)}
                  />
                </Show>
              </div>
              <Show when={props.selected === index}>
                <div class="border-line border-t px-3 py-3">
                  <RuleEditor
                    rule={rule()}
                    known={props.known}
                    readOnly={props.readOnly}
                    wrong={(member) => props.wrong(index, member)}
                    onRule={(next) => props.onRule(index, next, `rule ${index}`)}
                    onDraw={(shape) => props.onDraw(index, shape)}
                  />
                </div>
              </Show>
            </li>
          )}
        </Index>
      </ul>
      <Show when={!props.readOnly}>
        <select
          class="field mt-2"
          aria-label={at("addRule")}
          data-testid="add-rule"
          value=""
          onChange={(event) => {
            const kind = event.currentTarget.value as RuleKind | "";
            event.currentTarget.value = "";
            if (kind !== "") props.onAdd(kind);
          }}
        >
          <option value="">+ {at("addRule")}</option>
          <For each={KINDS}>{(kind) => <option value={kind}>{at(`kind.${kind}`)}</option>}</For>
        </select>
      </Show>
    </div>
  );
}

/** The areas in which nothing counts. */
export function MaskList(props: {
  count: number;
  selected: number | null;
  readOnly: boolean;
  onSelect: (index: number) => void;
  onRemove: (index: number) => void;
  onAdd: () => void;
  onDraw: (index: number) => void;
}): JSX.Element {
  const indices = () => Array.from({ length: props.count }, (_, index) => index);
  return (
    <div>
      <h2 class="mb-1 font-semibold text-[14px]">{at("masks")}</h2>
      <p class="mb-2 text-[13px] text-muted">{at("masksHint")}</p>
      <ul class="grid gap-2">
        <For each={indices()}>
          {(index) => (
            <li
              class="flex items-center rounded-lg border"
              classList={{ "border-accent": props.selected === index, "border-line": props.selected !== index }}
            >
              <button
                type="button"
                class="min-h-10 min-w-0 flex-1 rounded-lg px-3 text-left hover:bg-raised"
                onClick={() => props.onSelect(index)}
              >
                {at("mask", { number: index + 1 })}
              </button>
              <Show when={!props.readOnly}>
                <IconButton class="text-muted" icon="edit" label={at("drawAnew")} onClick={() => props.onDraw(index)} />
                <IconButton
                  class="mr-1 text-muted"
                  icon="trash"
                  label={at("removeMask", { number: index + 1 })}
                  onClick={() => props.onRemove(index)}
                />
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show when={!props.readOnly && props.count < 32}>
        <Button class="mt-2" icon="plus" onClick={() => props.onAdd()}>
          {at("addMask")}
        </Button>
      </Show>
    </div>
  );
}
