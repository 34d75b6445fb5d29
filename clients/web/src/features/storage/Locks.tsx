import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { releaseLock } from "@/shared/api/keeping";
import { may, me } from "@/shared/api/me";
import { Problem } from "@/shared/api/problem";
import type { EvidenceLock } from "@/shared/api/types";
import { directory } from "@/shared/cameras/directory";
import { regional, t } from "@/shared/i18n";
import { LockForm } from "@/shared/keeping/LockForm";
import { dateAndTime, spanText } from "@/shared/time/format";
import { formatInstant, fromLocalInput, HOUR_MS, parseInstant, toLocalInput } from "@/shared/time/instant";
import { Button } from "@/shared/ui/Button";
import { Dialog } from "@/shared/ui/Dialog";
import { Field } from "@/shared/ui/Field";
import { Icon } from "@/shared/ui/Icon";
import { ProblemNotice } from "@/shared/ui/Notice";
import { say } from "@/shared/ui/toasts";

const at = (time: string): string => dateAndTime(parseInstant(time), regional());
const nameOf = (id: string): string =>
  directory.cameras.find((camera) => camera.id === id)?.name ?? t("export.removedCamera");

/** The evidence locks: who locked what, why, until when. */
export function Locks(props: { locks: readonly EvidenceLock[]; onChanged: () => void }): JSX.Element {
  const [adding, setAdding] = createSignal(false);
  const [releasing, setReleasing] = createSignal<EvidenceLock | null>(null);
  const [everything, setEverything] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const shown = createMemo(() => props.locks.filter((lock) => lock.active || everything()));
  const ended = () => props.locks.filter((lock) => !lock.active).length;
  const mayRelease = (lock: EvidenceLock) =>
    lock.active && (me()?.role === "administrator" || (may("recordings:lock") && lock.owner === me()?.name));

  const release = async () => {
    const lock = releasing();
    if (!lock) return;
    setBusy(true);
    setProblem(null);
    try {
      await releaseLock(lock.id);
      setReleasing(null);
      say(t("lock.released"), "lock");
      props.onChanged();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <div class="grid gap-3">
      <Show when={shown().length > 0} fallback={<p class="text-[13px] text-muted">{t("lock.none")}</p>}>
        <ul class="panel">
          <For each={shown()}>
            {(lock) => (
              <li
                class="flex flex-wrap items-start gap-x-4 gap-y-2 border-line border-t px-4 py-3 first:border-t-0"
                data-lock={lock.id}
                data-active={lock.active}
              >
                <Icon name="lock" size={18} class={`mt-0.5 ${lock.active ? "text-accent" : "text-muted opacity-50"}`} />
                <div class="min-w-0 flex-1 basis-64">
                  <p class="break-words font-medium" classList={{ "text-muted": !lock.active }}>
                    {lock.reason}
                  </p>
                  <p class="text-[13px]">
                    <For each={lock.camera_ids}>
                      {(id, index) => (
                        <>
                          {index() > 0 && ", "}
                          <a
                            class="hover:text-accent hover:underline"
                            href={`#/cameras/${encodeURIComponent(id)}?t=${encodeURIComponent(formatInstant(parseInstant(lock.start)))}`}
                          >
                            {nameOf(id)}
                          </a>
                        </>
                      )}
                    </For>
                  </p>
                  <p class="text-[12.5px] text-muted tabular-nums">
                    {spanText(parseInstant(lock.start), parseInstant(lock.end), regional())}
                  </p>
                </div>
                <p class="text-[12.5px] text-muted tabular-nums max-sm:pl-8 sm:w-56">
                  {t("lock.by", { name: lock.owner, at: at(lock.created_at) })}
                  <br />
                  {lock.released_at
                    ? t("lock.releasedBy", { name: lock.released_by ?? "", at: at(lock.released_at) })
                    : lock.until
                      ? t(lock.active ? "lock.holdsUntil" : "lock.heldUntil", { at: at(lock.until) })
                      : t("lock.forever")}
                </p>
                <Show when={mayRelease(lock)}>
                  <Button
                    class="max-sm:ml-8"
                    onClick={() => {
                      setProblem(null);
                      setReleasing(lock);
                    }}
                  >
                    {t("lock.release")}
                  </Button>
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <div class="flex flex-wrap items-center gap-3">
        <Show when={may("recordings:lock")}>
          <Button icon="lock" data-testid="add-lock" onClick={() => setAdding(true)}>
            {t("lock.add")}
          </Button>
        </Show>
        <Show when={ended() > 0}>
          <label class="flex min-h-9 items-center gap-2 text-[13px] text-muted">
            <input
              type="checkbox"
              class="h-4 w-4 accent-(--accent)"
              checked={everything()}
              onChange={(event) => setEverything(event.currentTarget.checked)}
            />
            {t("lock.showEnded")}
          </label>
        </Show>
      </div>
      <Dialog open={adding()} onClose={() => setAdding(false)} title={t("lock.add")} description={t("lock.explain")}>
        <NewLock
          onLocked={() => {
            setAdding(false);
            say(t("lock.done"), "lock");
            props.onChanged();
          }}
          onCancel={() => setAdding(false)}
        />
      </Dialog>
      <Dialog
        open={releasing() !== null}
        onClose={() => setReleasing(null)}
        title={t("lock.releaseTitle")}
        description={t("lock.releaseText", { reason: releasing()?.reason ?? "" })}
      >
        <Show when={problem()}>
          {(found) => (
            <div class="mb-4">
              <ProblemNotice problem={found()} />
            </div>
          )}
        </Show>
        <div class="flex justify-end gap-2">
          <Button onClick={() => setReleasing(null)}>{t("action.cancel")}</Button>
          <Button kind="danger" busy={busy()} onClick={() => void release()}>
            {t("lock.release")}
          </Button>
        </div>
      </Dialog>
    </div>
  );
}

function NewLock(props: { onLocked: () => void; onCancel: () => void }): JSX.Element {
  const now = Date.now();
  const [cameras, setCameras] = createSignal<readonly string[]>([]);
  const [start, setStart] = createSignal(toLocalInput(now - HOUR_MS));
  const [end, setEnd] = createSignal(toLocalInput(now));
  const span = () => {
    const [from, to] = [fromLocalInput(start()), fromLocalInput(end())];
    return from === null || to === null ? null : { start: from, end: to };
  };
  const time = (label: "export.from" | "export.to", value: () => string, set: (value: string) => void) => (
    <Field label={t(label)}>
      {(attributes) => (
        <input
          {...attributes}
          class="field px-2 tabular-nums"
          type="datetime-local"
          step="1"
          value={value()}
          onInput={(event) => set(event.currentTarget.value)}
        />
      )}
    </Field>
  );
  return (
    <div class="grid gap-3.5">
      <fieldset>
        <legend class="mb-1 font-medium text-[13px] text-muted">{t("nav.cameras")}</legend>
        <div class="grid max-h-40 gap-0.5 overflow-y-auto rounded-lg border border-line p-1">
          <For each={directory.cameras}>
            {(camera) => (
              <label class="flex min-h-8 items-center gap-2 rounded-md px-1.5 hover:bg-hover">
                <input
                  type="checkbox"
                  class="h-4 w-4 accent-(--accent)"
                  checked={cameras().includes(camera.id)}
                  onChange={(event) =>
                    setCameras(
                      event.currentTarget.checked
                        ? [...cameras(), camera.id]
                        : cameras().filter((id) => id !== camera.id),
                    )
                  }
                />
                <span class="truncate">{camera.name}</span>
              </label>
            )}
          </For>
        </div>
      </fieldset>
      <div class="grid gap-3.5">
        {time("export.from", start, setStart)}
        {time("export.to", end, setEnd)}
      </div>
      <LockForm cameraIds={[...cameras()]} span={span()} onLocked={props.onLocked} onCancel={props.onCancel} />
    </div>
  );
}
