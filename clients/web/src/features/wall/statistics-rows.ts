import type { StreamChoice } from "@/shared/api/types";
import type { Key } from "@/shared/i18n";
import type { LiveStatistics } from "@/shared/media/live/statistics";
import { bitrateText } from "@/shared/time/format";

export interface StatisticsRow {
  label: Key;
  value: string;
  /** Something that a viewer may notice: lost packets, frozen pictures. */
  isTrouble: boolean;
}

const NONE = "–";
// Below that share of lost packets retransmission hides the loss.
const TROUBLE_SHARE = 0.02;

/** The figures of one tile, the most telling first, as texts for `locale`. */
export function statisticsRows(shown: LiveStatistics, stream: StreamChoice, locale: string): StatisticsRow[] {
  const whole = (value: number) => Math.round(value).toLocaleString(locale);
  const ms = (value: number | null) => (value === null ? NONE : `${whole(value)} ms`);
  const expected = shown.packetsReceived + Math.max(0, shown.packetsLost);
  const share = expected > 0 ? Math.max(0, shown.packetsLost) / expected : 0;
  const percent = share.toLocaleString(locale, { style: "percent", maximumFractionDigits: share < 0.1 ? 1 : 0 });
  const seconds = (shown.frozenMs / 1_000).toLocaleString(locale, { maximumFractionDigits: 1 });
  const row = (label: Key, value: string, isTrouble = false): StatisticsRow => ({ label, value, isTrouble });
  return [
    row("stats.codec", `${shown.codec ?? NONE} · ${stream}`),
    row("stats.picture", shown.width > 0 ? `${shown.width}×${shown.height}` : NONE),
    row("stats.fps", shown.fps.toLocaleString(locale, { maximumFractionDigits: 1 })),
    row("stats.bitrate", bitrateText(shown.bitrateBps, locale)),
    row("stats.lost", `${whole(shown.packetsLost)} · ${percent}`, share > TROUBLE_SHARE),
    row("stats.retransmitted", `${whole(shown.retransmitted)} · ${whole(shown.nacks)} NACK`),
    row("stats.jitterBuffer", ms(shown.jitterBufferMs)),
    row("stats.rtt", shown.transport ? `${ms(shown.rttMs)} · ${shown.transport.toUpperCase()}` : ms(shown.rttMs)),
    row("stats.freezes", shown.freezes > 0 ? `${whole(shown.freezes)} · ${seconds} s` : "0", shown.freezes > 0),
    row("stats.firstPicture", ms(shown.firstPictureMs)),
  ];
}

/** The points of a line through `values`, oldest left, in a box of `width` × `height`; zero is at the bottom. */
export function sparkline(values: readonly number[], slots: number, width: number, height: number): string {
  const top = Math.max(1, ...values);
  const stepX = width / Math.max(1, slots - 1);
  const firstX = width - (values.length - 1) * stepX;
  return values
    .map((value, index) => `${(firstX + index * stepX).toFixed(1)},${(height - (value / top) * height).toFixed(1)}`)
    .join(" ");
}
