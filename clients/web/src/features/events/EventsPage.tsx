import { useSearchParams } from "@solidjs/router";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, onMount, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { session } from "@/shared/api/client";
import { type EventFilter, lets, listEvents, merged } from "@/shared/api/events";
import { Problem } from "@/shared/api/problem";
import type { CameraEvent } from "@/shared/api/types";
import { directory } from "@/shared/cameras/directory";
import { regional, t } from "@/shared/i18n";
import { eventDetails, eventTypeText, eventWords, KNOWN_TYPES } from "@/shared/i18n/event-types";
import { clockTime, durationText, longDate } from "@/shared/time/format";
import { formatInstant, parseInstant } from "@/shared/time/instant";
import { Button } from "@/shared/ui/Button";
import { Icon, Spinner } from "@/shared/ui/Icon";
import { Empty, ProblemNotice } from "@/shared/ui/Notice";
import { dayText, spanOfDay } from "./day";
import { EventStill } from "./EventStill";
import { EventPush } from "./event-push";

const PAGE = 50;
// While nothing is pushed.
const POLL_MS = 5_000;
const TYPING_MS = 300;

/** What happened, newest first, as it happens. */
export default function EventsPage(): JSX.Element {
  const [search, setSearch] = useSearchParams<{ camera?: string; type?: string; q?: string; day?: string }>();
  const [shown, setShown] = createStore<{ list: CameraEvent[]; loaded: boolean }>({ list: [], loaded: false });
  const [cursor, setCursor] = createSignal<string | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [pushed, setPushed] = createSignal(false);
  const types = new Set<string>();
  const [typesShown, setTypesShown] = createSignal<readonly string[]>([]);
  let bottom: HTMLDivElement | undefined;

  const filter = createMemo<EventFilter>(() => ({
    cameraId: search.camera ?? "",
    type: search.type ?? "",
    words: search.q ?? "",
    span: spanOfDay(search.day ?? ""),
  }));
  const isFiltered = () => Boolean(search.camera || search.type || search.q || search.day);

  let asking = new AbortController();
  const take = (found: readonly CameraEvent[]) => {
    setShown("list", reconcile(merged(shown.list, found), { key: "id" }));
    for (const event of found) types.add(event.type);
    if (types.size !== typesShown().length) setTypesShown([...types].sort());
  };
  const failed = (error: unknown) => {
    if (error instanceof DOMException) return;
    if (!(error instanceof Problem)) throw error;
    setProblem(error);
  };
  /** The newest page; what is shown already stays, with what is new put in. */
  const refresh = async () => {
    const { signal } = asking;
    try {
      const page = await listEvents(filter(), PAGE, null, signal);
      if (signal.aborted) return;
      const last = page.items.at(-1);
      // More happened meanwhile than a page holds: what lies between would be missing, so the list begins anew.
      const isTorn = shown.list.length > 0 && last && !shown.list.some((event) => event.id === last.id);
      if (isTorn) setShown("list", []);
      if (isTorn || !shown.loaded) setCursor(page.next_cursor);
      take(page.items);
      setShown("loaded", true);
      setProblem(null);
    } catch (error) {
      failed(error);
    }
  };
  const more = async () => {
    const from = cursor();
    if (from === null || busy()) return;
    const { signal } = asking;
    setBusy(true);
    try {
      const page = await listEvents(filter(), PAGE, from, signal);
      if (signal.aborted) return;
      take(page.items);
      setCursor(page.next_cursor);
    } catch (error) {
      failed(error);
    } finally {
      setBusy(false);
    }
  };

  createEffect(
    on(filter, () => {
      asking.abort();
      asking = new AbortController();
      setShown({ list: [], loaded: false });
      setCursor(null);
      void refresh();
    }),
  );
  createEffect(
    on([() => filter().cameraId, () => filter().type], ([cameraId, type]) => {
      setPushed(false);
      const push = new EventPush(
        { cameraId, type },
        {
          event: (event) => lets(filter(), event) && take([event]),
          ready: () => {
            setPushed(true);
            void refresh();
          },
          lost: () => setPushed(false),
        },
        {
          open: () => new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/events`),
          token: () => session.token(),
          setTimeout: (work, ms) => setTimeout(work, ms),
          clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
          random: Math.random,
        },
      );
      void push.start();
      onCleanup(() => push.stop());
    }),
  );
  onMount(() => {
    const timer = setInterval(() => {
      if (!pushed() && document.visibilityState === "visible") void refresh();
    }, POLL_MS);
    const observer = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && void more(),
      { rootMargin: "600px" },
    );
    if (bottom) observer.observe(bottom);
    // An end that stays in view is not told of again: look once more when a page has come.
    createEffect(
      on([cursor, busy], ([from, isBusy]) => {
        if (from === null || isBusy || !bottom) return;
        observer.unobserve(bottom);
        observer.observe(bottom);
      }),
    );
    onCleanup(() => {
      clearInterval(timer);
      observer.disconnect();
      asking.abort();
    });
  });

  let typing: ReturnType<typeof setTimeout> | undefined;
  const change = (name: "camera" | "type" | "q" | "day", value: string, waitMs = 0) => {
    clearTimeout(typing);
    const set = () => setSearch({ [name]: value.trim() === "" ? undefined : value.trim() }, { replace: true });
    if (waitMs === 0) set();
    else typing = setTimeout(set, waitMs);
  };
  onCleanup(() => clearTimeout(typing));
  // An address may name a type that nothing was seen of yet.
  const otherTypes = createMemo(() =>
    [...new Set([...typesShown(), ...(search.type ? [search.type] : [])])].filter(
      (type) => !(KNOWN_TYPES as readonly string[]).includes(type),
    ),
  );
  const nameOf = (id: string) =>
    directory.cameras.find((camera) => camera.id === id)?.name ?? t("export.removedCamera");

  const Row = (row: { event: CameraEvent; before: CameraEvent | undefined }) => {
    const start = () => parseInstant(row.event.start);
    const beginsDay = () => !row.before || dayText(parseInstant(row.before.start)) !== dayText(start());
    const length = () => (row.event.end === null ? null : parseInstant(row.event.end) - start());
    return (
      <li data-event={row.event.id}>
        <Show when={beginsDay()}>
          <h2 class="sticky top-0 z-10 bg-ground pt-4 pb-2 font-semibold text-[14px]">
            {longDate(start(), regional())}
          </h2>
        </Show>
        <a
          class="flex items-start gap-3.5 rounded-lg p-1.5 hover:bg-raised"
          href={`#/cameras/${encodeURIComponent(row.event.camera_id)}?t=${encodeURIComponent(formatInstant(start()))}`}
        >
          <EventStill
            cameraId={row.event.camera_id}
            at={start()}
            eventId={row.event.source === "ai" ? row.event.id : null}
          />
          <span class="min-w-0 flex-1 pt-0.5">
            <span class="flex flex-wrap items-baseline gap-x-2">
              <span class="font-medium">{eventTypeText(row.event.type)}</span>
              <Show when={row.event.end === null}>
                <span class="rounded bg-warn-soft px-1.5 text-[11.5px] text-warn">{t("event.goesOn")}</span>
              </Show>
              <Show when={row.event.score !== null}>
                <span class="text-[12.5px] text-muted tabular-nums">
                  {(row.event.score ?? 0).toLocaleString(regional(), { style: "percent" })}
                </span>
              </Show>
            </span>
            <Show when={eventWords(row.event)}>
              <span class="line-clamp-2 break-words">{eventWords(row.event)}</span>
            </Show>
            <Show when={eventDetails(row.event, regional())}>
              {(known) => <span class="line-clamp-2 break-words">{known()}</span>}
            </Show>
            <span class="block truncate text-[12.5px] text-muted">{nameOf(row.event.camera_id)}</span>
          </span>
          <span class="shrink-0 self-start pt-0.5 text-right tabular-nums">
            <time dateTime={row.event.start}>{clockTime(start(), regional())}</time>
            <Show when={(length() ?? 0) >= 1_000}>
              <span class="block text-[12.5px] text-muted" title={t("event.length")}>
                {durationText(length() ?? 0)}
              </span>
            </Show>
          </span>
        </a>
      </li>
    );
  };

  return (
    <div class="h-full overflow-y-auto">
      <div class="mx-auto max-w-4xl px-4 py-5 sm:px-6">
        <div class="mb-4 flex items-center justify-between gap-3">
          <h1 class="font-semibold text-[20px]">{t("nav.events")}</h1>
          <span
            role="status"
            data-testid="event-push"
            data-pushed={pushed()}
            class="inline-flex items-center gap-2 text-[13px] text-muted"
          >
            <span class={`h-2 w-2 rounded-full ${pushed() ? "bg-ok" : "bg-warn breathe"}`} />
            {t(pushed() ? "event.pushed" : "event.polled")}
          </span>
        </div>
        <search class="grid grid-cols-2 gap-2 md:grid-cols-[1.3fr_1fr_1.3fr_1fr_auto]" aria-label={t("event.filters")}>
          <select
            class="field"
            aria-label={t("storage.camera")}
            onChange={(event) => change("camera", event.currentTarget.value)}
          >
            <option value="">{t("event.allCameras")}</option>
            <For each={directory.cameras}>
              {(camera) => (
                <option value={camera.id} selected={search.camera === camera.id}>
                  {camera.name}
                </option>
              )}
            </For>
          </select>
          <select
            class="field"
            name="type"
            aria-label={t("event.type")}
            onChange={(event) => change("type", event.currentTarget.value)}
          >
            <option value="">{t("event.anyType")}</option>
            <For each={byName(KNOWN_TYPES)}>{(type) => <TypeOption type={type} chosen={search.type} />}</For>
            <Show when={otherTypes().length > 0}>
              <optgroup label={t("event.otherTypes")}>
                <For each={otherTypes()}>{(type) => <TypeOption type={type} chosen={search.type} />}</For>
              </optgroup>
            </Show>
          </select>
          <label class="relative">
            <span class="sr-only">{t("event.search")}</span>
            <Icon name="search" size={16} class="pointer-events-none absolute top-2.5 left-2.5 text-muted" />
            <input
              class="field pl-8"
              type="search"
              name="q"
              placeholder={t("event.search")}
              value={search.q ?? ""}
              onInput={(event) => change("q", event.currentTarget.value, TYPING_MS)}
            />
          </label>
          <input
            class="field"
            type="date"
            name="day"
            aria-label={t("event.day")}
            max={dayText(Date.now())}
            value={search.day ?? ""}
            onChange={(event) => change("day", event.currentTarget.value)}
          />
          <Button
            class={isFiltered() ? "max-md:col-span-2" : "max-md:hidden"}
            disabled={!isFiltered()}
            onClick={() =>
              setSearch({ camera: undefined, type: undefined, q: undefined, day: undefined }, { replace: true })
            }
          >
            {t("event.clear")}
          </Button>
        </search>
        <Show when={problem()}>
          {(found) => (
            <div class="mt-4">
              <ProblemNotice problem={found()} onRetry={() => void refresh()} />
            </div>
          )}
        </Show>
        <Show when={shown.loaded && shown.list.length === 0}>
          <div class="panel mt-4">
            <Empty icon="bell" title={t(isFiltered() ? "event.noMatch" : "event.none")}>
              <p>{isFiltered() ? "" : t("event.noneHint")}</p>
            </Empty>
          </div>
        </Show>
        <ol aria-label={t("nav.events")} class="grid gap-0.5">
          <For each={shown.list}>{(event, index) => <Row event={event} before={shown.list[index() - 1]} />}</For>
        </ol>
        <div ref={bottom} class="grid min-h-12 place-items-center py-3 text-muted">
          <Show when={(!shown.loaded && !problem()) || busy()}>
            <Spinner size={24} />
          </Show>
          <Show when={cursor() !== null && !busy()}>
            <Button onClick={() => void more()}>{t("event.more")}</Button>
          </Show>
        </div>
      </div>
    </div>
  );
}

const byName = (types: readonly string[]): string[] =>
  [...types].sort((a, b) => eventTypeText(a).localeCompare(eventTypeText(b), regional()));

function TypeOption(props: { type: string; chosen: string | undefined }): JSX.Element {
  return (
    <option value={props.type} selected={props.chosen === props.type}>
      {eventTypeText(props.type)}
    </option>
  );
}
