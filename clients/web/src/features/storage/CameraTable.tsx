import { createMemo, For, type JSX, Show } from "solid-js";
import type { CameraStorage } from "@/shared/api/types";
import { directory } from "@/shared/cameras/directory";
import { regional, t } from "@/shared/i18n";
import { bytesText, dateAndTime, longDate } from "@/shared/time/format";
import { parseInstant } from "@/shared/time/instant";
import { daysText } from "./sentences";

/** What each camera takes, most first. */
export function CameraTable(props: { cameras: readonly CameraStorage[] }): JSX.Element {
  const sorted = createMemo(() => [...props.cameras].sort((a, b) => b.bytes - a.bytes));
  const most = () => Math.max(1, sorted()[0]?.bytes ?? 1);
  const nameOf = (id: string) => directory.cameras.find((camera) => camera.id === id)?.name;
  const Time = (time: { at: string }) => {
    const at = () => parseInstant(time.at);
    return (
      <time dateTime={time.at} title={dateAndTime(at(), regional())}>
        {longDate(at(), regional())}
      </time>
    );
  };
  return (
    <div class="panel overflow-x-auto">
      <table class="w-full text-left text-[13px] tabular-nums">
        <thead class="text-[12.5px] text-muted">
          <tr class="*:px-4 *:py-2 *:font-medium">
            <th scope="col">{t("storage.camera")}</th>
            <th scope="col">{t("storage.size")}</th>
            <th scope="col" class="max-sm:hidden">
              {t("storage.oldest")}
            </th>
            <th scope="col" class="max-md:hidden">
              {t("storage.newest")}
            </th>
            <th scope="col" class="text-right max-sm:hidden">
              {t("storage.growth")}
            </th>
            <th scope="col" class="text-right">
              {t("storage.daysLeft")}
            </th>
          </tr>
        </thead>
        <tbody>
          <For each={sorted()}>
            {(row) => (
              <tr class="border-line border-t *:px-4 *:py-2 hover:bg-raised" data-camera={row.camera_id}>
                <th scope="row" class="font-medium">
                  <Show
                    when={nameOf(row.camera_id)}
                    fallback={<span class="text-muted">{t("export.removedCamera")}</span>}
                  >
                    {(name) => (
                      <a
                        class="hover:text-accent hover:underline"
                        href={`#/cameras/${encodeURIComponent(row.camera_id)}`}
                      >
                        {name()}
                      </a>
                    )}
                  </Show>
                </th>
                <td>
                  <span class="flex items-center gap-2.5">
                    <span class="h-2 w-28 overflow-hidden rounded-full bg-hover max-sm:hidden" aria-hidden="true">
                      <span
                        class="block h-full rounded-full bg-(--timeline-recorded)"
                        style={{ width: `${(row.bytes / most()) * 100}%` }}
                      />
                    </span>
                    <span class="whitespace-nowrap">{bytesText(row.bytes, regional())}</span>
                  </span>
                </td>
                <td class="whitespace-nowrap max-sm:hidden">
                  <Time at={row.oldest} />
                </td>
                <td class="whitespace-nowrap max-md:hidden">
                  <Time at={row.newest} />
                </td>
                <td class="whitespace-nowrap text-right max-sm:hidden">
                  {row.bytes_per_day === null ? "–" : bytesText(row.bytes_per_day, regional())}
                </td>
                <td class="whitespace-nowrap text-right">
                  {row.days_left === null ? (
                    <span class="text-muted">{t("cameras.unlimited")}</span>
                  ) : (
                    daysText(row.days_left)
                  )}
                </td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  );
}
