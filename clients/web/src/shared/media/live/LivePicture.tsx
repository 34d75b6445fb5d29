import { createEffect, createMemo, createSignal, type JSX, lazy, onCleanup, Show, Suspense } from "solid-js";
import type { Rule } from "@/shared/api/analysis-types";
import type { CameraStatus } from "@/shared/api/types";
import { t } from "@/shared/i18n";
import { Icon, Spinner } from "@/shared/ui/Icon";
import { type LiveCaption, liveCaption } from "./caption";
import type { LiveView } from "./live-view";

// Most pages of most installations do without.
const LiveBoxes = lazy(() => import("@/shared/analysis/LiveBoxes"));

const TONES: Record<LiveCaption["tone"], string> = {
  good: "text-[#7fe0ae]",
  quiet: "text-white/80",
  warn: "text-[#ffd78a]",
  bad: "text-[#ff9a92]",
};

/** The state of a live picture as a drawing and words, for the foot of the picture. */
export function LiveBadge(props: { caption: LiveCaption }): JSX.Element {
  return (
    <span
      class={`inline-flex items-center gap-1 whitespace-nowrap font-medium text-[12px] drop-shadow ${TONES[props.caption.tone]}`}
      title={props.caption.why ? t(props.caption.why) : (props.caption.reason ?? undefined)}
    >
      <Icon name={props.caption.icon} size={13} filled={props.caption.state === "live"} />
      <Show when={props.caption.state === "stills"} fallback={t(props.caption.key)}>
        <span class="@max-[20rem]:hidden">{t("live.stills")}</span>
        <span class="hidden @max-[20rem]:inline">{t("live.stillsShort")}</span>
      </Show>
    </span>
  );
}

/** The moving picture with, over it, what is to be said when it does not move. */
export function LivePicture(props: {
  view: LiveView;
  status: CameraStatus | undefined;
  label: string;
  muted: boolean;
  compact?: boolean;
  /** What to draw over it; null for nothing. */
  boxes?: { cameraId: string; rules: readonly Rule[] } | null;
}): JSX.Element {
  let video: HTMLVideoElement | undefined;
  const [element, setElement] = createSignal<HTMLVideoElement | null>(null);
  const caption = createMemo(() => liveCaption(props.view.state(), props.status, props.view.stillIsOld()));
  createEffect(() => {
    const media = props.view.media();
    if (!video || video.srcObject === media) return;
    video.srcObject = media;
    if (!media) return;
    video.play().catch(() => {
      // Overtaken by the next stream.
    });
  });
  // An element that is only forgotten may keep its decoder until the next garbage collection.
  onCleanup(() => {
    if (video) video.srcObject = null;
  });
  const dim = () => caption().state !== "live" && caption().state !== "stills";
  const showStill = () =>
    props.view.still() !== null && props.view.phase() !== "live" && props.view.phase() !== "stalled";
  const why = () => {
    const { why: key, reason } = caption();
    return key ? t(key) : reason;
  };

  return (
    <div class="absolute inset-0 overflow-hidden bg-stage">
      <video
        ref={(made) => {
          video = made;
          setElement(made);
        }}
        class="h-full w-full object-contain transition-[filter] duration-300"
        classList={{ invisible: showStill(), "brightness-50 grayscale": dim() }}
        autoplay
        playsinline
        muted={props.muted}
        aria-label={props.label}
        onLoadedData={() => props.view.shown()}
      />
      <Show when={props.view.phase() === "live" && props.boxes && element()}>
        {(shown) => (
          <Suspense>
            <LiveBoxes
              video={shown()}
              cameraId={props.boxes?.cameraId ?? ""}
              rules={props.boxes?.rules ?? []}
              session={props.view.session()}
            />
          </Suspense>
        )}
      </Show>
      <Show when={showStill()}>
        <img
          src={props.view.still() ?? ""}
          alt=""
          class="absolute inset-0 h-full w-full object-contain"
          classList={{ "brightness-[0.45]": dim() }}
          data-testid="still"
        />
      </Show>
      <Show when={caption().state === "stills" && why()}>
        <p
          class="pointer-events-none absolute top-2 right-2 z-20 max-w-[calc(100%-1rem)] items-start gap-1.5 rounded-md bg-black/70 px-2 py-1 text-[12px] text-[#ffd78a]"
          classList={{ flex: !props.compact, "hidden @min-[20rem]:flex": props.compact }}
        >
          <Icon name="photo" size={14} class="mt-0.5" />
          <span class="min-w-0">{why()}</span>
        </p>
      </Show>
      <Show when={dim()}>
        <div
          class="pointer-events-none absolute inset-0 grid place-content-center justify-items-center gap-1 px-4 pb-5 text-center text-white"
          // Of a wall's tiles the count in its header is told; sixteen voices at once tell nothing.
          role={props.compact ? undefined : "status"}
        >
          <Show
            when={caption().busy}
            fallback={<Icon name={caption().icon} size={props.compact ? 24 : 30} class={TONES[caption().tone]} />}
          >
            <Spinner size={props.compact ? 22 : 28} class="text-white/80" />
          </Show>
          <p class="font-medium text-[13.5px] drop-shadow">{t(caption().key)}</p>
          <Show when={why()}>
            <p
              class="line-clamp-2 max-w-[42ch] text-[12.5px] text-white/75"
              classList={{ "hidden @min-[15rem]:[display:-webkit-box]": props.compact }}
            >
              {why()}
            </p>
          </Show>
        </div>
      </Show>
    </div>
  );
}
