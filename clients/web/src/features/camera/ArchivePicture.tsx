import { createSignal, type JSX, lazy, Show, Suspense } from "solid-js";
import type { Rule } from "@/shared/api/analysis-types";
import { regional, t } from "@/shared/i18n";
import { problemText } from "@/shared/i18n/problems";
import { clockTime, durationText } from "@/shared/time/format";
import { Button } from "@/shared/ui/Button";
import { Icon, Spinner } from "@/shared/ui/Icon";
import type { Playback } from "./playback";

const ArchiveBoxes = lazy(() => import("./ArchiveBoxes"));

/** The recorded picture; the element is always there, since a player holds on to it. */
export function ArchivePicture(props: {
  playback: Playback;
  muted: boolean;
  label: string;
  ref: (video: HTMLVideoElement) => void;
  onLive: () => void;
  /** What to draw over it; null for nothing. */
  boxes: { cameraId: string; rules: readonly Rule[] } | null;
}): JSX.Element {
  const [element, setElement] = createSignal<HTMLVideoElement | null>(null);
  const shown = () => props.playback.at() !== null;
  const failed = () => props.playback.phase() === "failed";
  return (
    <div class="absolute inset-0 bg-stage" classList={{ hidden: !shown() }}>
      <video
        ref={(made) => {
          setElement(made);
          props.ref(made);
        }}
        class="h-full w-full object-contain"
        classList={{
          hidden: props.playback.undecodable() !== null,
          "opacity-60": props.playback.phase() === "loading",
        }}
        playsinline
        muted={props.muted}
        aria-label={`${props.label}, ${t("camera.recording")}`}
        data-testid="archive-video"
        onClick={() => props.playback.toggle()}
      />
      <Show when={shown() && props.playback.undecodable() === null && props.boxes && element()}>
        {(video) => (
          <Suspense>
            <ArchiveBoxes
              video={video()}
              cameraId={props.boxes?.cameraId ?? ""}
              rules={props.boxes?.rules ?? []}
              at={props.playback.instant}
            />
          </Suspense>
        )}
      </Show>
      <Show when={props.playback.still()}>
        {(url) => <img src={url()} alt={props.label} class="absolute inset-0 h-full w-full object-contain" />}
      </Show>
      <Show when={props.playback.undecodable()}>
        {(codec) => (
          <p class="absolute top-3 left-3 flex max-w-[80%] items-start gap-2 rounded-lg bg-black/75 px-3 py-2 text-[#ffd78a] text-[13px]">
            <Icon name="photo" size={17} class="mt-px" />
            {t("camera.undecodable", { codec: codec() })}
          </p>
        )}
      </Show>
      <Show when={props.playback.phase() === "loading"}>
        <div class="pointer-events-none absolute inset-0 grid place-items-center text-white/85">
          <Spinner size={34} />
        </div>
      </Show>
      <Show when={props.playback.phase() === "edge"}>
        <div class="absolute inset-x-0 bottom-4 flex justify-center">
          <p class="flex items-center gap-3 rounded-lg bg-black/75 py-1.5 pr-1.5 pl-3.5 text-[13px] text-white">
            {t("camera.edge")}
            <Button kind="primary" class="min-h-8" onClick={() => props.onLive()}>
              {t("camera.goLive")}
            </Button>
          </p>
        </div>
      </Show>
      <Show when={props.playback.skipped()}>
        {(gap) => (
          <p
            role="status"
            class="absolute top-3 left-1/2 -translate-x-1/2 rounded-lg bg-black/75 px-3.5 py-1.5 text-[13px] text-white"
          >
            {t("camera.skipped", {
              length: durationText(gap().to - gap().from),
              at: clockTime(gap().to, regional()),
            })}
          </p>
        )}
      </Show>
      <Show when={failed() ? props.playback.problem() : null}>
        {(found) => (
          <div
            role="alert"
            class="absolute inset-0 grid place-content-center justify-items-center gap-2 bg-black/60 p-6 text-center text-white"
          >
            <Icon name="warning" size={30} class="text-[#ff9a92]" />
            <p class="font-medium">{problemText(found()).title}</p>
            <p class="max-w-[50ch] text-[13px] text-white/75">{problemText(found()).detail}</p>
            <Button
              class="mt-1 text-ink"
              icon="play"
              onClick={() => props.playback.seek(props.playback.at() ?? Date.now())}
            >
              {t("action.retry")}
            </Button>
          </div>
        )}
      </Show>
    </div>
  );
}
