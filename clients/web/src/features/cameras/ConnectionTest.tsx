import { createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { getStatus } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import type { CameraStatus } from "@/shared/api/types";
import { regional, t } from "@/shared/i18n";
import { bitrateText } from "@/shared/time/format";
import { Icon, Spinner } from "@/shared/ui/Icon";

const EVERY_MS = 700;

/** What the server sees of a camera that was just saved, until it is known. */
export function ConnectionTest(props: { cameraId: string }): JSX.Element {
  const [status, setStatus] = createSignal<CameraStatus | null>(null);
  onMount(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const aborter = new AbortController();
    const look = async () => {
      try {
        setStatus(await getStatus(props.cameraId, aborter.signal));
      } catch (error) {
        if (!(error instanceof Problem) && !aborter.signal.aborted) throw error;
      }
      if (!aborter.signal.aborted) timer = setTimeout(() => void look(), EVERY_MS);
    };
    void look();
    onCleanup(() => {
      clearTimeout(timer);
      aborter.abort();
    });
  });
  const state = () => status()?.state ?? "connecting";
  const facts = () => {
    const found = status();
    if (!found) return "";
    const size = found.width > 0 ? `${found.width}×${found.height}` : "";
    return [
      found.codec?.toUpperCase() ?? "",
      size,
      found.fps > 0 ? `${Math.round(found.fps)} fps` : "",
      found.bitrate_bps > 0 ? bitrateText(found.bitrate_bps, regional()) : "",
    ]
      .filter((part) => part !== "")
      .join(" · ");
  };
  return (
    <div
      role="status"
      data-testid="connection-test"
      class="flex gap-3 rounded-lg border px-3.5 py-3"
      classList={{
        "border-ok/50 bg-raised": state() === "online",
        "border-line bg-raised": state() === "connecting",
        "border-bad/40 bg-bad-soft": state() !== "online" && state() !== "connecting",
      }}
    >
      <Show when={state() !== "connecting"} fallback={<Spinner size={20} class="text-accent" />}>
        <Icon
          name={state() === "online" ? "check" : state() === "unauthorized" ? "lock" : "offline"}
          class={state() === "online" ? "text-ok" : "text-bad"}
        />
      </Show>
      <div class="min-w-0">
        <p class="font-medium">{t(`test.${state()}`)}</p>
        <p class="break-words text-[13px] text-muted">{state() === "online" ? facts() : status()?.reason}</p>
      </div>
    </div>
  );
}
