import { describe, expect, it } from "vitest";
import { autoSize, grid, moveFocus, pageCount } from "./layout";

describe("the wall's arrangement", () => {
  it("is the smallest that shows all, in pages beyond sixteen", () => {
    expect([0, 1, 2, 4, 5, 9, 10, 16, 40].map(autoSize)).toEqual([1, 1, 4, 4, 9, 9, 16, 16, 16]);
    expect(pageCount(40, 16)).toBe(3);
    expect(pageCount(0, 4)).toBe(1);
  });
  it("wastes no row", () => {
    expect(grid(4, 2, false)).toEqual({ columns: 2, rows: 1 });
    expect(grid(9, 7, false)).toEqual({ columns: 3, rows: 3 });
    expect(grid(9, 5, false)).toEqual({ columns: 3, rows: 2 });
    expect(grid(16, 30, true).columns).toBe(2);
    expect(grid(4, 3, true).columns).toBe(1);
  });
  it("lets the arrow keys walk, not fall off", () => {
    expect(moveFocus(0, "ArrowRight", 3, 7)).toBe(1);
    expect(moveFocus(1, "ArrowDown", 3, 7)).toBe(4);
    expect(moveFocus(5, "ArrowDown", 3, 7)).toBe(5);
    expect(moveFocus(0, "ArrowUp", 3, 7)).toBe(0);
  });
});
