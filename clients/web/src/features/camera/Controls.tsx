import { createSignal, For, type JSX, Show } from "solid-js";
import { regional, t } from "@/shared/i18n";
import type { LivePhase } from "@/shared/media/live/live-machine";
import { clockTime, clockTimeWithMs, longDate, utcText, zoneName } from "@/shared/time/format";
import { fromLocalInput, type InstantMs, toLocalInput } from "@/shared/time/instant";
import { Button, IconButton } from "@/shared/ui/Button";
import { Dialog } from "@/shared/ui/Dialog";
import { Field } from "@/shared/ui/Field";
import { type Playback, RATES } from "./playback";

/** The row of buttons under the picture. */
export function Controls(props: {
  playback: Playback;
  live: boolean;
  livePhase: LivePhase;
  position: InstantMs;
  audible: boolean;
  onAudible: () => void;
  onSkip: (byMs: number) => void;
  onLive: () => void;
  /** Pausing the live picture goes on with what was just recorded. */
  onPause: () => void;
  onGoTo: (at: InstantMs) => void;
  onFullScreen: () => void;
}): JSX.Element {
  const [choosing, setChoosing] = createSignal(false);
  const [wanted, setWanted] = createSignal("");
  const playing = () => !props.live && props.playback.playing();
  const exact = () => !props.live && !props.playback.playing();

  const choose = () => {
    setWanted(toLocalInput(props.position));
    setChoosing(true);
  };
  const go = (event: SubmitEvent) => {
    event.preventDefault();
    const at = fromLocalInput(wanted());
    if (at === null) return;
    setChoosing(false);
    props.onGoTo(at);
  };

  return (
    <div class="grid grid-cols-[1fr_auto] items-center gap-x-2 gap-y-1 border-line border-t px-2 py-1.5 sm:grid-cols-[1fr_auto_1fr]">
      <div class="flex items-center">
        <IconButton icon="back10" label={t("camera.back10")} shortcut="←" onClick={() => props.onSkip(-10_000)} />
        <IconButton
          class="max-sm:hidden"
          icon="previousFrame"
          label={t("camera.previousFrame")}
          shortcut=","
          disabled={props.live}
          onClick={() => props.playback.step(-1)}
        />
        <IconButton
          icon={playing() || props.live ? "pause" : "play"}
          size={23}
          filled={!(playing() || props.live)}
          label={playing() || props.live ? t("camera.pause") : t("camera.play")}
          shortcut={t("keys.space")}
          data-testid="play-pause"
          onClick={() => (props.live ? props.onPause() : props.playback.toggle())}
        />
        <IconButton
          class="max-sm:hidden"
          icon="nextFrame"
          label={t("camera.nextFrame")}
          shortcut="."
          disabled={props.live}
          onClick={() => props.playback.step(1)}
        />
        <IconButton
          icon="forward10"
          label={t("camera.forward10")}
          shortcut="→"
          disabled={props.live}
          onClick={() => props.onSkip(10_000)}
        />
        <label class="ml-1">
          <span class="sr-only">{t("camera.speed")}</span>
          <select
            class="h-9 rounded-[7px] bg-transparent px-1.5 text-[13px] tabular-nums *:bg-surface hover:bg-hover disabled:opacity-40"
            title={`${t("camera.speed")} (< >)`}
            disabled={props.live}
            value={props.playback.rate()}
            onChange={(event) => props.playback.setRate(Number(event.currentTarget.value))}
          >
            <For each={RATES}>{(rate) => <option value={rate}>{rate.toLocaleString(regional())}×</option>}</For>
          </select>
        </label>
      </div>

      <button
        type="button"
        class="order-first col-span-2 flex items-baseline justify-center gap-2 rounded-[7px] px-3 py-1 hover:bg-hover sm:order-none sm:col-span-1"
        title={`${utcText(props.position)} · ${t("camera.goTo")}`}
        onClick={choose}
      >
        <span class="text-[13px] text-muted">{longDate(props.position, regional())}</span>
        <span class="font-semibold text-[19px] tabular-nums" data-testid="position" data-at={props.position}>
          {exact() ? clockTimeWithMs(props.position, regional()) : clockTime(props.position, regional())}
        </span>
        <span class="text-[12px] text-muted">{zoneName(props.position, regional())}</span>
      </button>

      <div class="flex items-center justify-end gap-0.5">
        <Show
          when={props.live}
          fallback={
            <Button
              class="border-rec/60 px-3"
              onClick={() => props.onLive()}
              title={`${t("camera.goLive")} (End)`}
              data-testid="go-live"
            >
              <span class="h-2 w-2 rounded-full bg-rec" />
              {t("camera.goLive")}
            </Button>
          }
        >
          <span
            class="mr-1 inline-flex h-7 items-center gap-2 rounded-md px-2.5 font-semibold text-[12.5px] uppercase tracking-wide"
            classList={{
              "bg-rec/15 text-rec": props.livePhase === "live",
              "bg-hover text-muted": props.livePhase !== "live",
            }}
          >
            <span class="h-2 w-2 rounded-full bg-current" classList={{ breathe: props.livePhase === "live" }} />
            {t("live.label")}
          </span>
        </Show>
        <IconButton class="max-sm:hidden" icon="calendar" label={t("camera.goTo")} onClick={choose} />
        <IconButton
          icon={props.audible ? "sound" : "mute"}
          label={props.audible ? t("live.mute") : t("live.unmute")}
          shortcut="M"
          onClick={() => props.onAudible()}
        />
        <IconButton
          class="max-sm:hidden"
          icon="maximize"
          label={t("wall.fullScreen")}
          shortcut="F"
          onClick={() => props.onFullScreen()}
        />
      </div>

      <Dialog open={choosing()} onClose={() => setChoosing(false)} title={t("camera.goTo")}>
        <form class="grid gap-4" onSubmit={go}>
          <Field label={t("camera.dateAndTime", { zone: zoneName(props.position, regional()) })}>
            {(attributes) => (
              <input
                {...attributes}
                class="field tabular-nums"
                type="datetime-local"
                step="1"
                required
                max={toLocalInput(Date.now())}
                value={wanted()}
                onInput={(event) => setWanted(event.currentTarget.value)}
              />
            )}
          </Field>
          <Button type="submit" kind="primary">
            {t("camera.go")}
          </Button>
        </form>
      </Dialog>
    </div>
  );
}
