import { describe, expect, it } from "vitest";
import type { Corner } from "@/shared/api/analysis-types";
import {
  corner,
  cornerNear,
  crossesItself,
  edgeNear,
  insertCorner,
  isInside,
  middleOf,
  moveCorner,
  moveShape,
  pictureIn,
  removeCorner,
  reversed,
} from "./geometry";

const SQUARE: Corner[] = [
  [0.2, 0.2],
  [0.8, 0.2],
  [0.8, 0.8],
  [0.2, 0.8],
];
const BOW: Corner[] = [
  [0.2, 0.2],
  [0.8, 0.8],
  [0.8, 0.2],
  [0.2, 0.8],
];
const SIZE = { width: 1000, height: 500 };

describe("a picture in its element", () => {
  it("has bars beside it, or is cut at its sides", () => {
    expect(pictureIn({ width: 400, height: 400 }, { width: 16, height: 9 })).toEqual({
      left: 0,
      top: 87.5,
      width: 400,
      height: 225,
    });
    const cut = pictureIn({ width: 400, height: 400 }, { width: 2, height: 1 }, "cover");
    expect(cut).toEqual({ left: -200, top: 0, width: 800, height: 400 });
  });
  it("fills it while its size is unknown", () => {
    expect(pictureIn({ width: 40, height: 30 }, { width: 0, height: 0 })).toEqual({
      left: 0,
      top: 0,
      width: 40,
      height: 30,
    });
  });
});

describe("corners", () => {
  it("are found within reach, measured on the screen", () => {
    expect(cornerNear(SQUARE, [0.81, 0.21], SIZE, 20)).toBe(1);
    expect(cornerNear(SQUARE, [0.81, 0.25], SIZE, 20)).toBe(-1);
    expect(cornerNear([], [0, 0], SIZE, 20)).toBe(-1);
  });
  it("stay within the picture, with four digits", () => {
    expect(corner(1.2, -0.3)).toEqual([1, 0]);
    expect(moveCorner(SQUARE, 2, [0.123456, 2])[2]).toEqual([0.1235, 1]);
  });
  it("are inserted on the nearest edge, the closing one too", () => {
    expect(edgeNear(SQUARE, true, [0.5, 0.21], SIZE).index).toBe(1);
    const closing = edgeNear(SQUARE, true, [0.21, 0.5], SIZE);
    expect(closing).toEqual({ index: 4, awayPx: expect.closeTo(10) });
    expect(insertCorner(SQUARE, closing.index, [0.2, 0.5])[4]).toEqual([0.2, 0.5]);
    expect(edgeNear(SQUARE, false, [0.21, 0.5], SIZE).index).not.toBe(4);
  });
  it("are removed down to what the shape needs", () => {
    expect(removeCorner(SQUARE, 0, 3)).toHaveLength(3);
    expect(removeCorner(SQUARE.slice(0, 3), 0, 3)).toHaveLength(3);
  });
});

describe("shapes", () => {
  it("move as a whole and stop at the picture's edge", () => {
    expect(moveShape(SQUARE, 0.1, 0)[0]).toEqual([0.3, 0.2]);
    expect(moveShape(SQUARE, 0.9, -0.9)).toEqual([
      [0.4, 0],
      [1, 0],
      [1, 0.6],
      [0.4, 0.6],
    ]);
  });
  it("have an inside", () => {
    expect(isInside(SQUARE, [0.5, 0.5])).toBe(true);
    expect(isInside(SQUARE, [0.1, 0.5])).toBe(false);
  });
  it("are told when they cross themselves", () => {
    expect(crossesItself(SQUARE, true)).toBe(false);
    expect(crossesItself(BOW, true)).toBe(true);
    // As an open line the last edge is missing, but the first and the third still cross.
    expect(crossesItself(BOW, false)).toBe(true);
    expect(crossesItself(BOW.slice(0, 3), true)).toBe(false);
  });
});

describe("a line", () => {
  it("that leads up has its right at the right of the picture", () => {
    const up: Corner[] = [
      [0.5, 1],
      [0.5, 0],
    ];
    expect(middleOf(up, SIZE)).toMatchObject({ x: 500, y: 250, rightX: 1 });
    expect(middleOf(reversed(up), SIZE)).toMatchObject({ x: 500, y: 250, rightX: -1 });
  });
  it("with a bend has its middle by its length", () => {
    const bent: Corner[] = [
      [0, 0],
      [0.8, 0],
      [0.8, 0.4],
    ];
    expect(middleOf(bent, { width: 100, height: 100 })).toMatchObject({ x: 60, y: 0, rightX: -0, rightY: 1 });
  });
  it("without a length does not fail", () => {
    expect(
      middleOf(
        [
          [0.1, 0.1],
          [0.1, 0.1],
        ],
        SIZE,
      ),
    ).toMatchObject({ x: 100, y: 50 });
  });
});
