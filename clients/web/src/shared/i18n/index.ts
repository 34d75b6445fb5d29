import { createEffect, createRoot, createSignal } from "solid-js";
import { en } from "./en";
import { ptBR } from "./pt-br";

export type Locale = "en" | "pt-BR";
export type Key = keyof typeof en;
/** Keys of texts that differ by number: there are `KEY_one` and `KEY_other`. */
export type CountedKey = Key extends infer K ? (K extends `${infer Stem}_one` ? Stem : never) : never;

export const LOCALES: readonly Locale[] = ["en", "pt-BR"];

const STORAGE_KEY = "vms.locale";
const texts: Record<Locale, Record<Key, string>> = { en, "pt-BR": ptBR };

/** The language that suits a list of the browser's preferences best. */
export function preferredLocale(preferences: readonly string[]): Locale {
  for (const wanted of preferences) {
    const language = wanted.toLowerCase().split("-")[0];
    if (language === "pt") return "pt-BR";
    if (language === "en") return "en";
  }
  return "en";
}

function remembered(): Locale {
  if (typeof window === "undefined") return "en";
  try {
    const found = window.localStorage.getItem(STORAGE_KEY);
    if (found === "en" || found === "pt-BR") return found;
  } catch {
    // Storage is switched off: the browser's languages decide.
  }
  return preferredLocale(navigator.languages ?? [navigator.language]);
}

const [locale, setLocaleSignal] = createSignal<Locale>(remembered());

/** The language in use. */
export { locale };

/** The browser's variant of the language in use, which says how dates and numbers are written (en-GB, en-US, …). */
export function regional(): string {
  const language = locale().slice(0, 2);
  const variants = typeof navigator === "undefined" ? [] : (navigator.languages ?? []);
  return variants.find((entry) => entry.toLowerCase().startsWith(language)) ?? locale();
}

export function setLocale(wanted: Locale): void {
  setLocaleSignal(wanted);
  try {
    window.localStorage.setItem(STORAGE_KEY, wanted);
  } catch {
    // Not remembered then.
  }
}

if (typeof document !== "undefined") {
  createRoot(() => {
    createEffect(() => {
      document.documentElement.lang = locale();
    });
  });
}

/** `{name}` in a text is replaced by the parameter of that name. */
export function fill(text: string, parameters: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(parameters[name] ?? whole));
}

/** The text in the language in use. */
export function t(key: Key, parameters: Record<string, string | number> = {}): string {
  return fill(texts[locale()][key], parameters);
}

/** The text for so many things; `{count}` is the number. */
export function tn(key: CountedKey, count: number, parameters: Record<string, string | number> = {}): string {
  const form = new Intl.PluralRules(locale()).select(count) === "one" ? "one" : "other";
  return fill(texts[locale()][`${key}_${form}` as Key], { count: count.toLocaleString(locale()), ...parameters });
}
