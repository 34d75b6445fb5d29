import { createMemo, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import type { Camera, StreamName } from "@/shared/api/types";
import { statusOf, watchStatus } from "@/shared/cameras/directory";
import { regional, t } from "@/shared/i18n";
import { LivePicture } from "@/shared/media/live/LivePicture";
import { createLiveView } from "@/shared/media/live/live-view";
import { bitrateText } from "@/shared/time/format";
import { Icon } from "@/shared/ui/Icon";
import { RecordingDot } from "@/shared/ui/StatePill";

// A tile that scrolls out and in again, or that another one covers for a moment, keeps its connection.
const LEAVE_AFTER_MS = 4_000;

/** One camera of the wall: plays while it is seen. */
export function Tile(props: {
  camera: Camera;
  index: number;
  maximised: boolean;
  hidden: boolean;
  pageShown: boolean;
  stream: StreamName;
  tabIndex: number;
  onToggle: () => void;
  onOpen: () => void;
  onFocus: () => void;
  ref: (element: HTMLElement) => void;
}): JSX.Element {
  let root: HTMLElement | undefined;
  const [seen, setSeen] = createSignal(false);
  const [audible, setAudible] = createSignal(false);
  const status = () => statusOf(props.camera.id);
  watchStatus(() => (seen() && props.pageShown ? props.camera.id : null));

  onMount(() => {
    if (!root) return;
    let leaving: ReturnType<typeof setTimeout> | undefined;
    const observer = new IntersectionObserver((entries) => {
      const visible = entries.at(-1)?.isIntersecting ?? false;
      clearTimeout(leaving);
      if (visible) setSeen(true);
      else leaving = setTimeout(() => setSeen(false), LEAVE_AFTER_MS);
    });
    observer.observe(root);
    onCleanup(() => {
      clearTimeout(leaving);
      observer.disconnect();
    });
  });

  const view = createLiveView({
    cameraId: () => props.camera.id,
    stream: () => props.stream,
    active: () => seen() && props.pageShown,
    state: () => status()?.state,
    stillHeightPx: 360,
  });
  const figures = createMemo(() => {
    const shown = view.figures();
    if (!shown || view.phase() !== "live") return null;
    const rate = bitrateText(shown.bitrateBps, regional());
    return `${Math.round(shown.fps)} fps · ${rate} · ${shown.width}×${shown.height}`;
  });
  const canHear = () => (view.media()?.getAudioTracks().length ?? 0) > 0;

  return (
    <article
      ref={(element) => {
        root = element;
        props.ref(element);
      }}
      class="group relative min-h-0 min-w-0 overflow-hidden bg-stage max-sm:aspect-video"
      classList={{ hidden: props.hidden }}
      data-camera={props.camera.id}
      data-phase={view.phase()}
      aria-label={props.camera.name}
    >
      <LivePicture
        view={view}
        status={status()}
        label={props.camera.name}
        muted={!audible() || !props.maximised}
        compact={!props.maximised}
      />
      <button
        type="button"
        class="absolute inset-0 z-10 cursor-zoom-in focus-visible:-outline-offset-2"
        classList={{ "cursor-zoom-out": props.maximised }}
        tabIndex={props.tabIndex}
        onClick={() => props.onToggle()}
        onDblClick={() => props.onOpen()}
        onFocus={() => props.onFocus()}
        aria-label={`${props.camera.name}: ${props.maximised ? t("wall.restore") : t("wall.maximise")}`}
      />
      <Show when={figures()}>
        <p class="pointer-events-none absolute top-2 left-2 z-20 rounded-md bg-black/65 px-2 py-0.5 text-[12px] text-white tabular-nums opacity-0 transition-opacity group-focus-within:opacity-100 group-hover:opacity-100">
          {figures()}
        </p>
      </Show>
      <div class="pointer-events-none absolute inset-x-0 bottom-0 z-20 flex items-center gap-2 bg-gradient-to-t from-black/80 to-transparent px-2.5 pt-6 pb-1.5 text-[13px] text-white">
        <RecordingDot recording={status()?.recording ?? false} />
        <span class="truncate font-medium drop-shadow">{props.camera.name}</span>
        <span class="pointer-events-auto ml-auto flex items-center gap-1 opacity-0 transition-opacity group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100">
          <Show when={props.maximised && canHear()}>
            <button
              type="button"
              class="grid h-8 w-8 place-items-center rounded-md hover:bg-white/20"
              aria-label={audible() ? t("live.mute") : t("live.unmute")}
              title={audible() ? t("live.mute") : t("live.unmute")}
              onClick={() => setAudible(!audible())}
            >
              <Icon name={audible() ? "sound" : "mute"} size={18} />
            </button>
          </Show>
          <a
            href={`#/cameras/${encodeURIComponent(props.camera.id)}`}
            class="grid h-8 w-8 place-items-center rounded-md hover:bg-white/20"
            tabIndex={props.tabIndex}
            aria-label={t("wall.openCamera", { name: props.camera.name })}
            title={t("wall.openCamera", { name: props.camera.name })}
          >
            <Icon name="clock" size={18} />
          </a>
        </span>
      </div>
    </article>
  );
}
