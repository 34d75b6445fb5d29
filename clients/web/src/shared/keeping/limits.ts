import type { Retention } from "@/shared/api/types";
import type { Key } from "@/shared/i18n";

/** How long recordings are kept, as fields hold it: text, empty without that limit. */
export interface LimitsForm {
  retentionDays: string;
  /** Gigabytes of 10⁹ bytes. */
  retentionGb: string;
  minDays: string;
  mainDays: string;
}

export const NO_LIMITS: LimitsForm = { retentionDays: "", retentionGb: "", minDays: "", mainDays: "" };

const BYTES_PER_GB = 1e9;
const LONGEST_DAYS = 36_500;
const DAYS = /^[1-9]\d{0,4}$/;
const GB = /^\d{1,9}([.,]\d{1,9})?$/;

const textOf = (value: number | null | undefined): string => (value == null ? "" : String(value));
const daysOf = (text: string): number | null => (text.trim() === "" ? null : Number(text));
const isDays = (text: string): boolean =>
  text.trim() === "" || (DAYS.test(text.trim()) && Number(text) <= LONGEST_DAYS);

/** The bytes that so many gigabytes are, with a point or a comma; null of an empty field and of what is no number. */
export function bytesOf(gigabytes: string): number | null {
  const text = gigabytes.trim();
  return GB.test(text) ? Math.round(Number(text.replace(",", ".")) * BYTES_PER_GB) : null;
}

export function limitsFormOf(retention: Retention | null | undefined): LimitsForm {
  return {
    retentionDays: textOf(retention?.days),
    retentionGb: retention?.max_bytes == null ? "" : String(retention.max_bytes / BYTES_PER_GB),
    minDays: textOf(retention?.min_days),
    mainDays: textOf(retention?.main_days),
  };
}

/** What is wrong with the limits before the server is asked. */
export function checkLimits(form: LimitsForm): Map<keyof LimitsForm, Key> {
  const wrong = new Map<keyof LimitsForm, Key>();
  for (const field of ["retentionDays", "minDays", "mainDays"] as const) {
    if (!isDays(form[field])) wrong.set(field, "cameras.daysWrong");
  }
  if (form.retentionGb.trim() !== "" && !bytesOf(form.retentionGb)) wrong.set("retentionGb", "cameras.gbWrong");
  const guaranteed = daysOf(form.minDays);
  if (!wrong.has("minDays") && guaranteed !== null) {
    const limits = [daysOf(form.retentionDays), daysOf(form.mainDays)];
    if (limits.some((days) => days !== null && guaranteed > days)) wrong.set("minDays", "cameras.minDaysWrong");
  }
  return wrong;
}

export function retentionOf(form: LimitsForm): Required<Retention> {
  return {
    days: daysOf(form.retentionDays),
    max_bytes: bytesOf(form.retentionGb),
    min_days: daysOf(form.minDays),
    main_days: daysOf(form.mainDays),
  };
}
