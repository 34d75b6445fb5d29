import { useNavigate, useSearchParams } from "@solidjs/router";
import { createMemo, createSignal, For, type JSX, onMount, Show } from "solid-js";
import { removeCamera } from "@/shared/api/cameras";
import { may } from "@/shared/api/me";
import { Problem } from "@/shared/api/problem";
import type { Camera } from "@/shared/api/types";
import { directory, refreshCameras, statusOf, watchStatus } from "@/shared/cameras/directory";
import { regional, t, tn } from "@/shared/i18n";
import { createPageShown } from "@/shared/media/live/live-view";
import { bitrateText } from "@/shared/time/format";
import { Button, IconButton } from "@/shared/ui/Button";
import { Dialog } from "@/shared/ui/Dialog";
import { Icon, Spinner } from "@/shared/ui/Icon";
import { Empty, ProblemNotice } from "@/shared/ui/Notice";
import { RecordingDot, StatePill } from "@/shared/ui/StatePill";
import { say } from "@/shared/ui/toasts";
import { CameraDialog } from "./CameraDialog";

// Rows beyond this are shown without asking for their states, until a search makes them fewer.
const STATES_AT_ONCE = 60;

/** Every camera: its state, and adding, changing, removing it. */
export default function CamerasPage(): JSX.Element {
  const navigate = useNavigate();
  const pageShown = createPageShown();
  const [search, setSearch] = useSearchParams<{ add?: string }>();
  const [query, setQuery] = createSignal("");
  const [dialog, setDialog] = createSignal<{ camera: Camera | null } | null>(null);
  const [removing, setRemoving] = createSignal<Camera | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem | null>(null);

  onMount(() => {
    if (search.add !== undefined) {
      setDialog({ camera: null });
      setSearch({ add: undefined }, { replace: true });
    }
  });

  const shown = createMemo(() => {
    const wanted = query().trim().toLocaleLowerCase(regional());
    if (wanted === "") return directory.cameras;
    return directory.cameras.filter((camera) =>
      `${camera.name} ${camera.streams.main.url}`.toLocaleLowerCase(regional()).includes(wanted),
    );
  });

  const remove = async () => {
    const camera = removing();
    if (!camera) return;
    setBusy(true);
    setProblem(null);
    try {
      await removeCamera(camera.id);
      setRemoving(null);
      say(t("cameras.removed", { name: camera.name }), "trash");
      await refreshCameras();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };

  const Row = (row: { camera: Camera; index: number }) => {
    watchStatus(() => (pageShown() && row.index < STATES_AT_ONCE ? row.camera.id : null));
    const status = () => statusOf(row.camera.id);
    return (
      <li
        class="grid grid-cols-[1fr_auto] items-center gap-x-4 gap-y-1 border-line border-t px-4 py-2.5 first:border-t-0 hover:bg-raised md:grid-cols-[minmax(0,1.5fr)_minmax(0,1fr)_minmax(0,1.3fr)_auto]"
        data-camera={row.camera.id}
      >
        <div class="min-w-0">
          <a
            class="font-medium hover:text-accent hover:underline"
            href={`#/cameras/${encodeURIComponent(row.camera.id)}`}
          >
            {row.camera.name}
          </a>
          <p class="truncate text-[12.5px] text-muted" title={row.camera.streams.main.url}>
            {row.camera.streams.main.url}
          </p>
        </div>
        <div class="min-w-0 text-[13px] max-md:order-3 max-md:col-span-2">
          <StatePill state={status()?.state} />
          <Show when={status()?.reason}>
            <p class="line-clamp-2 text-[12.5px] text-bad" title={status()?.reason ?? ""}>
              {status()?.reason}
            </p>
          </Show>
        </div>
        <div class="hidden min-w-0 text-[12.5px] text-muted tabular-nums md:block">
          <Show when={status()?.state === "online"}>
            <p class="truncate">
              {status()?.codec?.toUpperCase()} · {status()?.width}×{status()?.height} · {Math.round(status()?.fps ?? 0)}{" "}
              fps · {bitrateText(status()?.bitrate_bps ?? 0, regional())}
            </p>
          </Show>
          <p class="flex items-center gap-2">
            <RecordingDot recording={status()?.recording ?? false} withText />
            <Show when={row.camera.retention?.days}>{(days) => <span>· {tn("cameras.days", days())}</span>}</Show>
          </p>
        </div>
        <div class="flex items-center text-muted">
          <IconButton
            icon="play"
            label={t("wall.openCamera", { name: row.camera.name })}
            onClick={() => navigate(`/cameras/${encodeURIComponent(row.camera.id)}`)}
          />
          <Show when={may("cameras:edit")}>
            <IconButton
              icon="edit"
              label={t("cameras.edit", { name: row.camera.name })}
              onClick={() => setDialog({ camera: row.camera })}
            />
            <IconButton
              icon="trash"
              label={t("cameras.remove", { name: row.camera.name })}
              onClick={() => {
                setProblem(null);
                setRemoving(row.camera);
              }}
            />
          </Show>
        </div>
      </li>
    );
  };

  return (
    <div class="h-full overflow-y-auto">
      <div class="mx-auto max-w-6xl px-4 py-5 sm:px-6">
        <div class="mb-4 flex flex-wrap items-center gap-3">
          <h1 class="font-semibold text-[20px]">{t("nav.cameras")}</h1>
          <span class="text-[13px] text-muted">
            {directory.loaded ? tn("cameras.count", directory.cameras.length) : ""}
          </span>
          <div class="ml-auto flex flex-wrap items-center gap-2 max-sm:w-full">
            <label class="relative max-sm:flex-1">
              <span class="sr-only">{t("cameras.search")}</span>
              <Icon name="search" size={17} class="absolute top-2.5 left-2.5 text-muted" />
              <input
                class="field w-56 pl-9 max-sm:w-full"
                type="search"
                placeholder={t("cameras.search")}
                value={query()}
                onInput={(event) => setQuery(event.currentTarget.value)}
              />
            </label>
            <Show when={may("cameras:edit")}>
              <Button kind="primary" icon="plus" data-testid="add-camera" onClick={() => setDialog({ camera: null })}>
                {t("cameras.add")}
              </Button>
            </Show>
          </div>
        </div>
        <Show when={directory.problem}>
          {(found) => (
            <div class="mb-4">
              <ProblemNotice problem={found()} onRetry={() => void refreshCameras()} />
            </div>
          )}
        </Show>
        <Show
          when={directory.loaded}
          fallback={
            <Show when={!directory.problem}>
              <div class="grid place-items-center py-16 text-muted">
                <Spinner size={28} />
              </div>
            </Show>
          }
        >
          <div class="panel overflow-hidden">
            <Show
              when={shown().length > 0}
              fallback={
                <Empty icon="camera" title={query() ? t("cameras.noMatch") : t("wall.empty")}>
                  <p>{query() ? "" : t("wall.emptyHint")}</p>
                </Empty>
              }
            >
              <ul>
                <For each={shown()}>{(camera, index) => <Row camera={camera} index={index()} />}</For>
              </ul>
            </Show>
          </div>
        </Show>
      </div>

      <CameraDialog open={dialog() !== null} camera={dialog()?.camera ?? null} onClose={() => setDialog(null)} />
      <Dialog
        open={removing() !== null}
        onClose={() => setRemoving(null)}
        title={t("cameras.removeTitle")}
        description={t("cameras.removeText", { name: removing()?.name ?? "" })}
      >
        <Show when={problem()}>
          {(found) => (
            <div class="mb-4">
              <ProblemNotice problem={found()} />
            </div>
          )}
        </Show>
        <div class="flex justify-end gap-2">
          <Button onClick={() => setRemoving(null)}>{t("action.cancel")}</Button>
          <Button kind="danger" icon="trash" busy={busy()} onClick={() => void remove()}>
            {t("cameras.removeConfirm")}
          </Button>
        </div>
      </Dialog>
    </div>
  );
}
