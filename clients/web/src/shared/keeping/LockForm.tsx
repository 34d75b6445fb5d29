import { createSignal, type JSX, Show } from "solid-js";
import type { Span } from "@/shared/api/cameras";
import { addLock } from "@/shared/api/keeping";
import { Problem } from "@/shared/api/problem";
import type { EvidenceLock } from "@/shared/api/types";
import { t } from "@/shared/i18n";
import { fromLocalInput } from "@/shared/time/instant";
import { Button } from "@/shared/ui/Button";
import { Field } from "@/shared/ui/Field";
import { ProblemNotice } from "@/shared/ui/Notice";

/** Locks a span of some cameras as evidence: why, and until when. */
export function LockForm(props: {
  cameraIds: string[];
  /** null while none is named. */
  span: Span | null;
  onLocked: (lock: EvidenceLock) => void;
  onCancel?: () => void;
}): JSX.Element {
  const [reason, setReason] = createSignal("");
  const [until, setUntil] = createSignal("");
  const [wrong, setWrong] = createSignal<ReadonlyMap<string, string>>(new Map());
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);

  const lock = async (event: SubmitEvent) => {
    event.preventDefault();
    const found = new Map<string, string>();
    const ends = until() === "" ? null : fromLocalInput(until());
    if (reason().trim() === "") found.set("/reason", t("lock.reasonMissing"));
    if (ends !== null && ends <= Date.now()) found.set("/until", t("lock.untilPast"));
    if (props.cameraIds.length === 0) found.set("/camera_ids", t("lock.cameraMissing"));
    else if (!props.span || props.span.end <= props.span.start) found.set("/start", t("lock.spanWrong"));
    setWrong(found);
    setProblem(null);
    if (found.size > 0 || !props.span) return;
    setBusy(true);
    try {
      const locked = await addLock(props.cameraIds, props.span, reason().trim(), ends);
      setReason("");
      setUntil("");
      props.onLocked(locked);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const known = [...error.fields].filter(([pointer]) => pointer === "/reason" || pointer === "/until");
      setWrong(new Map(known));
      if (known.length === 0) setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const elsewhere = () => wrong().get("/camera_ids") ?? wrong().get("/start");

  return (
    <form class="grid gap-3.5" novalidate onSubmit={(event) => void lock(event)}>
      <Show when={elsewhere()}>
        <p role="alert" class="text-[13px] text-bad">
          {elsewhere()}
        </p>
      </Show>
      <Field label={t("lock.reason")} error={wrong().get("/reason")}>
        {(attributes) => (
          <textarea
            {...attributes}
            class="field"
            rows="2"
            maxLength={1024}
            name="reason"
            placeholder={t("lock.reasonPlaceholder")}
            value={reason()}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        )}
      </Field>
      <Field label={t("lock.until")} hint={t("lock.untilHint")} error={wrong().get("/until")}>
        {(attributes) => (
          <input
            {...attributes}
            class="field"
            type="datetime-local"
            name="until"
            value={until()}
            onInput={(event) => setUntil(event.currentTarget.value)}
          />
        )}
      </Field>
      <Show when={problem()}>{(found) => <ProblemNotice problem={found()} />}</Show>
      <div class="flex justify-end gap-2">
        <Show when={props.onCancel}>
          {(cancel) => <Button onClick={() => cancel()()}>{t("action.cancel")}</Button>}
        </Show>
        <Button type="submit" kind="primary" icon="lock" busy={busy()} data-testid="lock-evidence">
          {t("lock.do")}
        </Button>
      </div>
    </form>
  );
}
