import { createEffect, createSignal, type JSX, on, onCleanup, Show } from "solid-js";
import { changeRecording, getRecording } from "@/shared/api/keeping";
import { may } from "@/shared/api/me";
import { Problem } from "@/shared/api/problem";
import type { Camera, RecordingState } from "@/shared/api/types";
import { regional, t } from "@/shared/i18n";
import { problemText } from "@/shared/i18n/problems";
import { clockTime } from "@/shared/time/format";
import { parseInstant } from "@/shared/time/instant";
import { Button } from "@/shared/ui/Button";
import { say } from "@/shared/ui/toasts";
import { startsByHand } from "./by-hand";

const EVERY_MS = 5_000;

/** Starts and stops recording by hand, where the camera's mode leaves that to people. */
export function ManualRecording(props: { camera: Camera }): JSX.Element {
  const [state, setState] = createSignal<RecordingState | null>(null);
  const [busy, setBusy] = createSignal(false);
  const offered = () => may("recordings:start") && startsByHand(props.camera);
  const started = () => state()?.started ?? null;

  createEffect(
    on([() => props.camera.id, offered], ([id, isOffered]) => {
      setState(null);
      if (!isOffered) return;
      const aborter = new AbortController();
      const look = async () => {
        if (document.visibilityState !== "visible" || busy()) return;
        try {
          setState(await getRecording(id, aborter.signal));
        } catch (error) {
          // What is shown stays until the next answer.
          if (!(error instanceof Problem) && !aborter.signal.aborted) throw error;
        }
      };
      void look();
      const timer = setInterval(() => void look(), EVERY_MS);
      onCleanup(() => {
        clearInterval(timer);
        aborter.abort();
      });
    }),
  );
  const change = async () => {
    const wanted = started() ? "stop" : "start";
    setBusy(true);
    try {
      setState(await changeRecording(props.camera.id, wanted));
      say(t(wanted === "start" ? "byHand.started" : "byHand.stopped"), wanted === "start" ? "play" : "check");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(problemText(error).title, "warning");
    } finally {
      setBusy(false);
    }
  };
  const title = () => {
    const by = started();
    return by
      ? t("byHand.stopTitle", { at: clockTime(parseInstant(by.start), regional()), name: by.by })
      : t("byHand.startTitle");
  };
  return (
    <Show when={offered()}>
      <Button
        busy={busy()}
        title={title()}
        aria-pressed={started() !== null}
        data-testid="record-by-hand"
        disabled={state() === null}
        onClick={() => void change()}
      >
        <span aria-hidden="true" class={`h-3 w-3 bg-rec ${started() ? "breathe rounded-[3px]" : "rounded-full"}`} />
        <span class="max-sm:sr-only">{t(started() ? "byHand.stop" : "byHand.start")}</span>
      </Button>
    </Show>
  );
}
