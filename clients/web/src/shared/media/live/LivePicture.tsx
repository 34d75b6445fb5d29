import { createEffect, createMemo, type JSX, Show } from "solid-js";
import type { CameraStatus } from "@/shared/api/types";
import { t } from "@/shared/i18n";
import { Icon, Spinner } from "@/shared/ui/Icon";
import { liveCaption } from "./caption";
import type { LiveView } from "./live-view";

/** The moving picture with, over it, what is to be said when it does not move. */
export function LivePicture(props: {
  view: LiveView;
  status: CameraStatus | undefined;
  label: string;
  muted: boolean;
  compact?: boolean;
  videoRef?: (video: HTMLVideoElement) => void;
}): JSX.Element {
  let video: HTMLVideoElement | undefined;
  const caption = createMemo(() => {
    const codec = props.view.phase() === "unplayable" ? null : (props.view.problem()?.detail ?? null);
    return liveCaption(props.view.phase(), props.status, codec);
  });
  createEffect(() => {
    const media = props.view.media();
    if (video && video.srcObject !== media) {
      video.srcObject = media;
      if (media) {
        video.play().catch(() => {
          // Overtaken by the next stream.
        });
      }
    }
  });
  const dim = () => props.view.phase() !== "live" && props.view.phase() !== "unplayable";
  const showStill = () =>
    props.view.still() !== null && props.view.phase() !== "live" && props.view.phase() !== "stalled";

  return (
    <div class="absolute inset-0 overflow-hidden bg-stage">
      <video
        ref={(element) => {
          video = element;
          props.videoRef?.(element);
        }}
        class={`h-full w-full object-contain transition-[filter] duration-300 ${dim() ? "brightness-50 grayscale" : ""}`}
        classList={{ invisible: showStill() }}
        autoplay
        playsinline
        muted={props.muted}
        aria-label={props.label}
        onLoadedData={() => props.view.shown()}
      />
      <Show when={showStill()}>
        <img
          src={props.view.still() ?? ""}
          alt=""
          class={`absolute inset-0 h-full w-full object-contain ${dim() ? "brightness-[0.45]" : ""}`}
        />
      </Show>
      <Show when={caption()}>
        {(said) => (
          <Show
            when={props.view.phase() !== "unplayable" || said().tone === "bad"}
            fallback={
              <p
                title={t("live.stillsOnly")}
                class="absolute top-2 left-2 z-20 flex items-center gap-1.5 rounded-md bg-black/70 px-2 py-1 text-[12px] text-[#ffd78a]"
              >
                <Icon name="photo" size={14} />
                {props.compact ? t("live.stillsShort") : t("live.stillsOnly")}
              </p>
            }
          >
            <div
              class="pointer-events-none absolute inset-0 grid place-content-center justify-items-center gap-1.5 px-4 text-center text-white"
              role="status"
            >
              <Show
                when={said().busy}
                fallback={
                  <Icon
                    name={props.status?.state === "unauthorized" ? "lock" : said().tone === "bad" ? "offline" : "clock"}
                    size={props.compact ? 24 : 30}
                    class={said().tone === "bad" ? "text-[#ff9a92]" : "text-[#ffd78a]"}
                  />
                }
              >
                <Spinner size={props.compact ? 22 : 28} class="text-white/80" />
              </Show>
              <p class="text-[13.5px] font-medium drop-shadow">{t(said().key)}</p>
              <Show when={said().reason}>
                <p
                  class="line-clamp-2 max-w-[42ch] text-[12.5px] text-white/75"
                  classList={{ "max-sm:hidden": props.compact }}
                >
                  {said().reason}
                </p>
              </Show>
            </div>
          </Show>
        )}
      </Show>
    </div>
  );
}
