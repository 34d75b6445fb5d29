import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { type ThumbnailGrid, thumbnailGrid, thumbnailImage } from "@/shared/api/cameras";
import { HOUR_MS, type InstantMs } from "@/shared/time/instant";

// Decoded, an hour's stills take some 20 MB.
const KEPT_HOURS = 4;
// A pointer that sweeps over days asks for the hours it rests in.
const REST_MS = 60;
// The running hour grows; an hour without stills may get some.
const STALE_MS = 60_000;

/** A part of a picture. */
export interface Still {
  image: ImageBitmap;
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Hour {
  grid: ThumbnailGrid;
  image: ImageBitmap;
}

type Known = { hour: Hour | null; loadedAt: number };

/** The place of an instant's still in its grid; null where the grid has none. */
export function stillAt(grid: ThumbnailGrid, at: InstantMs): { x: number; y: number } | null {
  const cell = Math.floor((at - grid.start) / grid.periodMs);
  if (cell < 0 || cell >= grid.columns * grid.rows || !grid.shown[cell]) return null;
  return { x: (cell % grid.columns) * grid.cellWidth, y: Math.floor(cell / grid.columns) * grid.cellHeight };
}

/** The still of the wanted instant out of the grid of its hour; null while there is none. */
export function createThumbnails(
  cameraId: Accessor<string>,
  wanted: Accessor<InstantMs | null>,
): Accessor<Still | null> {
  const known = new Map<number, Known>();
  const [still, setStill] = createSignal<Still | null>(null);
  const forget = () => {
    for (const { hour } of known.values()) hour?.image.close();
    known.clear();
  };
  const keep = (start: number, hour: Hour | null) => {
    known.get(start)?.hour?.image.close();
    known.delete(start);
    known.set(start, { hour, loadedAt: Date.now() });
    for (const [oldest, { hour: old }] of known) {
      if (known.size <= KEPT_HOURS) break;
      old?.image.close();
      known.delete(oldest);
    }
  };
  const show = (start: number, at: InstantMs) => {
    const hour = known.get(start)?.hour;
    const place = hour ? stillAt(hour.grid, at) : null;
    setStill(
      hour && place ? { image: hour.image, ...place, width: hour.grid.cellWidth, height: hour.grid.cellHeight } : null,
    );
  };

  createEffect(
    on(
      cameraId,
      () => {
        setStill(null);
        forget();
      },
      { defer: true },
    ),
  );
  createEffect(() => {
    const at = wanted();
    const camera = cameraId();
    if (at === null) {
      setStill(null);
      return;
    }
    const start = Math.floor(at / HOUR_MS) * HOUR_MS;
    show(start, at);
    const found = known.get(start);
    const isComplete = found?.hour && found.hour.grid.madeUntil >= start + HOUR_MS;
    if (found && (isComplete || Date.now() - found.loadedAt < STALE_MS)) return;
    const aborter = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const grid = await thumbnailGrid(camera, start, aborter.signal);
        const image = grid && (await createImageBitmap(await thumbnailImage(camera, start, aborter.signal)));
        if (aborter.signal.aborted) {
          image?.close();
          return;
        }
        setStill(null);
        keep(start, grid && image ? { grid, image } : null);
        show(start, at);
      } catch {
        // The exact picture comes all the same; this hour is asked for again later.
        if (!aborter.signal.aborted && !known.has(start)) keep(start, null);
      }
    }, REST_MS);
    onCleanup(() => {
      clearTimeout(timer);
      aborter.abort();
    });
  });
  onCleanup(forget);
  return still;
}
