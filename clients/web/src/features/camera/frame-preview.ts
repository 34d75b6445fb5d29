import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { frameAt } from "@/shared/api/cameras";
import type { InstantMs } from "@/shared/time/instant";

// The server decodes from the key frame on for every still: ask where the pointer rests, not where it passes.
const REST_MS = 140;
const KEPT = 60;
// Stills of the same second are taken for the same.
const GRAIN_MS = 1_000;
const HEIGHT_PX = 180;

/** A picture as an object URL, and whether it is of an instant. */
export interface FramePreview {
  url: string;
  isOf: (at: InstantMs | null) => boolean;
}

/** A still of the wanted instant; until it is there the one before it, null while there is none. The last ones are kept. */
export function createFramePreview(
  cameraId: Accessor<string>,
  wanted: Accessor<InstantMs | null>,
): Accessor<FramePreview | null> {
  const kept = new Map<number, string>();
  const [shown, setShown] = createSignal<FramePreview | null>(null);
  const show = (grain: number, url: string) =>
    setShown({ url, isOf: (at) => at !== null && Math.floor(at / GRAIN_MS) === grain });
  const forget = () => {
    for (const entry of kept.values()) URL.revokeObjectURL(entry);
    kept.clear();
  };

  createEffect(on(cameraId, forget, { defer: true }));
  createEffect(() => {
    const at = wanted();
    if (at === null) {
      setShown(null);
      return;
    }
    const grain = Math.floor(at / GRAIN_MS);
    const found = kept.get(grain);
    if (found !== undefined) {
      show(grain, found);
      return;
    }
    const aborter = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const loaded = URL.createObjectURL(await frameAt(cameraId(), at, HEIGHT_PX, aborter.signal));
        const [oldest] = kept;
        if (kept.size >= KEPT && oldest) {
          URL.revokeObjectURL(oldest[1]);
          kept.delete(oldest[0]);
        }
        kept.set(grain, loaded);
        show(grain, loaded);
      } catch {
        // No still there, or the pointer moved on: the time alone is shown.
        if (!aborter.signal.aborted) setShown(null);
      }
    }, REST_MS);
    onCleanup(() => {
      clearTimeout(timer);
      aborter.abort();
    });
  });
  onCleanup(forget);
  return shown;
}
