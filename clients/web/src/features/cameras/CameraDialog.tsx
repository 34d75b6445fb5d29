import { createEffect, createSignal, type JSX, on, Show } from "solid-js";
import { createStore } from "solid-js/store";
import { addCamera, patchCamera } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import type { Camera, RecordingMode, Transport } from "@/shared/api/types";
import { refreshCameras } from "@/shared/cameras/directory";
import { type Key, t } from "@/shared/i18n";
import { Button } from "@/shared/ui/Button";
import { Dialog } from "@/shared/ui/Dialog";
import { Field } from "@/shared/ui/Field";
import { ProblemNotice } from "@/shared/ui/Notice";
import { ConnectionTest } from "./ConnectionTest";
import { type CameraForm, check, draftOf, EMPTY, type FieldName, fieldOf, formOf, patchOf } from "./draft";

/** Adds a camera, or changes one; then tells whether it can be reached. */
export function CameraDialog(props: { open: boolean; camera: Camera | null; onClose: () => void }): JSX.Element {
  const [form, setForm] = createStore<CameraForm>({ ...EMPTY });
  const [wrong, setWrong] = createSignal<Map<FieldName, string>>(new Map());
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [saved, setSaved] = createSignal<Camera | null>(null);

  createEffect(
    on(
      () => [props.open, props.camera] as const,
      ([open, camera]) => {
        if (!open) return;
        setForm(camera ? formOf(camera) : { ...EMPTY });
        setWrong(new Map());
        setProblem(null);
        setSaved(null);
      },
    ),
  );

  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    const found = check(form);
    setWrong(new Map([...found].map(([field, key]) => [field, t(key)])));
    setProblem(null);
    if (found.size > 0) return;
    setBusy(true);
    try {
      const before = saved() ?? props.camera;
      const camera = before ? await patchCamera(before.id, patchOf(form, before)) : await addCamera(draftOf(form));
      setSaved(camera);
      setForm("password", "");
      await refreshCameras();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const byField = new Map<FieldName, string>();
      for (const [pointer, detail] of error.fields) {
        const field = fieldOf(pointer);
        if (field) byField.set(field, detail);
      }
      setWrong(byField);
      if (byField.size === 0) setProblem(error);
    } finally {
      setBusy(false);
    }
  };

  const text = (name: FieldName, label: Key, more: JSX.InputHTMLAttributes<HTMLInputElement> = {}, hint?: string) => (
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
        <div class="grid gap-4 sm:grid-cols-3">
          <Field label={t("cameras.transport")}>
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
          <Field label={t("cameras.recording")}>
            {(attributes) => (
              <select
                {...attributes}
                class="field"
                value={form.mode}
                onChange={(event) => setForm("mode", event.currentTarget.value as RecordingMode)}
              >
                <option value="continuous">{t("mode.continuous")}</option>
                <option value="motion">{t("mode.motion")}</option>
                <option value="event">{t("mode.event")}</option>
                <option value="manual">{t("mode.manual")}</option>
                <option value="off">{t("mode.off")}</option>
                {/* A week's plan is made through the interface; here it can only be kept or left. */}
                <Show when={form.mode === "schedule"}>
                  <option value="schedule">{t("mode.schedule")}</option>
                </Show>
              </select>
            )}
          </Field>
          {text("retentionDays", "cameras.retention", { inputmode: "numeric", placeholder: t("cameras.unlimited") })}
        </div>
        <details>
          <summary class="text-[13px] text-muted hover:text-ink">{t("cameras.subStream")}</summary>
          <div class="mt-3">
            {text(
              "subUrl",
              "cameras.subUrl",
              { placeholder: "rtsp://192.0.2.10:554/stream2", inputmode: "url", spellcheck: false },
              t("cameras.subHint"),
            )}
          </div>
        </details>
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
