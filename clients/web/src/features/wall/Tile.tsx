import { createMemo, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { boxesShown } from "@/shared/analysis/boxes-shown";
import type { Camera } from "@/shared/api/types";
import { statusOf, watchStatus } from "@/shared/cameras/directory";
import { t } from "@/shared/i18n";
import { liveCaption } from "@/shared/media/live/caption";
import { LiveBadge, LivePicture } from "@/shared/media/live/LivePicture";
import { createLiveView } from "@/shared/media/live/live-view";
import { pictureHeightPx, runningStream, streamPreference } from "@/shared/media/live/stream-choice";
import { Icon, type IconName } from "@/shared/ui/Icon";
import { RecordingDot } from "@/shared/ui/StatePill";
import { StatisticsPanel } from "./StatisticsPanel";

// A tile that scrolls out and in again, or that another one covers for a moment, keeps its connection.
const LEAVE_AFTER_MS = 4_000;

/** One camera of the wall: plays while it is seen. */
export function Tile(props: {
  camera: Camera;
  index: number;
  maximised: boolean;
  hidden: boolean;
  pageShown: boolean;
  tilesShown: number;
  statistics: boolean;
  tabIndex: number;
  onToggle: () => void;
  onFocus: () => void;
}): JSX.Element {
  let root: HTMLElement | undefined;
  const [seen, setSeen] = createSignal(false);
  const [box, setBox] = createSignal({ width: 0, height: 0 });
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
    const measure = (element: HTMLElement) => setBox({ width: element.clientWidth, height: element.clientHeight });
    const resizes = new ResizeObserver(() => root && measure(root));
    resizes.observe(root);
    measure(root);
    onCleanup(() => {
      resizes.disconnect();
      clearTimeout(leaving);
      observer.disconnect();
    });
  });

  const view = createLiveView({
    cameraId: () => props.camera.id,
    streams: createMemo(() =>
      streamPreference({
        hasSub: Boolean(props.camera.streams.sub),
        status: status(),
        tilesShown: props.tilesShown,
        enlarged: props.maximised,
      }),
    ),
    heightPx: createMemo(() => pictureHeightPx(box(), props.maximised ? 1 : props.tilesShown, window.devicePixelRatio)),
    active: () => seen() && props.pageShown,
    sound: () => props.maximised,
    state: () => status()?.state,
    stillHeightPx: () => (props.maximised ? 720 : 360),
  });
  const caption = createMemo(() => liveCaption(view.state(), status(), view.stillIsOld()));
  const running = createMemo(() => runningStream(view.stream(), view.statistics()?.height ?? 0, status()));
  const boxes = createMemo(() => {
    const { analysis, id } = props.camera;
    const wanted = boxesShown() && seen() && props.pageShown && !props.hidden;
    return wanted && analysis?.enabled ? { cameraId: id, rules: analysis.rules } : null;
  });
  const canHear = () => (view.media()?.getAudioTracks().length ?? 0) > 0;

  // A mouse selects with one click and enlarges with two; a key or a finger, which have no hover, enlarge at once.
  let byFinger = false;
  const click = (event: MouseEvent & { currentTarget: HTMLButtonElement }) => {
    event.currentTarget.focus();
    const byKey = event.detail === 0;
    if (byKey || (byFinger && event.detail === 1)) props.onToggle();
  };

  return (
    <article
      ref={root}
      class="group relative min-h-0 min-w-0 overflow-hidden bg-stage [container-type:size]"
      classList={{ hidden: props.hidden, "max-sm:aspect-video": !props.maximised }}
      data-camera={props.camera.id}
      data-phase={view.phase()}
      data-state={caption().state}
      data-stream={running()}
      aria-label={`${props.camera.name}, ${t(caption().key)}`}
    >
      <LivePicture
        view={view}
        status={status()}
        label={props.camera.name}
        muted={!audible() || !props.maximised}
        compact={!props.maximised}
        boxes={boxes()}
      />
      <button
        type="button"
        class="peer absolute inset-0 z-10 outline-none"
        tabIndex={props.tabIndex}
        onClick={click}
        onPointerDown={(event) => {
          byFinger = event.pointerType === "touch";
        }}
        onDblClick={() => {
          if (!byFinger) props.onToggle();
        }}
        onFocus={() => props.onFocus()}
        aria-label={`${props.camera.name}: ${props.maximised ? t("wall.restore") : t("wall.maximise")}`}
      />
      {/* Over everything else on the picture, and light in both themes, since pictures lie on a dark ground in both. */}
      <span
        class="pointer-events-none absolute inset-0 z-30 hidden border-[#8cc3ff] border-[3px] peer-focus-visible:block"
        aria-hidden="true"
      />
      <Show when={props.statistics && view.statistics()}>
        {(shown) => <StatisticsPanel statistics={shown()} stream={running()} />}
      </Show>
      <div class="pointer-events-none absolute inset-x-0 bottom-0 z-20 flex h-[50px] items-center gap-2 bg-gradient-to-t from-black/85 to-transparent px-2.5 pt-4 pb-1 text-[13px] text-white">
        <RecordingDot recording={status()?.recording ?? false} />
        <span class="truncate font-medium drop-shadow" title={props.camera.name}>
          {props.camera.name}
        </span>
        <span class="ml-auto flex shrink-0 items-center gap-2">
          {/* Every other state is said in the middle of the picture. */}
          <Show when={caption().state === "live" || caption().state === "stills"}>
            <LiveBadge caption={caption()} />
          </Show>
          <span class="pointer-events-auto hidden items-center gap-0.5 group-focus-within:flex group-hover:flex">
            <Show when={props.maximised && canHear()}>
              <TileButton
                icon={audible() ? "sound" : "mute"}
                label={audible() ? t("live.mute") : t("live.unmute")}
                tabIndex={props.tabIndex}
                onClick={() => setAudible(!audible())}
              />
            </Show>
            <a
              href={`#/cameras/${encodeURIComponent(props.camera.id)}`}
              class="grid h-7 w-7 place-items-center rounded-md hover:bg-white/20"
              tabIndex={props.tabIndex}
              aria-label={t("wall.openCamera", { name: props.camera.name })}
              title={t("wall.openCamera", { name: props.camera.name })}
            >
              <Icon name="clock" size={17} />
            </a>
            <TileButton
              icon={props.maximised ? "minimize" : "maximize"}
              label={`${props.camera.name}: ${props.maximised ? t("wall.restore") : t("wall.maximise")}`}
              tabIndex={-1}
              onClick={() => props.onToggle()}
            />
          </span>
        </span>
      </div>
    </article>
  );
}

function TileButton(props: { icon: IconName; label: string; tabIndex: number; onClick: () => void }): JSX.Element {
  return (
    <button
      type="button"
      class="grid h-7 w-7 place-items-center rounded-md hover:bg-white/20"
      tabIndex={props.tabIndex}
      aria-label={props.label}
      title={props.label}
      onClick={() => props.onClick()}
    >
      <Icon name={props.icon} size={17} />
    </button>
  );
}
