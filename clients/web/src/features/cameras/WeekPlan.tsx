import { createMemo, createSignal, createUniqueId, For, type JSX, onCleanup, Show } from "solid-js";
import type { Day, SlotMode } from "@/shared/api/types";
import { type Key, t } from "@/shared/i18n";
import { Button } from "@/shared/ui/Button";
import {
  type Block,
  blockBetween,
  copyDay,
  DAYS,
  MODES,
  paint,
  type Row,
  STEPS,
  stepTime,
  type WeekGrid,
} from "./week-grid";

interface Cell {
  day: Day;
  step: number;
}

type DayChoice = Day | "weekdays" | "weekend" | "all";

const CHOICES: readonly DayChoice[] = ["all", "weekdays", "weekend", ...DAYS];
const daysOf = (choice: DayChoice): readonly Day[] =>
  choice === "all" ? DAYS : choice === "weekdays" ? DAYS.slice(0, 5) : choice === "weekend" ? DAYS.slice(5) : [choice];

/** Colours by class names, since the page's policy allows them and themes change them; letters for who sees none. */
export const MODE_CLASS: Record<SlotMode, string> = {
  continuous: "bg-(--mode-continuous) text-(--mode-ink)",
  motion: "bg-(--mode-motion) text-(--mode-ink)",
  event: "bg-(--mode-event) text-(--mode-ink)",
  off: "bg-(--mode-off) text-muted",
};

/** Where the letter of a run of equal cells stands: at its beginning, where it has room. */
function letterAt(row: Row, step: number): boolean {
  const mode = row[step];
  return mode !== "off" && row[step - 1] !== mode && row[step + 1] === mode;
}

