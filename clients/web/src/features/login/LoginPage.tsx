import { createSignal, type JSX, onCleanup, Show } from "solid-js";
import { session } from "@/shared/api/client";
import { Problem } from "@/shared/api/problem";
import { t, tn } from "@/shared/i18n";
import { problemText } from "@/shared/i18n/problems";
import { Button } from "@/shared/ui/Button";
import { Field } from "@/shared/ui/Field";
import { Icon, Mark } from "@/shared/ui/Icon";
import { Notice } from "@/shared/ui/Notice";
import { Preferences } from "@/shared/ui/Preferences";

// Where a server says "too many" without saying for how long.
const DEFAULT_WAIT_S = 30;

/** Name and password, kindly. */
export default function LoginPage(props: { ended: boolean }): JSX.Element {
  const [username, setUsername] = createSignal("");
  const [password, setPassword] = createSignal("");
  const [otp, setOtp] = createSignal("");
  const [needsOtp, setNeedsOtp] = createSignal(false);
  const [reveal, setReveal] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [waitS, setWaitS] = createSignal(0);
  let passwordField: HTMLInputElement | undefined;

  const clock = setInterval(() => {
    if (waitS() === 0) return;
    setWaitS(waitS() - 1);
    if (waitS() === 0) setProblem(null);
  }, 1_000);
  onCleanup(() => clearInterval(clock));

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy() || waitS() > 0) return;
    setBusy(true);
    setProblem(null);
    try {
      await session.logIn(username().trim(), password(), otp().trim() || undefined);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (/otp|mfa/.test(error.code)) setNeedsOtp(true);
      else if (error.status === 429) setWaitS(Math.max(1, error.retryAfterS ?? DEFAULT_WAIT_S));
      setProblem(error);
      if (error.code === "invalid-credentials") {
        setPassword("");
        passwordField?.focus();
      }
    } finally {
      setBusy(false);
    }
  };

  return (
    <main class="grid min-h-full grid-rows-[1fr_auto] overflow-y-auto bg-ground px-4">
      <div class="m-auto w-full max-w-[380px] py-10">
        <div class="mb-7 flex items-center gap-3">
          <Mark size={40} />
          <div>
            <p class="font-semibold text-[19px] leading-tight">VMS Enterprise</p>
            <p class="text-muted">{t("login.tagline")}</p>
          </div>
        </div>
        <form class="panel grid gap-4 p-5 shadow-xl shadow-black/10" onSubmit={(event) => void submit(event)}>
          <h1 class="font-semibold text-[17px]">{t("login.title")}</h1>
          <Show when={props.ended && !problem()}>
            <Notice kind="info" icon="clock" title={t("login.ended")} />
          </Show>
          <Field label={t("login.username")}>
            {(attributes) => (
              <input
                {...attributes}
                class="field"
                name="username"
                autocomplete="username"
                autocapitalize="none"
                spellcheck={false}
                required
                autofocus
                value={username()}
                onInput={(event) => setUsername(event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={t("login.password")}>
            {(attributes) => (
              <div class="relative">
                <input
                  {...attributes}
                  ref={passwordField}
                  class="field pr-20"
                  name="password"
                  type={reveal() ? "text" : "password"}
                  autocomplete="current-password"
                  required
                  value={password()}
                  onInput={(event) => setPassword(event.currentTarget.value)}
                />
                <button
                  type="button"
                  class="absolute inset-y-1 right-1 rounded-md px-2.5 text-[13px] text-muted hover:bg-hover hover:text-ink"
                  aria-pressed={reveal()}
                  onClick={() => setReveal(!reveal())}
                >
                  {reveal() ? t("login.hide") : t("login.show")}
                </button>
              </div>
            )}
          </Field>
          <Show when={needsOtp()}>
            <Field label={t("login.otp")}>
              {(attributes) => (
                <input
                  {...attributes}
                  class="field tabular-nums tracking-widest"
                  name="otp"
                  inputmode="numeric"
                  autocomplete="one-time-code"
                  maxLength={8}
                  value={otp()}
                  onInput={(event) => setOtp(event.currentTarget.value)}
                />
              )}
            </Field>
          </Show>
          <Show when={problem()}>
            {(found) => (
              <Show
                when={waitS() > 0}
                fallback={
                  <Notice kind="bad" title={problemText(found()).title}>
                    {found().code === "invalid-credentials" ? t("login.checkCapsLock") : problemText(found()).detail}
                  </Notice>
                }
              >
                <Notice kind="warn" icon="clock" title={t("login.tooMany")}>
                  <span class="tabular-nums">{tn("login.waitSeconds", waitS())}</span>
                </Notice>
              </Show>
            )}
          </Show>
          <Button type="submit" kind="primary" busy={busy()} disabled={waitS() > 0}>
            <Show when={waitS() > 0} fallback={t("login.submit")}>
              <Icon name="clock" size={17} />
              <span class="tabular-nums">{waitS()} s</span>
            </Show>
          </Button>
        </form>
      </div>
      <footer class="flex justify-center pb-5">
        <Preferences />
      </footer>
    </main>
  );
}
