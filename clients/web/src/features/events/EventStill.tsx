import { createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { pictureIn } from "@/shared/analysis/geometry";
import { eventStill } from "@/shared/api/analysis";
import type { Box } from "@/shared/api/analysis-types";
import { frameAt } from "@/shared/api/cameras";
import { Problem } from "@/shared/api/problem";
import type { InstantMs } from "@/shared/time/instant";
import { Icon } from "@/shared/ui/Icon";

const HEIGHT_PX = 160;
// The server decodes for each of them: so many at once, the rest wait their turn.
const AT_ONCE = 3;
// What has just happened is on the disk, and so a still, a little later.
const FRESH_MS = 10_000;
const AGAIN_MS = 3_000;

let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/**
 * An event's own picture where it has one (`eventId`), else what the camera showed when it began; asked for once it
 * comes into view.
 */
export function EventStill(props: { cameraId: string; at: InstantMs; eventId: string | null }): JSX.Element {
  const [url, setUrl] = createSignal<string | null>(null);
  const [box, setBox] = createSignal<Box | null>(null);
  const [frame, setFrame] = createSignal<JSX.CSSProperties | null>(null);
  const [none, setNone] = createSignal(false);
  const aborter = new AbortController();
  let root: HTMLSpanElement | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const picture = async (): Promise<Blob> => {
    if (props.eventId !== null) {
      try {
        const still = await eventStill(props.eventId, aborter.signal);
        setBox(still.box);
        return still.picture;
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 404) throw error;
      }
    }
    return frameAt(props.cameraId, props.at, HEIGHT_PX, aborter.signal);
  };
  const load = async () => {
    try {
      const blob = await inTurn(async () => (aborter.signal.aborted ? null : picture()));
      if (blob && !aborter.signal.aborted) setUrl(URL.createObjectURL(blob));
    } catch (error) {
      if (aborter.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      if (Date.now() - props.at < FRESH_MS) timer = setTimeout(() => void load(), AGAIN_MS);
      else setNone(true);
    }
  };
  // The thumbnail shows the middle of a picture of another shape.
  const place = (image: HTMLImageElement) => {
    const found = box();
    if (found === null) return;
    const element = { width: image.clientWidth, height: image.clientHeight };
    const shown = pictureIn(element, { width: image.naturalWidth, height: image.naturalHeight }, "cover");
    const [left, top, right, bottom] = found;
    setFrame({
      left: `${(100 * (shown.left + left * shown.width)) / element.width}%`,
      top: `${(100 * (shown.top + top * shown.height)) / element.height}%`,
      width: `${(100 * (right - left) * shown.width) / element.width}%`,
      height: `${(100 * (bottom - top) * shown.height) / element.height}%`,
    });
  };
  onMount(() => {
    if (!root) return;
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      void load();
    });
    observer.observe(root);
    onCleanup(() => observer.disconnect());
  });
  onCleanup(() => {
    clearTimeout(timer);
    aborter.abort();
    const shown = url();
    if (shown) URL.revokeObjectURL(shown);
  });
  return (
    <span
      ref={root}
      class="relative grid aspect-video w-28 shrink-0 place-items-center overflow-hidden rounded-md bg-stage text-muted sm:w-36"
    >
      <Show when={url()} fallback={none() ? <Icon name="photo" size={20} class="opacity-40" /> : null}>
        {(shown) => (
          <img src={shown()} alt="" class="h-full w-full object-cover" onLoad={(event) => place(event.currentTarget)} />
        )}
      </Show>
      <Show when={frame()}>
        {(style) => (
          <span
            class="pointer-events-none absolute rounded-[2px] outline outline-[1.5px] outline-[#ffd166]"
            style={style()}
            data-testid="still-box"
          />
        )}
      </Show>
    </span>
  );
}
