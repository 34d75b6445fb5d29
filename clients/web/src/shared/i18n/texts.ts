import { fill, type Locale, locale } from "./index";

/** Texts of one part of the page, which come with it: the same keys in every language. */
export interface Texts<Key extends string> {
  (key: Key, parameters?: Record<string, string | number>): string;
  readonly all: Record<Locale, Record<Key, string>>;
}

/** A function that gives a part's texts in the language in use; `{name}` in a text is filled in. */
export function textsOf<Key extends string>(en: Record<Key, string>, ptBR: Record<Key, string>): Texts<Key> {
  const all: Record<Locale, Record<Key, string>> = { en, "pt-BR": ptBR };
  const text = (key: Key, parameters: Record<string, string | number> = {}) => fill(all[locale()][key], parameters);
  return Object.assign(text, { all });
}
