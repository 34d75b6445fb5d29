import { createEffect, createSignal, type JSX, on, Show } from "solid-js";
import { createStore } from "solid-js/store";
import { addCamera, patchCamera } from "@/shared/api/cameras";
import { addGroup, listGroups } from "@/shared/api/keeping";
import { Problem } from "@/shared/api/problem";
import type { Camera, Group, Transport } from "@/shared/api/types";
import { refreshCameras } from "@/shared/cameras/directory";
import { type Key, t } from "@/shared/i18n";
import { Button } from "@/shared/ui/Button";
import { Dialog } from "@/shared/ui/Dialog";
import { Field } from "@/shared/ui/Field";
import { Fold } from "@/shared/ui/Fold";
import { ProblemNotice } from "@/shared/ui/Notice";
import { ConnectionTest } from "./ConnectionTest";
import {
  type CameraForm,
  check,
  draftOf,
  EMPTY,
  type FieldName,
  fieldOf,
  formOf,
  NEW_GROUP,
  patchOf,
  type TextName,
} from "./draft";
import { KeepingFields, RecordingFields } from "./RecordingFields";

/** Adds a camera, or changes one; then tells whether it can be reached. */
export function CameraDialog(props: { open: boolean; camera: Camera | null; onClose: () => void }): JSX.Element {
  const [form, setForm] = createStore<CameraForm>({ ...EMPTY, week: { ...EMPTY.week } });
  const [wrong, setWrong] = createSignal<Map<FieldName, string>>(new Map());
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [groups, setGroups] = createSignal<Group[] | null>(null);
  const [saved, setSaved] = createSignal<Camera | null>(null);

  createEffect(
    on(
      () => [props.open, props.camera] as const,
      ([open, camera]) => {
        if (!open) return;
        const shown = camera ? formOf(camera) : EMPTY;
        // A store writes into what it was given: the week must be its own.
        setForm({ ...shown, week: { ...shown.week } });
        setWrong(new Map());
        setProblem(null);
        setSaved(null);
      },
    ),
  );

  createEffect(
    on(
      () => props.open,
      (open) => {
        if (!open) return;
        listGroups().then(setGroups, (error: unknown) => {
          // Without the list, everything else of a camera can be changed.
          if (!(error instanceof Problem)) throw error;
          setGroups(null);
        });
      },
    ),
  );

  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    const sender = event.currentTarget as HTMLFormElement;
    const found = check(form);
    setWrong(new Map([...found].map(([field, key]) => [field, t(key)])));
    setProblem(null);
    if (found.size > 0) return showFirstWrong(sender);
    setBusy(true);
    let fields = fieldOf;
    try {
      if (form.groupId === NEW_GROUP) {
        fields = () => "newGroup";
        const group = await addGroup(form.newGroup.trim());
        setGroups((before) => [...(before ?? []), group]);
        setForm({ groupId: group.id, newGroup: "" });
        fields = fieldOf;
      }
      const before = saved() ?? props.camera;
      const camera = before ? await patchCamera(before.id, patchOf(form, before)) : await addCamera(draftOf(form));
      setSaved(camera);
      setForm("password", "");
      await refreshCameras();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const byField = new Map<FieldName, string>();
      let homeless = error.fields.size === 0;
      for (const [pointer, detail] of error.fields) {
        const field = fields(pointer);
        // The form says one thing beside a field; a second one there would only follow from the first.
        if (field && !byField.has(field)) byField.set(field, detail);
        homeless ||= field === null;
      }
      if (error.code === "group-name-taken") {
        byField.set("newGroup", t("storage.groupTaken"));
        homeless = false;
      }
      setWrong(byField);
      if (homeless) setProblem(error);
      showFirstWrong(sender);
    } finally {
      setBusy(false);
    }
  };
  // Once the folds that hold what is wrong have opened.
  const showFirstWrong = (sender: HTMLFormElement) => {
    queueMicrotask(() => {
      const first = sender.querySelector<HTMLElement>("[aria-invalid=true]");
      first?.scrollIntoView({ block: "center" });
      first?.focus({ preventScroll: true });
    });
  };

  const text = (name: TextName, label: Key, more: JSX.InputHTMLAttributes<HTMLInputElement> = {}, hint?: string) => (
    <Field label={t(label)} error={wrong().get(name)} hint={hint}>
      {(attributes) => (
        <input
          {...attributes}
          {...more}
          class="field"
          name={name}
          value={form[name]}
          onInput={(event) => setForm(name, event.currentTarget.value)}
        />
      )}
    </Field>
  );

  return (
    <Dialog
      wide
      open={props.open}
      onClose={props.onClose}
      title={props.camera ? t("cameras.edit", { name: props.camera.name }) : t("cameras.add")}
    >
      <form class="grid gap-4" novalidate autocomplete="off" onSubmit={(event) => void save(event)}>
        {text("name", "cameras.name", { placeholder: t("cameras.namePlaceholder"), maxLength: 200 })}
        {text(
          "url",
          "cameras.url",
          { placeholder: "rtsp://192.0.2.10:554/stream1", inputmode: "url", spellcheck: false, autocapitalize: "none" },
          t("cameras.urlHint"),
        )}
        <div class="grid gap-4 sm:grid-cols-2">
          {text("username", "cameras.username", { autocomplete: "off", spellcheck: false, autocapitalize: "none" })}
          {text(
            "password",
            "cameras.password",
            { type: "password", autocomplete: "new-password" },
            (props.camera?.credentials ?? saved()?.credentials) ? t("cameras.passwordKept") : undefined,
          )}
        </div>
        <RecordingFields form={form} setForm={setForm} wrong={wrong()} text={text} />
        <KeepingFields form={form} setForm={setForm} wrong={wrong()} text={text} groups={groups()} />
        <Fold title={t("cameras.connection")} summary={form.transport.toUpperCase()}>
          <Field label={t("cameras.transport")} hint={t("cameras.transportHint")}>
            {(attributes) => (
              <select
                {...attributes}
                class="field"
                value={form.transport}
                onChange={(event) => setForm("transport", event.currentTarget.value as Transport)}
              >
                <option value="tcp">TCP</option>
                <option value="udp">UDP</option>
              </select>
            )}
          </Field>
        </Fold>
        <Show when={problem()}>{(found) => <ProblemNotice problem={found()} />}</Show>
        <Show when={saved()}>{(camera) => <ConnectionTest cameraId={camera().id} />}</Show>
        <div class="flex justify-end gap-2 border-line border-t pt-4">
          <Button kind={saved() ? "primary" : "plain"} onClick={() => props.onClose()}>
            {saved() ? t("action.done") : t("action.cancel")}
          </Button>
          <Button type="submit" kind={saved() ? "plain" : "primary"} busy={busy()}>
            {saved() || props.camera ? t("action.save") : t("cameras.addAndTest")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
