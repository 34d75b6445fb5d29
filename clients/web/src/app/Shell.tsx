import { DropdownMenu } from "@kobalte/core/dropdown-menu";
import { A, useLocation, useNavigate } from "@solidjs/router";
import { For, type JSX, Suspense } from "solid-js";
import { loggedIn, session } from "@/shared/api/client";
import { may, me, type Permission } from "@/shared/api/me";
import { type Key, LOCALES, type Locale, locale, setLocale, t } from "@/shared/i18n";
import { setTheme, type Theme, theme } from "@/shared/theme";
import { Icon, type IconName, Mark, Spinner } from "@/shared/ui/Icon";

interface Place {
  path: string;
  icon: IconName;
  label: Key;
  needs?: Permission;
  /** On a narrow screen it is in the menu: eight places side by side are too small for a finger. */
  folds?: boolean;
}

const PLACES: Place[] = [
  { path: "/", icon: "wall", label: "nav.wall" },
  { path: "/cameras", icon: "camera", label: "nav.cameras" },
  { path: "/events", icon: "bell", label: "nav.events", needs: "recordings:watch" },
  { path: "/analytics", icon: "analytics", label: "nav.analytics", needs: "recordings:watch" },
  { path: "/exports", icon: "download", label: "nav.exports", needs: "recordings:export", folds: true },
  { path: "/storage", icon: "disk", label: "nav.storage", folds: true },
  { path: "/ai", icon: "chip", label: "nav.ai", needs: "metrics:read", folds: true },
];

const ITEM =
  "flex min-h-9 w-full cursor-pointer items-center gap-2.5 rounded-md px-2.5 outline-none data-[highlighted]:bg-hover";

/** The frame of every page: a rail of places, at the bottom of a narrow screen. */
export function Shell(props: { children?: JSX.Element }): JSX.Element {
  const location = useLocation();
  const navigate = useNavigate();
  const isHere = (path: string) => {
    const here = location.pathname;
    if (path === "/") return here === "/";
    return here === path || (here.startsWith(`${path}/`) && path !== "/");
  };
  const places = () => PLACES.filter((place) => !place.needs || me() === null || may(place.needs));
  return (
    <div class="flex h-dvh flex-col-reverse sm:flex-row">
      <button
        type="button"
        class="sr-only z-50 rounded-md bg-accent px-3 py-2 text-accent-ink focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
        onClick={() => document.getElementById("main")?.focus()}
      >
        {t("nav.skip")}
      </button>
      <nav
        aria-label={t("nav.label")}
        class="flex shrink-0 items-center border-line bg-surface max-sm:justify-around max-sm:border-t max-sm:pb-[env(safe-area-inset-bottom)] sm:w-[88px] sm:flex-col sm:border-r sm:py-3"
      >
        <span class="mb-4 hidden sm:block" title="VMS Enterprise">
          <Mark size={34} />
        </span>
        <For each={places()}>
          {(place) => (
            <A
              href={place.path}
              aria-current={isHere(place.path) ? "page" : undefined}
              class="relative grid min-h-14 min-w-0 flex-1 justify-items-center sm:flex-none gap-0.5 rounded-lg py-2 text-[10.5px] sm:px-1 sm:text-[11.5px] sm:mb-1 sm:w-[78px]"
              classList={{
                "max-sm:hidden": place.folds === true,
                "text-accent bg-accent-soft": isHere(place.path),
                "text-muted hover:bg-hover hover:text-ink": !isHere(place.path),
              }}
            >
              <Icon name={place.icon} size={21} />
              <span class="max-w-full max-sm:truncate">{t(place.label)}</span>
            </A>
          )}
        </For>
        <DropdownMenu placement="right-end" gutter={8}>
          <DropdownMenu.Trigger class="grid min-h-14 min-w-0 flex-1 justify-items-center sm:flex-none gap-0.5 rounded-lg py-2 text-[10.5px] sm:px-1 sm:text-[11.5px] text-muted hover:bg-hover hover:text-ink sm:mt-auto sm:w-[78px]">
            <Icon name="user" size={21} />
            <span class="max-w-full truncate max-sm:hidden">{loggedIn()?.username || t("nav.account")}</span>
            <span class="max-w-full truncate sm:hidden">{t("nav.more")}</span>
          </DropdownMenu.Trigger>
          <DropdownMenu.Portal>
            <DropdownMenu.Content class="panel z-50 min-w-56 bg-surface p-1.5 shadow-2xl outline-none">
              <div class="sm:hidden">
                <For each={places().filter((place) => place.folds)}>
                  {(place) => (
                    <DropdownMenu.Item class={ITEM} onSelect={() => navigate(place.path)}>
                      <span class="grid w-5 place-items-center">
                        <Icon name={place.icon} size={17} />
                      </span>
                      {t(place.label)}
                    </DropdownMenu.Item>
                  )}
                </For>
                <DropdownMenu.Separator class="my-1.5 border-line" />
              </div>
              <DropdownMenu.Group>
                <DropdownMenu.GroupLabel class="px-2.5 pt-1.5 pb-1 text-[12px] text-muted">
                  {t("preferences.language")}
                </DropdownMenu.GroupLabel>
                <DropdownMenu.RadioGroup value={locale()} onChange={(value) => setLocale(value as Locale)}>
                  <For each={LOCALES}>
                    {(entry) => (
                      <DropdownMenu.RadioItem value={entry} class={ITEM}>
                        <span class="grid w-5 place-items-center">
                          {locale() === entry && <Icon name="check" size={16} />}
                        </span>
                        {entry === "en" ? "English" : "Português (Brasil)"}
                      </DropdownMenu.RadioItem>
                    )}
                  </For>
                </DropdownMenu.RadioGroup>
              </DropdownMenu.Group>
              <DropdownMenu.Separator class="my-1.5 border-line" />
              <DropdownMenu.Group>
                <DropdownMenu.GroupLabel class="px-2.5 pt-1 pb-1 text-[12px] text-muted">
                  {t("preferences.theme")}
                </DropdownMenu.GroupLabel>
                <DropdownMenu.RadioGroup value={theme()} onChange={(value) => setTheme(value as Theme)}>
                  <For each={["dark", "light"] as const}>
                    {(entry) => (
                      <DropdownMenu.RadioItem value={entry} class={ITEM}>
                        <span class="grid w-5 place-items-center">
                          {theme() === entry && <Icon name="check" size={16} />}
                        </span>
                        {t(entry === "dark" ? "preferences.dark" : "preferences.light")}
                      </DropdownMenu.RadioItem>
                    )}
                  </For>
                </DropdownMenu.RadioGroup>
              </DropdownMenu.Group>
              <DropdownMenu.Separator class="my-1.5 border-line" />
              <DropdownMenu.Item class={ITEM} onSelect={() => void session.logOut()}>
                <span class="grid w-5 place-items-center">
                  <Icon name="logout" size={17} />
                </span>
                {t("nav.logOut")}
              </DropdownMenu.Item>
            </DropdownMenu.Content>
          </DropdownMenu.Portal>
        </DropdownMenu>
      </nav>
      <main id="main" tabIndex={-1} class="min-h-0 min-w-0 flex-1 outline-none">
        <Suspense
          fallback={
            <div class="grid h-full place-items-center text-muted">
              <Spinner size={28} />
            </div>
          }
        >
          {props.children}
        </Suspense>
      </main>
    </div>
  );
}
