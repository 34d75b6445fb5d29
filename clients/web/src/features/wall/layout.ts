/** Arrangements of the wall: so many tiles on a page. */
export const SIZES = [1, 4, 9, 16] as const;
export type Size = (typeof SIZES)[number];
export type Choice = Size | "auto";

/** The smallest arrangement that shows all cameras; the largest, in pages, when none does. */
export function autoSize(cameras: number): Size {
  return SIZES.find((size) => size >= cameras) ?? 16;
}

/** Columns and rows of an arrangement; two cameras side by side rather than in a half empty square. */
export function grid(size: Size, cameras: number, narrow: boolean): { columns: number; rows: number } {
  if (narrow) return { columns: size === 1 || cameras <= 4 ? 1 : 2, rows: 0 };
  const side = Math.sqrt(size);
  const shown = Math.min(size, Math.max(1, cameras));
  const columns = Math.min(side, shown);
  return { columns, rows: Math.ceil(shown / columns) };
}

export function pageCount(cameras: number, size: Size): number {
  return Math.max(1, Math.ceil(cameras / size));
}

/** Where the focus goes from tile `index` of `count` with an arrow key; stays at the edges. */
export function moveFocus(index: number, key: string, columns: number, count: number): number {
  const moves: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const step = moves[key];
  if (step === undefined) return index;
  const next = index + step;
  return next < 0 || next >= count ? index : next;
}
