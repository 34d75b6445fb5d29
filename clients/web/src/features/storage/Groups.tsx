import { createSignal, For, type JSX, Show } from "solid-js";
import { createStore } from "solid-js/store";
import { addGroup, patchGroup, removeGroup } from "@/shared/api/keeping";
import { may } from "@/shared/api/me";
import { Problem } from "@/shared/api/problem";
import type { Group } from "@/shared/api/types";
import { directory } from "@/shared/cameras/directory";
import { type Key, regional, t, tn } from "@/shared/i18n";
import { checkLimits, type LimitsForm, limitsFormOf, NO_LIMITS, retentionOf } from "@/shared/keeping/limits";
import { bytesText } from "@/shared/time/format";
import { Button, IconButton } from "@/shared/ui/Button";
import { Field } from "@/shared/ui/Field";
import { ProblemNotice } from "@/shared/ui/Notice";

interface GroupForm extends LimitsForm {
  name: string;
}

const POINTERS: Record<string, keyof GroupForm> = {
  "/name": "name",
  "/retention/days": "retentionDays",
  "/retention/max_bytes": "retentionGb",
  "/retention/min_days": "minDays",
  "/retention/main_days": "mainDays",
  "/retention": "minDays",
};

/** Groups of cameras and their limits, changed in place. */
export function Groups(props: { groups: readonly Group[]; onChanged: () => void }): JSX.Element {
  const [editing, setEditing] = createSignal<string | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const members = (group: Group) => directory.cameras.filter((camera) => camera.group_id === group.id);
  const done = () => {
    setEditing(null);
    setProblem(null);
    props.onChanged();
  };
  const remove = async (group: Group) => {
    try {
      await removeGroup(group.id);
      done();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    }
  };
  const limitsText = (group: Group): string => {
    const { days, max_bytes: bytes, min_days: guaranteed, main_days: main } = group.retention;
    const parts = [
      days ? tn("storage.limit.days", days) : "",
      bytes ? t("storage.limit.bytes", { size: bytesText(bytes, regional()) }) : "",
      guaranteed ? tn("storage.limit.min", guaranteed) : "",
      main ? tn("storage.limit.main", main) : "",
    ].filter((part) => part !== "");
    return parts.length > 0 ? parts.join(" · ") : t("cameras.unlimited");
  };
  return (
    <div class="grid gap-3">
      <Show when={problem()}>{(found) => <ProblemNotice problem={found()} />}</Show>
      <Show when={props.groups.length > 0 || editing() === "new"}>
        <ul class="panel">
          <For each={props.groups}>
            {(group) => (
              <li class="border-line border-t px-4 py-2.5 first:border-t-0" data-group={group.id}>
                <Show
                  when={editing() === group.id}
                  fallback={
                    <div class="flex items-center gap-3">
                      <div class="min-w-0 flex-1">
                        <p class="font-medium">
                          {group.name}
                          <span class="ml-2 font-normal text-[12.5px] text-muted">
                            {tn("cameras.count", members(group).length)}
                          </span>
                        </p>
                        <p class="text-[13px] text-muted">{limitsText(group)}</p>
                      </div>
                      <Show when={may("cameras:edit")}>
                        <div class="flex text-muted">
                          <IconButton
                            icon="edit"
                            label={t("cameras.edit", { name: group.name })}
                            onClick={() => setEditing(group.id)}
                          />
                          <IconButton
                            icon="trash"
                            label={t("cameras.remove", { name: group.name })}
                            disabled={members(group).length > 0}
                            onClick={() => void remove(group)}
                          />
                        </div>
                      </Show>
                    </div>
                  }
                >
                  <GroupEditor group={group} onDone={done} onCancel={() => setEditing(null)} />
                </Show>
              </li>
            )}
          </For>
          <Show when={editing() === "new"}>
            <li class="border-line border-t px-4 py-3 first:border-t-0">
              <GroupEditor group={null} onDone={done} onCancel={() => setEditing(null)} />
            </li>
          </Show>
        </ul>
      </Show>
      <Show when={props.groups.length === 0 && editing() === null}>
        <p class="text-[13px] text-muted">{t("storage.noGroups")}</p>
      </Show>
      <Show when={may("cameras:edit") && editing() !== "new"}>
        <div>
          <Button icon="plus" data-testid="add-group" onClick={() => setEditing("new")}>
            {t("storage.addGroup")}
          </Button>
        </div>
      </Show>
    </div>
  );
}

function GroupEditor(props: { group: Group | null; onDone: () => void; onCancel: () => void }): JSX.Element {
  const before = props.group;
  const [form, setForm] = createStore<GroupForm>({
    ...(before ? limitsFormOf(before.retention) : NO_LIMITS),
    name: before?.name ?? "",
  });
  const [wrong, setWrong] = createSignal<ReadonlyMap<keyof GroupForm, string>>(new Map());
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);

  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    const found = new Map<keyof GroupForm, string>();
    for (const [field, key] of checkLimits(form)) found.set(field, t(key));
    if (form.name.trim() === "") found.set("name", t("cameras.groupMissing"));
    setWrong(found);
    setProblem(null);
    if (found.size > 0) return;
    setBusy(true);
    try {
      const name = form.name.trim();
      const retention = retentionOf(form);
      await (before ? patchGroup(before.id, { name, retention }) : addGroup(name, retention));
      props.onDone();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const byField = new Map<keyof GroupForm, string>();
      for (const [pointer, detail] of error.fields) {
        const field = POINTERS[pointer];
        if (field) byField.set(field, detail);
      }
      if (error.code === "group-name-taken") byField.set("name", t("storage.groupTaken"));
      setWrong(byField);
      if (byField.size === 0) setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const text = (name: keyof GroupForm, label: Key, placeholder: Key | null) => (
    <Field label={t(label)} error={wrong().get(name)}>
      {(attributes) => (
        <input
          {...attributes}
          class="field"
          name={`group-${name}`}
          inputmode={name === "name" ? "text" : "decimal"}
          maxLength={name === "name" ? 200 : 20}
          placeholder={placeholder ? t(placeholder) : ""}
          value={form[name]}
          onInput={(event) => setForm(name, event.currentTarget.value)}
        />
      )}
    </Field>
  );
  return (
    <form class="grid gap-3" novalidate onSubmit={(event) => void save(event)}>
      <div class="grid grid-cols-2 gap-3 md:grid-cols-[1.4fr_repeat(4,1fr)]">
        <div class="max-md:col-span-2">{text("name", "cameras.name", null)}</div>
        {text("retentionDays", "cameras.retention", "cameras.unlimited")}
        {text("retentionGb", "cameras.gb", "cameras.unlimited")}
        {text("minDays", "cameras.minDays", "cameras.none")}
        {text("mainDays", "cameras.mainDays", "cameras.unlimited")}
      </div>
      <Show when={problem()}>{(found) => <ProblemNotice problem={found()} />}</Show>
      <div class="flex justify-end gap-2">
        <Button onClick={() => props.onCancel()}>{t("action.cancel")}</Button>
        <Button type="submit" kind="primary" busy={busy()}>
          {t("action.save")}
        </Button>
      </div>
    </form>
  );
}
