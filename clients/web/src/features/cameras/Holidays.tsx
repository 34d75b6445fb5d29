import { For, type JSX, Show } from "solid-js";
import type { Holiday, SlotMode } from "@/shared/api/types";
import { t } from "@/shared/i18n";
import { Button, IconButton } from "@/shared/ui/Button";
import { MODES, wholeDayMode } from "./week-grid";

// Any leap year: the field for a day of every year shows one, and 29 February is among its days.
const ANY_YEAR = "2028";

/** Days that the plan of the week does not count on, and what does. */
export function Holidays(props: {
  holidays: readonly Holiday[];
  onHolidays: (holidays: Holiday[]) => void;
  error?: string | undefined;
}): JSX.Element {
  const change = (index: number, change: Partial<Holiday>) =>
    props.onHolidays(props.holidays.map((holiday, at) => (at === index ? { ...holiday, ...change } : holiday)));
  const slotsOf = (mode: SlotMode) => (mode === "off" ? [] : [{ from: "00:00", to: "24:00", mode }]);
  // Rows are kept by their place: their dates change while they are written.
  const places = () => props.holidays.map((_, index) => index);
  return (
    <div class="grid gap-2">
      <p class="font-medium text-[13px] text-muted">{t("plan.holidays")}</p>
      <ul class="grid gap-2">
        <For each={places()}>
          {(index) => {
            const holiday = () => props.holidays[index] ?? { date: "", slots: [] };
            const yearly = () => holiday().date.length === 5;
            const mode = () => wholeDayMode(holiday().slots);
            return (
              <li class="flex flex-wrap items-center gap-2">
                <input
                  type="date"
                  class="field w-auto"
                  aria-label={t("plan.holidayDate")}
                  aria-invalid={Boolean(props.error)}
                  value={yearly() ? `${ANY_YEAR}-${holiday().date}` : holiday().date}
                  onChange={(event) => {
                    const date = event.currentTarget.value;
                    change(index, { date: yearly() ? date.slice(5) : date });
                  }}
                />
                <label class="flex min-h-9 items-center gap-1.5 text-[13px]">
                  <input
                    type="checkbox"
                    class="h-4 w-4 accent-(--accent)"
                    checked={yearly()}
                    onChange={(event) => {
                      const { date } = holiday();
                      const day = yearly() ? date : date.slice(5);
                      const year = new Date().getFullYear();
                      change(index, { date: event.currentTarget.checked ? day : `${year}-${day}` });
                    }}
                  />
                  {t("plan.everyYear")}
                </label>
                <select
                  class="field w-auto flex-1"
                  aria-label={t("plan.holidayMode")}
                  onChange={(event) => change(index, { slots: slotsOf(event.currentTarget.value as SlotMode) })}
                >
                  <Show when={mode() === null}>
                    <option value="own" selected>
                      {t("plan.ownTimes")}
                    </option>
                  </Show>
                  <For each={MODES}>
                    {(entry) => (
                      <option value={entry} selected={mode() === entry}>
                        {t(`mode.${entry}`)}
                      </option>
                    )}
                  </For>
                </select>
                <IconButton
                  icon="trash"
                  label={t("plan.removeHoliday", { date: holiday().date })}
                  onClick={() => props.onHolidays(props.holidays.filter((_, at) => at !== index))}
                />
              </li>
            );
          }}
        </For>
      </ul>
      <Show when={props.error}>
        <p role="alert" class="text-[12.5px] text-bad">
          {props.error}
        </p>
      </Show>
      <div>
        <Button
          icon="plus"
          onClick={() =>
            props.onHolidays([...props.holidays, { date: `${new Date().getFullYear()}-12-25`, slots: [] }])
          }
        >
          {t("plan.addHoliday")}
        </Button>
      </div>
    </div>
  );
}
