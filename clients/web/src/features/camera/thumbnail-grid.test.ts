import { expect, test } from "vitest";
import type { ThumbnailGrid } from "@/shared/api/cameras";
import { stillAt } from "./thumbnail-grid";

const START = 1_795_420_800_000;
const grid: ThumbnailGrid = {
  start: START,
  madeUntil: START + 250_000,
  columns: 20,
  rows: 18,
  cellWidth: 160,
  cellHeight: 90,
  periodMs: 10_000,
  shown: Array.from({ length: 360 }, (_, cell) => cell < 25 && cell !== 3),
};

test("an instant's still lies in the cell of its ten seconds, row by row", () => {
  expect(stillAt(grid, START)).toEqual({ x: 0, y: 0 });
  expect(stillAt(grid, START + 9_999)).toEqual({ x: 0, y: 0 });
  expect(stillAt(grid, START + 10_000)).toEqual({ x: 160, y: 0 });
  expect(stillAt(grid, START + 215_000)).toEqual({ x: 160, y: 90 });
});

test("where nothing is shown there is no still", () => {
  expect(stillAt(grid, START + 35_000)).toBeNull();
  expect(stillAt(grid, START + 250_000)).toBeNull();
  expect(stillAt(grid, START - 1)).toBeNull();
  expect(stillAt(grid, START + 3_600_000)).toBeNull();
});