/** A week's plan, painted with the pointer, with the keyboard, or by naming times. */
export function WeekPlan(props: {
  week: WeekGrid;
  onWeek: (week: WeekGrid) => void;
  error?: string | undefined;
}): JSX.Element {
  const id = createUniqueId();
  const [brush, setBrush] = createSignal<SlotMode>("continuous");
  const [here, setHere] = createSignal<Cell>({ day: "mon", step: 16 });
  const [block, setBlock] = createSignal<Block | null>(null);
  let cells: HTMLDivElement | undefined;
  let stroke: { from: Cell; week: WeekGrid } | null = null;

  const cellAt = (event: PointerEvent): Cell | null => {
    const box = cells?.getBoundingClientRect();
    if (!box) return null;
    const clamp = (value: number, most: number) => Math.max(0, Math.min(most - 1, Math.floor(value)));
    const day = DAYS[clamp(((event.clientY - box.top) / box.height) * DAYS.length, DAYS.length)];
    return day ? { day, step: clamp(((event.clientX - box.left) / box.width) * STEPS, STEPS) } : null;
  };
  const strokeTo = (cell: Cell) => {
    if (!stroke) return;
    const painted = blockBetween(stroke.from, cell);
    setBlock(painted);
    setHere(cell);
    props.onWeek(paint(stroke.week, painted, brush()));
  };
  const onDown = (event: PointerEvent) => {
    const cell = cellAt(event);
    if (event.button !== 0 || !cell) return;
    event.preventDefault();
    cells?.setPointerCapture(event.pointerId);
    stroke = { from: cell, week: { ...props.week } };
    strokeTo(cell);
    focusCell(cell);
  };
  const onMove = (event: PointerEvent) => {
    const cell = stroke && cellAt(event);
    if (cell) strokeTo(cell);
  };
  const onUp = () => {
    stroke = null;
    setBlock(null);
  };

  const focusCell = (cell: Cell) =>
    cells?.querySelector<HTMLElement>(`[data-cell="${cell.day}-${cell.step}"]`)?.focus({ preventScroll: true });
  let anchor: Cell | null = null;
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { day, step } = here();
    const row = DAYS.indexOf(day);
    const brushed = MODES.find((mode) => t(`mode.letter.${mode}`).toLowerCase() === event.key.toLowerCase());
    const moves: Record<string, [row: number, step: number]> = {
      ArrowLeft: [row, step - 1],
      ArrowRight: [row, step + 1],
      ArrowUp: [row - 1, step],
      ArrowDown: [row + 1, step],
      Home: [row, 0],
      End: [row, STEPS - 1],
    };
    const move = moves[event.key];
    if (move) {
      const to = DAYS[Math.max(0, Math.min(DAYS.length - 1, move[0]))] ?? day;
      const cell = { day: to, step: Math.max(0, Math.min(STEPS - 1, move[1])) };
      if (event.shiftKey) {
        anchor ??= here();
        props.onWeek(paint(props.week, blockBetween(anchor, cell), brush()));
      } else anchor = null;
      setHere(cell);
      focusCell(cell);
    } else if (event.key === " " || event.key === "Enter") {
      anchor = here();
      props.onWeek(paint(props.week, blockBetween(here(), here()), brush()));
    } else if (brushed) setBrush(brushed);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  onCleanup(() => {
    stroke = null;
  });

  const [copyFrom, setCopyFrom] = createSignal<Day>("mon");
  const [copyTo, setCopyTo] = createSignal<DayChoice>("weekdays");
  const [spanDays, setSpanDays] = createSignal<DayChoice>("weekdays");
  const [spanFrom, setSpanFrom] = createSignal(16);
  const [spanTo, setSpanTo] = createSignal(36);
  const hours = Array.from({ length: 25 }, (_, hour) => hour);

  const said = createMemo(() => {
    const shown = block();
    const { day, step } = here();
    if (!shown) return `${t(`day.${day}`)}, ${stepTime(step)}–${stepTime(step + 1)}`;
    const [first] = shown.days;
    const last = shown.days.at(-1);
    const days = first === last ? t(`day.${first ?? day}`) : `${t(`day.${first ?? day}`)} – ${t(`day.${last ?? day}`)}`;
    return `${days}, ${stepTime(shown.from)}–${stepTime(shown.to)}`;
  });

  const choose = (label: Key, value: () => DayChoice, set: (value: DayChoice) => void) => (
    <select
      class="field w-auto min-w-28 flex-1"
      aria-label={t(label)}
      onChange={(event) => set(event.currentTarget.value as DayChoice)}
    >
      <For each={CHOICES}>
        {(choice) => (
          <option value={choice} selected={value() === choice}>
            {t(`day.${choice}`)}
          </option>
        )}
      </For>
    </select>
  );
  const time = (label: Key, value: () => number, set: (step: number) => void, first: number) => (
    <select
      class="field w-auto tabular-nums"
      aria-label={t(label)}
      onChange={(event) => set(Number(event.currentTarget.value))}
    >
      <For each={Array.from({ length: STEPS }, (_, step) => step + first)}>
        {(step) => (
          <option value={step} selected={value() === step}>
            {stepTime(step)}
          </option>
        )}
      </For>
    </select>
  );

  return (
    <div class="grid gap-3" data-testid="week-plan">
      <div class="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
        <fieldset class="flex flex-wrap gap-1">
          <legend class="sr-only">{t("plan.brush")}</legend>
          <For each={MODES}>
            {(mode) => (
              <label
                class="flex min-h-8 cursor-pointer items-center gap-1.5 rounded-md border px-2 text-[13px] has-focus-visible:outline-2 has-focus-visible:outline-accent"
                classList={{
                  "border-accent bg-accent-soft": brush() === mode,
                  "border-line hover:bg-hover": brush() !== mode,
                }}
              >
                <input
                  type="radio"
                  class="sr-only"
                  name={`${id}-brush`}
                  checked={brush() === mode}
                  onChange={() => setBrush(mode)}
                />
                <span
                  aria-hidden="true"
                  class={`grid h-5 w-5 place-items-center rounded text-[11px] font-semibold ${MODE_CLASS[mode]}`}
                >
                  {t(`mode.letter.${mode}`)}
                </span>
                <span>{t(`mode.${mode}`)}</span>
              </label>
            )}
          </For>
        </fieldset>
        <p class="text-[12.5px] text-muted tabular-nums" aria-hidden="true">
          {said()}
        </p>
      </div>
      <div class="select-none">
        <div class="relative ml-9 h-4 text-[10.5px] text-muted tabular-nums" aria-hidden="true">
          <For each={hours}>
            {(hour) => (
              <span
                class="absolute -translate-x-1/2"
                classList={{ "max-sm:hidden": hour % 6 !== 0, hidden: hour % 3 !== 0 }}
                style={{ left: `${(hour / 24) * 100}%` }}
              >
                {hour}
              </span>
            )}
          </For>
        </div>
        <div class="flex">
          <div class="grid w-9 shrink-0 grid-rows-7 text-[12px] text-muted" aria-hidden="true">
            <For each={DAYS}>{(day) => <span class="self-center">{t(`day.short.${day}`)}</span>}</For>
          </div>
          {/* biome-ignore lint/a11y/useSemanticElements: a table cannot be a grid of cells that are painted */}
          <div
            ref={cells}
            role="grid"
            aria-label={t("plan.grid")}
            aria-describedby={`${id}-keys`}
            tabIndex={-1}
            class="grid flex-1 cursor-crosshair touch-none grid-rows-7 overflow-hidden rounded-md border border-line-strong"
            onPointerDown={onDown}
            onPointerMove={onMove}
            onPointerUp={onUp}
            onPointerCancel={onUp}
            onKeyDown={onKey}
          >
            <For each={DAYS}>
              {(day) => (
                // biome-ignore lint/a11y/useSemanticElements: as above
                // biome-ignore lint/a11y/useFocusableInteractive: its cells are
                <div role="row" class="flex h-8 border-line border-t first:border-t-0">
                  <For each={Array.from({ length: STEPS }, (_, step) => step)}>
                    {(step) => {
                      const mode = () => props.week[day][step] ?? "off";
                      return (
                        // biome-ignore lint/a11y/useSemanticElements: as above
                        <div
                          role="gridcell"
                          data-cell={`${day}-${step}`}
                          data-mode={mode()}
                          tabIndex={here().day === day && here().step === step ? 0 : -1}
                          aria-label={`${t(`day.${day}`)} ${stepTime(step)}–${stepTime(step + 1)}: ${t(`mode.${mode()}`)}`}
                          class={`relative flex-1 focus-visible:z-10 focus-visible:-outline-offset-2 focus-visible:outline-ink ${MODE_CLASS[mode()]}`}
                          classList={{
                            "border-l border-line": step > 0 && step % 12 === 0,
                            "border-l border-line/60": step % 12 !== 0 && step % 2 === 0 && mode() === "off",
                          }}
                          onFocus={() => setHere({ day, step })}
                        >
                          <Show when={letterAt(props.week[day], step)}>
                            <span class="pointer-events-none absolute top-1/2 left-px z-10 -translate-y-1/2 font-semibold text-[10px] sm:left-1 sm:text-[11px]">
                              {t(`mode.letter.${mode()}`)}
                            </span>
                          </Show>
                        </div>
                      );
                    }}
                  </For>
                </div>
              )}
            </For>
          </div>
        </div>
      </div>
      <Show
        when={props.error}
        fallback={
          <p id={`${id}-keys`} class="text-[12.5px] text-muted">
            {t("plan.keys")}
          </p>
        }
      >
        <p role="alert" class="text-[12.5px] text-bad">
          {props.error}
        </p>
      </Show>
      <div class="grid gap-2 text-[13px]">
        <div class="flex flex-wrap items-center gap-1.5">
          <span class="w-full text-muted sm:w-16">{t("plan.paint")}</span>
          {choose("plan.days", spanDays, setSpanDays)}
          <span class="flex items-center gap-1.5">
            {time("plan.from", spanFrom, setSpanFrom, 0)}
            <span aria-hidden="true">–</span>
            {time("plan.to", spanTo, setSpanTo, 1)}
          </span>
          <Button
            disabled={spanTo() <= spanFrom()}
            data-testid="paint-span"
            onClick={() =>
              props.onWeek(paint(props.week, { days: daysOf(spanDays()), from: spanFrom(), to: spanTo() }, brush()))
            }
          >
            <span
              aria-hidden="true"
              class={`grid h-5 w-5 place-items-center rounded text-[11px] font-semibold ${MODE_CLASS[brush()]}`}
            >
              {t(`mode.letter.${brush()}`)}
            </span>
            {t("plan.paintDo")}
            <span class="sr-only">{t(`mode.${brush()}`)}</span>
          </Button>
        </div>
        <div class="flex flex-wrap items-center gap-1.5">
          <span class="w-full text-muted sm:w-16">{t("plan.copy")}</span>
          <select
            class="field w-auto"
            aria-label={t("plan.copyFrom")}
            onChange={(event) => setCopyFrom(event.currentTarget.value as Day)}
          >
            <For each={DAYS}>
              {(day) => (
                <option value={day} selected={copyFrom() === day}>
                  {t(`day.${day}`)}
                </option>
              )}
            </For>
          </select>
          <span aria-hidden="true">→</span>
          {choose("plan.copyTo", copyTo, setCopyTo)}
          <Button onClick={() => props.onWeek(copyDay(props.week, copyFrom(), daysOf(copyTo())))}>
            {t("plan.copyDo")}
          </Button>
        </div>
      </div>
    </div>
  );
}
