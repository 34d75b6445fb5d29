import type { StreamName } from "@/shared/api/types";

// In a grid of four a tile has half the screen's width: there the main stream still shows more.
const LARGE_TILES = 4;

/**
 * Which of a camera's streams to ask for, the best first: the sub stream is enough for small tiles, and each of the two
 * stands in for the other where the browser has no decoder for it.
 */
export function streamPreference(tile: { hasSub: boolean; tilesShown: number; enlarged: boolean }): StreamName[] {
  if (!tile.hasSub) return ["main"];
  return tile.enlarged || tile.tilesShown <= LARGE_TILES ? ["main", "sub"] : ["sub", "main"];
}
