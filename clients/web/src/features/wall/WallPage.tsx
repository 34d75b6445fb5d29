import { useNavigate } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { boxesShown, showBoxes } from "@/shared/analysis/boxes-shown";
import { directory, refreshCameras } from "@/shared/cameras/directory";
import { regional, t, tn } from "@/shared/i18n";
import { createPageShown } from "@/shared/media/live/live-view";
import { clockTime, longDate, zoneName } from "@/shared/time/format";
import { createNow } from "@/shared/time/now";
import { IconButton } from "@/shared/ui/Button";
import { Dialog } from "@/shared/ui/Dialog";
import { Spinner } from "@/shared/ui/Icon";
import { Empty, ProblemNotice } from "@/shared/ui/Notice";
import { isTyping } from "@/shared/ui/typing";
import { autoSize, type Choice, grid, moveFocus, pageCount, SIZES, type Size } from "./layout";
import { Tile } from "./Tile";

const STORAGE_KEY = "vms.wall";

/** All cameras, live. */
export default function WallPage(): JSX.Element {
  const navigate = useNavigate();
  const pageShown = createPageShown();
  const now = createNow(1_000);
  const [choice, setChoice] = createSignal<Choice>(rememberedChoice());
  const [page, setPage] = createSignal(0);
  const [maximised, setMaximised] = createSignal<string | null>(null);
  const [focus, setFocus] = createSignal(0);
  const [help, setHelp] = createSignal(false);
  const [statistics, setStatistics] = createSignal(false);
  const [narrow, setNarrow] = createSignal(window.matchMedia("(max-width: 639px)").matches);
  let stage: HTMLDivElement | undefined;

  const count = () => directory.cameras.length;
  const size = createMemo((): Size => {
    const chosen = choice();
    return chosen === "auto" ? autoSize(count()) : chosen;
  });
  // A telephone scrolls through all cameras; only those seen are played.
  const pages = () => (narrow() ? 1 : pageCount(count(), size()));
  const onPage = createMemo(() => {
    if (narrow()) return directory.cameras;
    const first = Math.min(page(), pages() - 1) * size();
    return directory.cameras.slice(first, first + size());
  });
  const cells = () => grid(size(), onPage().length, narrow());

  createEffect(on(pages, (total) => page() >= total && setPage(Math.max(0, total - 1))));
  createEffect(() => {
    const id = maximised();
    if (id !== null && directory.loaded && !onPage().some((camera) => camera.id === id)) setMaximised(null);
  });

  const choose = (wanted: Choice) => {
    setChoice(wanted);
    setMaximised(null);
    try {
      window.localStorage.setItem(STORAGE_KEY, String(wanted));
    } catch {
      // Not remembered then.
    }
  };
  const turn = (by: number) => {
    setMaximised(null);
    setFocus(0);
    setPage((shown) => (shown + by + pages()) % pages());
  };
  const focusTile = (index: number) => {
    const camera = onPage()[index];
    if (!camera) return;
    setFocus(index);
    // After the tile is shown: what is hidden takes no focus.
    queueMicrotask(() => stage?.querySelector<HTMLElement>(`[data-camera="${CSS.escape(camera.id)}"] button`)?.focus());
  };
  const enlarge = (cameraId: string | null) => {
    const index = onPage().findIndex((camera) => camera.id === (cameraId ?? maximised()));
    setMaximised(cameraId);
    focusTile(Math.max(0, index));
  };
  const toggle = (cameraId: string) => enlarge(maximised() === cameraId ? null : cameraId);
  const step = (by: number) => {
    const shown = onPage();
    const index = shown.findIndex((camera) => camera.id === maximised());
    const next = shown[(index + by + shown.length) % shown.length];
    if (next) enlarge(next.id);
  };

  onMount(() => {
    const media = window.matchMedia("(max-width: 639px)");
    const change = () => setNarrow(media.matches);
    media.addEventListener("change", change);
    const key = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || help()) return;
      if (event.key.startsWith("Arrow")) {
        if (maximised() !== null) {
          if (event.key === "ArrowLeft" || event.key === "ArrowUp") step(-1);
          else step(1);
        } else {
          focusTile(moveFocus(focus(), event.key, cells().columns, onPage().length));
        }
      } else if (event.key === "Escape" && maximised() !== null) enlarge(null);
      else if (event.key === "Enter" && event.target === document.body) {
        const id = maximised() ?? onPage()[focus()]?.id;
        if (id !== undefined) toggle(id);
      } else if (event.key === "PageDown" || event.key === "n") turn(1);
      else if (event.key === "PageUp" || event.key === "p") turn(-1);
      else if (event.key === "0") choose("auto");
      else if (["1", "2", "3", "4"].includes(event.key)) choose(SIZES[Number(event.key) - 1] ?? "auto");
      else if (event.key === "f" || event.key === "F") void fullScreen();
      else if (event.key === "s" || event.key === "S") setStatistics((shown) => !shown);
      else if (event.key === "b" || event.key === "B") showBoxes(!boxesShown());
      else if (event.key === "o") {
        const id = maximised() ?? onPage()[focus()]?.id;
        if (id !== undefined) navigate(`/cameras/${encodeURIComponent(id)}`);
      } else if (event.key === "?") void openHelp();
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", key);
    onCleanup(() => {
      media.removeEventListener("change", change);
      window.removeEventListener("keydown", key);
    });
  });

  const openHelp = async () => {
    // The full screen shows the tiles alone, without what is laid over the page.
    if (document.fullscreenElement) await document.exitFullscreen();
    setHelp(true);
  };
  const fullScreen = async () => {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await stage?.requestFullscreen();
    } catch {
      // Not allowed here (an embedding page may forbid it): the wall stays as it is.
    }
  };

  const states = createMemo(() => {
    let online = 0;
    let troubled = 0;
    for (const camera of directory.cameras) {
      const state = directory.statuses[camera.id]?.state;
      if (state === "online") online += 1;
      else if (state !== undefined && state !== "connecting") troubled += 1;
    }
    return { online, troubled };
  });

  return (
    <div class="flex h-full flex-col">
      <header class="flex min-h-12 flex-wrap items-center gap-x-4 gap-y-1 border-line border-b bg-surface px-3 py-1 sm:px-4">
        <h1 class="font-semibold text-[15px] max-sm:sr-only">{t("wall.title")}</h1>
        <p class="flex items-center gap-3 text-[13px] text-muted" aria-live="polite">
          <Show when={directory.loaded}>
            <span class="inline-flex items-center gap-1.5">
              <span class="h-2 w-2 rounded-full bg-ok" />
              {t("wall.online", { count: states().online })}
            </span>
            <Show when={states().troubled > 0}>
              <span class="inline-flex items-center gap-1.5 text-bad">
                <span class="h-2 w-2 rounded-full bg-bad" />
                {tn("wall.troubled", states().troubled)}
              </span>
            </Show>
          </Show>
        </p>
        <div class="ml-auto flex items-center gap-2">
          <p class="hidden text-[13px] text-muted tabular-nums md:block" title={zoneName(now(), regional())}>
            {longDate(now(), regional())} <span class="text-ink">{clockTime(now(), regional())}</span>
          </p>
          <Show when={pages() > 1}>
            <div class="flex items-center">
              <IconButton
                icon="chevronLeft"
                label={t("wall.previousPage")}
                shortcut="PageUp"
                onClick={() => turn(-1)}
              />
              <span class="min-w-12 text-center text-[13px] text-muted tabular-nums">
                {page() + 1} / {pages()}
              </span>
              <IconButton icon="chevronRight" label={t("wall.nextPage")} shortcut="PageDown" onClick={() => turn(1)} />
            </div>
          </Show>
          <fieldset class="hidden items-center rounded-lg border border-line bg-ground p-0.5 sm:flex">
            <legend class="sr-only">{t("wall.layout")}</legend>
            <For each={["auto", ...SIZES] as Choice[]}>
              {(entry, index) => (
                <button
                  type="button"
                  class="h-7 min-w-8 rounded-md px-2 text-[13px] tabular-nums hover:bg-hover"
                  classList={{
                    "bg-accent-soft text-accent font-medium": choice() === entry,
                    "text-muted": choice() !== entry,
                  }}
                  aria-pressed={choice() === entry}
                  title={`${entry === "auto" ? t("wall.auto") : tn("wall.tiles", entry)} (${index()})`}
                  onClick={() => choose(entry)}
                >
                  {entry === "auto" ? t("wall.auto") : `${Math.sqrt(entry)}×${Math.sqrt(entry)}`}
                </button>
              )}
            </For>
          </fieldset>
          <Show when={directory.cameras.some((camera) => camera.analysis?.enabled)}>
            <IconButton
              icon="boxes"
              label={t("boxes.title")}
              shortcut="B"
              active={boxesShown()}
              data-testid="toggle-boxes"
              onClick={() => showBoxes(!boxesShown())}
            />
          </Show>
          <IconButton
            icon="chart"
            label={t("stats.title")}
            shortcut="S"
            active={statistics()}
            onClick={() => setStatistics((shown) => !shown)}
          />
          <IconButton
            class="max-sm:hidden"
            icon="keyboard"
            label={t("keys.title")}
            shortcut="?"
            onClick={() => void openHelp()}
          />
          <IconButton icon="maximize" label={t("wall.fullScreen")} shortcut="F" onClick={() => void fullScreen()} />
        </div>
      </header>

      <Show when={directory.problem && !directory.loaded}>
        <div class="mx-auto w-full max-w-lg p-6">
          {directory.problem && <ProblemNotice problem={directory.problem} onRetry={() => void refreshCameras()} />}
        </div>
      </Show>
      <Show when={!directory.loaded && !directory.problem}>
        <div class="grid flex-1 place-items-center text-muted">
          <Spinner size={28} />
        </div>
      </Show>
      <Show when={directory.loaded && count() === 0}>
        <Empty icon="camera" title={t("wall.empty")}>
          <p>{t("wall.emptyHint")}</p>
          <a
            href="#/cameras?add=1"
            class="mt-4 inline-flex min-h-9 items-center rounded-[7px] bg-accent px-3.5 font-medium text-accent-ink hover:brightness-110"
          >
            {t("cameras.add")}
          </a>
        </Empty>
      </Show>
      <Show when={directory.loaded && count() > 0}>
        <div
          ref={stage}
          class="grid min-h-0 flex-1 gap-[3px] bg-ground p-[3px] max-sm:auto-rows-max max-sm:overflow-y-auto"
          style={{
            "grid-template-columns": `repeat(${maximised() === null ? cells().columns : 1}, minmax(0, 1fr))`,
            "grid-template-rows":
              narrow() && maximised() === null
                ? "none"
                : `repeat(${maximised() === null ? cells().rows : 1}, minmax(0, 1fr))`,
          }}
        >
          <For each={onPage()}>
            {(camera, index) => (
              <Tile
                camera={camera}
                index={index()}
                maximised={maximised() === camera.id}
                hidden={maximised() !== null && maximised() !== camera.id}
                pageShown={pageShown()}
                // The tiles of a telephone are small however many there are.
                tilesShown={narrow() ? 16 : size()}
                statistics={statistics()}
                tabIndex={index() === focus() ? 0 : -1}
                onToggle={() => toggle(camera.id)}
                onFocus={() => setFocus(index())}
              />
            )}
          </For>
        </div>
      </Show>

      <Dialog open={help()} onClose={() => setHelp(false)} title={t("keys.title")}>
        <dl class="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-2">
          <For
            each={
              [
                ["← ↑ ↓ →", t("keys.moveTile")],
                ["Enter", t("keys.maximise")],
                ["Esc", t("keys.restore")],
                ["O", t("keys.openCamera")],
                ["0 1 2 3 4", t("keys.layout")],
                ["PgUp PgDn", t("keys.page")],
                ["F", t("wall.fullScreen")],
                ["S", t("stats.title")],
                ["B", t("boxes.title")],
              ] as const
            }
          >
            {([keys, meaning]) => (
              <>
                <dt class="flex gap-1">
                  <For each={keys.split(" ")}>{(key) => <kbd class="key">{key}</kbd>}</For>
                </dt>
                <dd>{meaning}</dd>
              </>
            )}
          </For>
        </dl>
      </Dialog>
    </div>
  );
}

function rememberedChoice(): Choice {
  try {
    const found = Number(window.localStorage.getItem(STORAGE_KEY));
    return SIZES.find((size) => size === found) ?? "auto";
  } catch {
    return "auto";
  }
}
