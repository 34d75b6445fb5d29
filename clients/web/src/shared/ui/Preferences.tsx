import type { JSX } from "solid-js";
import { type Locale, locale, setLocale, t } from "@/shared/i18n";
import { setTheme, theme } from "@/shared/theme";
import { IconButton } from "./Button";
import { Icon } from "./Icon";

/** Language and theme. */
export function Preferences(): JSX.Element {
  return (
    <div class="flex items-center gap-1 text-muted">
      <label class="flex items-center gap-1.5 rounded-[7px] px-2 hover:bg-hover">
        <Icon name="globe" size={17} />
        <span class="sr-only">{t("preferences.language")}</span>
        <select
          class="h-9 bg-transparent pr-1 text-ink outline-none *:bg-surface"
          value={locale()}
          onChange={(event) => setLocale(event.currentTarget.value as Locale)}
        >
          <option value="en">English</option>
          <option value="pt-BR">Português (Brasil)</option>
        </select>
      </label>
      <IconButton
        icon={theme() === "dark" ? "sun" : "moon"}
        label={theme() === "dark" ? t("preferences.light") : t("preferences.dark")}
        onClick={() => setTheme(theme() === "dark" ? "light" : "dark")}
      />
    </div>
  );
}
