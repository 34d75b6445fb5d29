import { useNavigate, useParams, useSearchParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { boxesShown, showBoxes } from "@/shared/analysis/boxes-shown";
import { frameAt, type Span, snapshot } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import { directory, statusOf, watchStatus } from "@/shared/cameras/directory";
import { regional, t } from "@/shared/i18n";
import { problemText } from "@/shared/i18n/problems";
import { LivePicture } from "@/shared/media/live/LivePicture";
import { createLiveView, createPageShown } from "@/shared/media/live/live-view";
import { streamPreference } from "@/shared/media/live/stream-choice";
import { bitrateText } from "@/shared/time/format";
import { formatInstant, HOUR_MS, type InstantMs, parseInstant } from "@/shared/time/instant";
import { createNow } from "@/shared/time/now";
import { Button, IconButton } from "@/shared/ui/Button";
import { Icon, Spinner } from "@/shared/ui/Icon";
import { Empty, Notice } from "@/shared/ui/Notice";
import { RecordingDot, StatePill } from "@/shared/ui/StatePill";
import { say } from "@/shared/ui/toasts";
import { isTyping } from "@/shared/ui/typing";
import { ArchivePicture } from "./ArchivePicture";
import { Controls } from "./Controls";
import { ExportPanel } from "./ExportPanel";
import { ManualRecording } from "./ManualRecording";
import { createPlayback, RATES } from "./playback";
import { proposedSelection } from "./selection";
import { Timeline } from "./Timeline";
import { TimelineBar } from "./TimelineBar";
import { createTimelineData } from "./timeline-data";
import { centerView, clampView, followView, spanOf, type TimelineView, zoomView } from "./timeline-view";

const SAVED_PICTURE_PX = 2_160;

/** One camera: live, and back to any instant. */
export default function CameraPage(): JSX.Element {
  const parameters = useParams<{ id: string }>();
  const [search, setSearch] = useSearchParams<{ t?: string }>();
  const navigate = useNavigate();
  const now = createNow(1_000);
  const pageShown = createPageShown();
  const cameraId = () => parameters.id;
  const camera = createMemo(() => directory.cameras.find((entry) => entry.id === cameraId()));
  const status = () => statusOf(cameraId());
  watchStatus(() => (pageShown() ? cameraId() : null));

  let stage: HTMLDivElement | undefined;
  let archiveVideo: HTMLVideoElement | undefined;
  const [audible, setAudible] = createSignal(false);
  const [view, setView] = createSignal<TimelineView>(
    clampView({ start: Date.now(), end: Date.now() + HOUR_MS }, Date.now()),
  );
  const [selection, setSelection] = createSignal<Span | null>(null);

  const playback = createPlayback(cameraId, () => archiveVideo);
  const isLive = () => playback.at() === null;
  const position = () => playback.at() ?? now();
  const live = createLiveView({
    cameraId,
    streams: createMemo(() =>
      streamPreference({
        hasSub: Boolean(camera()?.streams.sub),
        status: status(),
        tilesShown: 1,
        enlarged: true,
      }),
    ),
    // As large as can be: only the network speaks for the sub stream here.
    heightPx: () => 0,
    active: () => isLive() && pageShown(),
    sound: audible,
    state: () => status()?.state,
    stillHeightPx: () => 720,
  });
  const boxes = createMemo(() => {
    const analysis = camera()?.analysis;
    const wanted = boxesShown() && pageShown() && analysis?.enabled;
    return wanted ? { cameraId: cameraId(), rules: analysis.rules } : null;
  });
  const timeline = createTimelineData(cameraId, view);

  // The view goes along with what is seen: slowly on with the present, by pages with recordings.
  createEffect(
    on(now, (at, before) => {
      if (isLive() && before !== undefined && view().end >= before) {
        setView({ start: view().start + at - before, end: view().end + at - before });
      }
    }),
  );
  let browsing = false;
  createEffect(
    on(playback.at, (at, before) => {
      if (at === null || browsing) return;
      const wasInside = before == null || (before >= view().start && before <= view().end);
      if (wasInside) setView(followView(view(), at, Date.now()));
    }),
  );

  const seek = (at: InstantMs) => {
    const wanted = Math.min(at, Date.now());
    playback.seek(wanted);
    setSearch({ t: formatInstant(wanted) }, { replace: true, scroll: false });
  };
  const goLive = () => {
    playback.leave();
    setSearch({ t: undefined }, { replace: true, scroll: false });
    if (view().end < Date.now() || view().start > Date.now()) {
      setView(clampView({ start: Date.now() - spanOf(view()), end: Date.now() + spanOf(view()) }, Date.now()));
    }
  };
  const goTo = (at: InstantMs) => {
    setView(centerView(at, spanOf(view()), Date.now()));
    seek(at);
  };
  const skip = (byMs: number) => {
    const at = position() + byMs;
    if (at >= Date.now() - 1_000) goLive();
    else seek(at);
  };
  const toggleExport = () =>
    setSelection((shown) => (shown ? null : proposedSelection(position(), spanOf(view()), Date.now())));
  const mark = (edge: "start" | "end") => {
    const before = selection();
    const at = position();
    if (!before) setSelection(proposedSelection(at, spanOf(view()), Date.now()));
    else if (edge === "start") setSelection({ start: at, end: Math.max(before.end, at + 1_000) });
    else setSelection({ start: Math.min(before.start, at - 1_000), end: at });
  };

  // Another camera at the same instant; and an address with a time, as somebody may have been sent.
  createEffect(
    on(cameraId, () => {
      playback.leave();
      const at = parseInstant(String(search.t ?? ""));
      if (Number.isNaN(at)) return;
      if (at < view().start || at > view().end) setView(centerView(at, spanOf(view()), Date.now()));
      queueMicrotask(() => playback.seek(at));
    }),
  );

  const savePicture = async () => {
    try {
      const { signal } = new AbortController();
      const at = playback.at();
      const blob =
        at === null
          ? await snapshot(cameraId(), SAVED_PICTURE_PX, "main", signal)
          : await frameAt(cameraId(), at, SAVED_PICTURE_PX, signal);
      const url = URL.createObjectURL(blob);
      const anchor = document.createElement("a");
      anchor.href = url;
      anchor.download = `${camera()?.name ?? "camera"} ${formatInstant(at ?? Date.now())
        .slice(0, 19)
        .replaceAll(":", "-")}Z.jpg`;
      anchor.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      say(t("camera.pictureSaved"), "photo");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(problemText(error).title, "warning");
    }
  };
  const fullScreen = async () => {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await stage?.requestFullscreen();
    } catch {
      // Not allowed here: the page stays as it is.
    }
  };
  const changeRate = (by: number) => {
    const index = (RATES as readonly number[]).indexOf(playback.rate());
    const next = RATES[index + by];
    if (next !== undefined) playback.setRate(next);
  };

  const keys: Record<string, () => void> = {
    " ": () => (isLive() ? skip(-2_000) : playback.toggle()),
    k: () => (isLive() ? skip(-2_000) : playback.toggle()),
    ArrowLeft: () => skip(-10_000),
    ArrowRight: () => skip(10_000),
    j: () => skip(-10_000),
    l: () => skip(10_000),
    ",": () => !isLive() && playback.step(-1),
    ".": () => !isLive() && playback.step(1),
    "<": () => changeRate(-1),
    ">": () => changeRate(1),
    "+": () => setView(zoomView(view(), 0.6, position(), Date.now())),
    "-": () => setView(zoomView(view(), 1 / 0.6, position(), Date.now())),
    End: goLive,
    e: toggleExport,
    i: () => mark("start"),
    o: () => mark("end"),
    m: () => setAudible(!audible()),
    b: () => showBoxes(!boxesShown()),
    s: () => void savePicture(),
    f: () => void fullScreen(),
    Escape: () => (selection() ? setSelection(null) : navigate("/")),
  };
  onMount(() => {
    const key = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const onButton = event.target instanceof HTMLElement && event.target.closest("button, a, summary") !== null;
      if (onButton && (event.key === " " || event.key === "Enter")) return;
      if (document.querySelector("[role=dialog]")) return;
      const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      act();
      event.preventDefault();
    };
    window.addEventListener("keydown", key);
    onCleanup(() => window.removeEventListener("keydown", key));
  });

  const facts = createMemo(() => {
    const shown = status();
    if (shown?.state !== "online") return "";
    return [
      shown.codec?.toUpperCase(),
      shown.width > 0 ? `${shown.width}×${shown.height}` : null,
      shown.fps > 0 ? `${shown.fps.toLocaleString(regional(), { maximumFractionDigits: 1 })} fps` : null,
      shown.bitrate_bps > 0 ? bitrateText(shown.bitrate_bps, regional()) : null,
    ]
      .filter(Boolean)
      .join(" · ");
  });

  return (
    <Show
      when={camera()}
      fallback={
        <Show
          when={directory.loaded}
          fallback={
            <div class="grid h-full place-items-center text-muted">
              <Spinner size={28} />
            </div>
          }
        >
          <Empty icon="camera" title={t("camera.unknown")}>
            <a href="#/" class="text-accent hover:underline">
              {t("camera.toWall")}
            </a>
          </Empty>
        </Show>
      }
    >
      {(shown) => (
        <div class="flex h-full flex-col max-lg:overflow-y-auto">
          <header class="flex min-h-12 items-center gap-x-3 border-line border-b bg-surface px-2 sm:px-3">
            <a
              href="#/"
              class="grid h-9 w-9 shrink-0 place-items-center rounded-[7px] text-muted hover:bg-hover hover:text-ink"
              title={`${t("camera.toWall")} (Esc)`}
            >
              <Icon name="arrowLeft" size={19} />
              <span class="sr-only">{t("camera.toWall")}</span>
            </a>
            <h1 class="sr-only">{shown().name}</h1>
            <select
              class="-ml-1 min-w-0 max-w-[46vw] truncate rounded-[7px] bg-transparent px-1 py-1.5 font-semibold text-[15px] hover:bg-hover *:bg-surface *:font-normal"
              aria-label={t("camera.switch")}
              value={shown().id}
              onChange={(event) => {
                const at = playback.at();
                const time = at === null ? "" : `?t=${encodeURIComponent(formatInstant(at))}`;
                navigate(`/cameras/${encodeURIComponent(event.currentTarget.value)}${time}`, { replace: true });
              }}
            >
              <For each={directory.cameras}>{(entry) => <option value={entry.id}>{entry.name}</option>}</For>
            </select>
            <span class="text-[13px] text-muted">
              <StatePill state={status()?.state} />
            </span>
            <span class="hidden text-[13px] text-muted md:inline">
              <RecordingDot recording={status()?.recording ?? false} withText />
            </span>
            <span class="ml-auto hidden text-[13px] text-muted tabular-nums lg:inline">{facts()}</span>
            <div class="ml-auto flex shrink-0 items-center gap-1 lg:ml-2">
              <Show when={shown().analysis?.enabled}>
                <IconButton
                  icon="boxes"
                  label={t("boxes.title")}
                  shortcut="B"
                  active={boxesShown()}
                  data-testid="toggle-boxes"
                  onClick={() => showBoxes(!boxesShown())}
                />
              </Show>
              <a
                href={`#/cameras/${encodeURIComponent(shown().id)}/analysis`}
                class="inline-flex h-9 min-w-9 items-center justify-center rounded-[7px] hover:bg-hover"
                aria-label={t("analysis.open", { name: shown().name })}
                title={t("analysis.open", { name: shown().name })}
                data-testid="open-analysis"
              >
                <Icon name="zone" size={19} />
              </a>
              <ManualRecording camera={shown()} />
              <IconButton
                icon="photo"
                label={t("camera.savePicture")}
                shortcut="S"
                onClick={() => void savePicture()}
              />
              <Button
                kind={selection() ? "primary" : "plain"}
                icon="scissors"
                aria-pressed={selection() !== null}
                title={`${t("export.title")} (E)`}
                data-testid="toggle-export"
                onClick={toggleExport}
              >
                <span class="max-sm:sr-only">{t("export.title")}</span>
              </Button>
            </div>
          </header>

          <div class="flex min-h-0 flex-1 max-lg:flex-none max-lg:flex-col">
            <div ref={stage} class="flex min-h-0 min-w-0 flex-1 flex-col bg-surface">
              <div
                class="relative min-h-0 flex-1 bg-stage max-lg:aspect-video max-lg:flex-none"
                data-testid="stage"
                data-mode={isLive() ? "live" : "archive"}
              >
                <Show when={isLive()}>
                  <LivePicture view={live} status={status()} label={shown().name} muted={!audible()} boxes={boxes()} />
                </Show>
                <ArchivePicture
                  playback={playback}
                  muted={!audible()}
                  label={shown().name}
                  boxes={boxes()}
                  ref={(element) => {
                    archiveVideo = element;
                  }}
                  onLive={goLive}
                />
              </div>
              <Controls
                playback={playback}
                live={isLive()}
                livePhase={live.phase()}
                position={position()}
                audible={audible()}
                onAudible={() => setAudible(!audible())}
                onSkip={skip}
                onLive={goLive}
                onPause={() => skip(-2_000)}
                onGoTo={goTo}
                onFullScreen={() => void fullScreen()}
              />
              <Show when={timeline.problem()}>
                {(found) => (
                  <div class="px-3 pb-2">
                    <Notice kind="warn" title={t("timeline.failed")}>
                      {problemText(found()).detail || problemText(found()).title}
                    </Notice>
                  </div>
                )}
              </Show>
              <TimelineBar view={view()} now={now()} position={position()} onView={setView} />
              <Timeline
                cameraId={shown().id}
                data={timeline.data()}
                view={view()}
                onView={(next) => {
                  browsing = !isLive() && (position() < next.start || position() > next.end);
                  setView(next);
                }}
                position={position()}
                live={isLive()}
                now={now()}
                onSeek={(at) => {
                  browsing = false;
                  seek(at);
                }}
                onLive={goLive}
                selection={selection()}
                onSelection={setSelection}
              />
              <p class="flex flex-wrap items-center gap-x-4 gap-y-1 border-line border-t px-3 py-2 text-[13px] text-muted tabular-nums lg:hidden">
                <RecordingDot recording={status()?.recording ?? false} withText />
                <span>{facts()}</span>
              </p>
            </div>
            <Show when={selection()}>
              {(span) => (
                <ExportPanel
                  cameraId={shown().id}
                  selection={span()}
                  onSelection={setSelection}
                  position={position()}
                  data={timeline.data()}
                  onClose={() => setSelection(null)}
                />
              )}
            </Show>
          </div>
        </div>
      )}
    </Show>
  );
}
