import type { CameraStatus, StreamChoice, StreamName } from "@/shared/api/types";

// In a grid of four a tile has half the screen's width: there the main stream still shows more.
const LARGE_TILES = 4;
const WIDTH_TO_HEIGHT = 16 / 9;
// What most cameras' sub streams have, where the camera's own is not known.
const LIKELY_SUB_HEIGHT_PX = 480;

/**
 * Which of a camera's streams to ask for, the best first. The server chooses where there are two, and changes between
 * them without a break. It cannot change between codecs: then the page chooses, the sub stream for small tiles, and each
 * of the two stands in for the other where the browser has no decoder for it.
 */
export function streamPreference(tile: {
  hasSub: boolean;
  status: CameraStatus | undefined;
  tilesShown: number;
  enlarged: boolean;
}): StreamChoice[] {
  if (!tile.hasSub) return ["main"];
  const main = tile.status?.streams?.main?.codec;
  const sub = tile.status?.streams?.sub?.codec;
  if (!main || !sub || main === sub) return ["auto"];
  return tile.enlarged || tile.tilesShown <= LARGE_TILES ? ["main", "sub"] : ["sub", "main"];
}

/**
 * The height that the server is told a picture has on the screen, 0 while it has none. In device pixels; on walls of many
 * tiles in the page's own, since sixteen main streams cost the viewer's machine more than sharpness is worth.
 */
export function pictureHeightPx(
  box: { width: number; height: number },
  tilesShown: number,
  pixelRatio: number,
): number {
  const height = Math.min(box.height, box.width / WIDTH_TO_HEIGHT);
  return Math.round(height * (tilesShown > LARGE_TILES ? 1 : Math.max(1, pixelRatio)));
}

/** The stream that runs, told from the height of its pictures; the choice itself while that is not known. */
export function runningStream(
  choice: StreamChoice,
  pictureHeight: number,
  status: CameraStatus | undefined,
): StreamChoice {
  const main = status?.streams?.main?.height;
  const sub = status?.streams?.sub?.height;
  if (choice !== "auto" || pictureHeight === 0 || !main || !sub || main === sub) return choice;
  return Math.abs(pictureHeight - sub) < Math.abs(pictureHeight - main) ? "sub" : "main";
}

/** The stream to make a still of. */
export function stillStream(choice: StreamChoice, heightPx: number): StreamName {
  if (choice !== "auto") return choice;
  return heightPx <= LIKELY_SUB_HEIGHT_PX ? "sub" : "main";
}
