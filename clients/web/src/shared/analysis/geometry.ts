import type { Corner } from "@/shared/api/analysis-types";

/** Shapes on a picture: corners are fractions of it, 0–1 from the upper left; pixels where the argument says so. */
export interface Size {
  width: number;
  height: number;
}

export interface Rectangle extends Size {
  left: number;
  top: number;
}

export const clampFraction = (value: number): number => Math.min(1, Math.max(0, value));
// Four digits are a tenth of a pixel of a 1000-pixel picture, and keep documents short.
const rounded = (value: number): number => Math.round(value * 10_000) / 10_000;

export const corner = (x: number, y: number): Corner => [rounded(clampFraction(x)), rounded(clampFraction(y))];

/** Where a picture of that shape lies in its element, in the element's pixels. */
export function pictureIn(element: Size, picture: Size, fit: "contain" | "cover" = "contain"): Rectangle {
  if (picture.width <= 0 || picture.height <= 0) return { left: 0, top: 0, ...element };
  const across = element.width / picture.width;
  const down = element.height / picture.height;
  const scale = fit === "contain" ? Math.min(across, down) : Math.max(across, down);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return { left: (element.width - width) / 2, top: (element.height - height) / 2, width, height };
}

const distance = (ax: number, ay: number, bx: number, by: number): number => Math.hypot(ax - bx, ay - by);

/** Which corner lies within `reachPx` of a place, the nearest; -1 for none. All in fractions of a picture of `size`. */
export function cornerNear(corners: readonly Corner[], at: Corner, size: Size, reachPx: number): number {
  let best = -1;
  let nearestPx = reachPx;
  for (const [index, [x, y]] of corners.entries()) {
    const awayPx = distance(x * size.width, y * size.height, at[0] * size.width, at[1] * size.height);
    if (awayPx <= nearestPx) {
      best = index;
      nearestPx = awayPx;
    }
  }
  return best;
}

/** The edges as pairs of indices; a closed shape has one from the last corner to the first. */
export function edges(count: number, closed: boolean): [number, number][] {
  const found: [number, number][] = [];
  for (let index = 0; index + 1 < count; index += 1) found.push([index, index + 1]);
  if (closed && count > 2) found.push([count - 1, 0]);
  return found;
}

/** Between which corners a place lies nearest, as the index a new corner there would get, and how far off, in pixels. */
export function edgeNear(
  corners: readonly Corner[],
  closed: boolean,
  at: Corner,
  size: Size,
): { index: number; awayPx: number } {
  let best = { index: corners.length, awayPx: Number.POSITIVE_INFINITY };
  const [px, py] = [at[0] * size.width, at[1] * size.height];
  for (const [from, to] of edges(corners.length, closed)) {
    const [ax, ay] = toPixels(corners[from], size);
    const [bx, by] = toPixels(corners[to], size);
    const length2 = (bx - ax) ** 2 + (by - ay) ** 2;
    const along = length2 === 0 ? 0 : clampFraction(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length2);
    const awayPx = distance(px, py, ax + along * (bx - ax), ay + along * (by - ay));
    if (awayPx < best.awayPx) best = { index: from + 1, awayPx };
  }
  return best;
}

export function toPixels(at: Corner | undefined, size: Size): Corner {
  return at ? [at[0] * size.width, at[1] * size.height] : [0, 0];
}

/** With another corner at that index. */
export function insertCorner(corners: readonly Corner[], index: number, at: Corner): Corner[] {
  return [...corners.slice(0, index), corner(at[0], at[1]), ...corners.slice(index)];
}

/** Without a corner, as long as `least` stay. */
export function removeCorner(corners: readonly Corner[], index: number, least: number): Corner[] {
  if (corners.length <= least) return [...corners];
  return corners.filter((_, place) => place !== index);
}

export function moveCorner(corners: readonly Corner[], index: number, to: Corner): Corner[] {
  return corners.map((at, place) => (place === index ? corner(to[0], to[1]) : at));
}

/** All of it moved, as far as all of it stays within the picture. */
export function moveShape(corners: readonly Corner[], byX: number, byY: number): Corner[] {
  if (corners.length === 0) return [];
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  const dx = Math.min(1 - Math.max(...xs), Math.max(-Math.min(...xs), byX));
  const dy = Math.min(1 - Math.max(...ys), Math.max(-Math.min(...ys), byY));
  return corners.map(([x, y]) => corner(x + dx, y + dy));
}

/** Whether a place is inside of a polygon (even–odd). */
export function isInside(polygon: readonly Corner[], at: Corner): boolean {
  let inside = false;
  for (const [from, to] of edges(polygon.length, true)) {
    const [ax, ay] = polygon[from] ?? [0, 0];
    const [bx, by] = polygon[to] ?? [0, 0];
    if (ay > at[1] !== by > at[1] && at[0] < ((bx - ax) * (at[1] - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

const turn = (a: Corner, b: Corner, c: Corner): number =>
  Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));

/** Whether edges that are not neighbours cross: what is inside of such a shape is not what people expect. */
export function crossesItself(corners: readonly Corner[], closed: boolean): boolean {
  const all = edges(corners.length, closed);
  for (const [first, [a, b]] of all.entries()) {
    for (const [c, d] of all.slice(first + 1)) {
      if (a === c || a === d || b === c || b === d) continue;
      const [p, q, r, s] = [corners[a], corners[b], corners[c], corners[d]];
      if (!p || !q || !r || !s) continue;
      if (turn(p, q, r) !== turn(p, q, s) && turn(r, s, p) !== turn(r, s, q)) return true;
    }
  }
  return false;
}

/** A line seen from its other end: what was its left is its right. */
export const reversed = (line: readonly Corner[]): Corner[] => [...line].reverse();

/** The middle of a line by its length in pixels, and the unit vector to its right there, as seen along it. */
export function middleOf(
  line: readonly Corner[],
  size: Size,
): { x: number; y: number; rightX: number; rightY: number } {
  const points = line.map((at) => toPixels(at, size));
  const parts = edges(points.length, false).map(([a, b]) => {
    const [ax, ay] = points[a] ?? [0, 0];
    const [bx, by] = points[b] ?? [0, 0];
    return { ax, ay, bx, by, length: distance(ax, ay, bx, by) };
  });
  let left = parts.reduce((sum, part) => sum + part.length, 0) / 2;
  for (const { ax, ay, bx, by, length } of parts) {
    if (left <= length && length > 0) {
      const [dx, dy] = [(bx - ax) / length, (by - ay) / length];
      // The picture's y points down, so that right of "up" is "+x".
      return { x: ax + dx * left, y: ay + dy * left, rightX: -dy, rightY: dx };
    }
    left -= length;
  }
  const [x, y] = points[0] ?? [0, 0];
  return { x, y, rightX: 1, rightY: 0 };
}
