import { For, type JSX, Show } from "solid-js";
import type { SetStoreFunction } from "solid-js/store";
import type { Group, RecordingMode } from "@/shared/api/types";
import { type Key, t } from "@/shared/i18n";
import { Field } from "@/shared/ui/Field";
import { Fold } from "@/shared/ui/Fold";
import {
  type CameraForm,
  type FieldName,
  NEW_GROUP,
  type StreamMode,
  type TextName,
  uses,
  waitsForEvents,
} from "./draft";
import { Holidays } from "./Holidays";
import { WeekPlan } from "./WeekPlan";
import { timeZones } from "./week-grid";

const MODES: readonly RecordingMode[] = ["continuous", "motion", "event", "schedule", "manual", "off"];

export interface FormParts {
  form: CameraForm;
  setForm: SetStoreFunction<CameraForm>;
  wrong: ReadonlyMap<FieldName, string>;
  text: (name: TextName, label: Key, more?: JSX.InputHTMLAttributes<HTMLInputElement>, hint?: string) => JSX.Element;
}

const anyWrong = (wrong: ReadonlyMap<FieldName, string>, ...fields: FieldName[]): boolean =>
  fields.some((field) => wrong.has(field));

// A select takes a value only once it has the option for it: so each option says whether it is the chosen one.
function ModeOptions(props: { chosen: StreamMode }): JSX.Element {
  return (
    <For each={MODES}>
      {(mode) => (
        <option value={mode} selected={props.chosen === mode}>
          {t(`mode.${mode}`)}
        </option>
      )}
    </For>
  );
}

/** When the camera is recorded. */
export function RecordingFields(props: FormParts): JSX.Element {
  const hasSub = () => props.form.subUrl.trim() !== "";
  const streamMode = (name: "mainMode" | "subMode", label: Key) => (
    <Field label={t(label)} error={props.wrong.get(name)}>
      {(attributes) => (
        <select
          {...attributes}
          class="field"
          name={name}
          onChange={(event) => props.setForm(name, event.currentTarget.value as StreamMode)}
        >
          <option value="" selected={props.form[name] === ""}>
            {t("cameras.asCamera")}
          </option>
          <ModeOptions chosen={props.form[name]} />
        </select>
      )}
    </Field>
  );
  return (
    <>
      <Field label={t("cameras.recording")} error={props.wrong.get("mode")} hint={t(`mode.hint.${props.form.mode}`)}>
        {(attributes) => (
          <select
            {...attributes}
            class="field"
            name="mode"
            onChange={(event) => props.setForm("mode", event.currentTarget.value as RecordingMode)}
          >
            <ModeOptions chosen={props.form.mode} />
          </select>
        )}
      </Field>
      <Show when={uses(props.form, "schedule")}>
        <section class="grid gap-4 rounded-lg border border-line p-3" aria-label={t("plan.title")}>
          <WeekPlan
            week={props.form.week}
            onWeek={(week) => props.setForm("week", week)}
            error={props.wrong.get("week")}
          />
          <Field label={t("plan.timeZone")} error={props.wrong.get("timeZone")}>
            {(attributes) => (
              <select
                {...attributes}
                class="field"
                name="timeZone"
                onChange={(event) => props.setForm("timeZone", event.currentTarget.value)}
              >
                <For each={timeZones(props.form.timeZone)}>
                  {(zone) => (
                    <option value={zone} selected={props.form.timeZone === zone}>
                      {zone}
                    </option>
                  )}
                </For>
              </select>
            )}
          </Field>
          <Holidays
            holidays={props.form.holidays}
            onHolidays={(holidays) => props.setForm("holidays", holidays)}
            error={props.wrong.get("holidays")}
          />
        </section>
      </Show>
      <Show when={waitsForEvents(props.form)}>
        <div class="grid grid-cols-2 gap-4">
          {props.text("preEventS", "cameras.preEvent", { inputmode: "numeric" })}
          {props.text("postEventS", "cameras.postEvent", { inputmode: "numeric" })}
        </div>
        {props.text(
          "eventTypes",
          "cameras.eventTypes",
          { placeholder: t("cameras.eventTypesAll"), spellcheck: false, autocapitalize: "none" },
          t("cameras.eventTypesHint"),
        )}
      </Show>
      <Fold
        title={t("cameras.subStream")}
        summary={hasSub() ? "" : t("cameras.none")}
        opened={hasSub()}
        forced={anyWrong(props.wrong, "subUrl", "mainMode", "subMode")}
      >
        {props.text(
          "subUrl",
          "cameras.subUrl",
          { placeholder: "rtsp://192.0.2.10:554/stream2", inputmode: "url", spellcheck: false },
          t("cameras.subHint"),
        )}
        <Show when={hasSub()}>
          <div class="grid gap-4 sm:grid-cols-2">
            {streamMode("mainMode", "cameras.mainMode")}
            {streamMode("subMode", "cameras.subMode")}
          </div>
        </Show>
      </Fold>
    </>
  );
}

/** How long recordings are kept. */
export function KeepingFields(props: FormParts & { groups: readonly Group[] | null }): JSX.Element {
  const hasSub = () => props.form.subUrl.trim() !== "";
  const isSet = () =>
    [props.form.retentionGb, props.form.minDays, props.form.mainDays, props.form.groupId].some((text) => text !== "");
  return (
    <>
      {props.text(
        "retentionDays",
        "cameras.retention",
        { inputmode: "numeric", placeholder: t("cameras.unlimited") },
        t("cameras.retentionHint"),
      )}
      <Fold
        title={t("cameras.moreLimits")}
        summary={isSet() ? "" : t("cameras.none")}
        opened={isSet()}
        forced={anyWrong(props.wrong, "retentionGb", "minDays", "mainDays", "groupId", "newGroup")}
      >
        <div class="grid gap-4 sm:grid-cols-2">
          {props.text(
            "retentionGb",
            "cameras.gb",
            { inputmode: "decimal", placeholder: t("cameras.unlimited") },
            t("cameras.gbHint"),
          )}
          {props.text(
            "minDays",
            "cameras.minDays",
            { inputmode: "numeric", placeholder: t("cameras.none") },
            t("cameras.minDaysHint"),
          )}
          <Show when={hasSub() || props.form.mainDays !== ""}>
            {props.text(
              "mainDays",
              "cameras.mainDays",
              { inputmode: "numeric", placeholder: t("cameras.unlimited") },
              t("cameras.mainDaysHint"),
            )}
          </Show>
          <Show when={props.groups}>
            {(groups) => (
              <Field label={t("cameras.group")} error={props.wrong.get("groupId")} hint={t("cameras.groupHint")}>
                {(attributes) => (
                  <select
                    {...attributes}
                    class="field"
                    name="groupId"
                    onChange={(event) => props.setForm("groupId", event.currentTarget.value)}
                  >
                    <option value="" selected={props.form.groupId === ""}>
                      {t("cameras.none")}
                    </option>
                    <For each={groups()}>
                      {(group) => (
                        <option value={group.id} selected={props.form.groupId === group.id}>
                          {group.name}
                        </option>
                      )}
                    </For>
                    <option value={NEW_GROUP} selected={props.form.groupId === NEW_GROUP}>
                      {t("cameras.newGroup")}
                    </option>
                  </select>
                )}
              </Field>
            )}
          </Show>
          <Show when={props.form.groupId === NEW_GROUP}>
            {props.text("newGroup", "cameras.newGroupName", { maxLength: 200 })}
          </Show>
        </div>
      </Fold>
    </>
  );
}
