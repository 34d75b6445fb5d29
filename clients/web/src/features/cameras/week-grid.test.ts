import { describe, expect, it } from "vitest";
import {
  blockBetween,
  copyDay,
  gridOf,
  paint,
  readSlots,
  readWeek,
  STEPS,
  stepTime,
  timeZones,
  wholeDayMode,
  writeSlots,
  writeWeek,
} from "./week-grid";

const office = [
  { from: "08:00", to: "18:00", mode: "continuous" as const },
  { from: "18:00", to: "24:00", mode: "motion" as const },
];

describe("a week's plan as a grid", () => {
  it("goes to cells and back", () => {
    const row = readSlots(office);
    expect(row).toHaveLength(STEPS);
    expect([row[15], row[16], row[35], row[36], row[47]]).toEqual([
      "off",
      "continuous",
      "continuous",
      "motion",
      "motion",
    ]);
    expect(writeSlots(row)).toEqual(office);
    expect(writeSlots(readSlots([]))).toEqual([]);
    expect(writeSlots(gridOf("event").mon)).toEqual([{ from: "00:00", to: "24:00", mode: "event" }]);
  });
  it("takes a slot without a mode as continuous, and writes no slots for what is off", () => {
    expect(writeSlots(readSlots([{ from: "00:00", to: "01:00" }]))).toEqual([
      { from: "00:00", to: "01:00", mode: "continuous" },
    ]);
    expect(writeSlots(readSlots([{ from: "05:00", to: "06:00", mode: "off" }]))).toEqual([]);
  });
  it("keeps times between the half hours of a day that nobody touched", () => {
    const odd = [{ from: "08:10", to: "17:45", mode: "event" as const }];
    const grid = readWeek({ mon: odd, tue: odd });
    const painted = paint(grid, { days: ["tue"], from: 0, to: 2 }, "motion");
    const week = writeWeek(painted, { mon: odd, tue: odd });
    expect(week.mon).toEqual(odd);
    expect(week.tue).toEqual([
      { from: "00:00", to: "01:00", mode: "motion" },
      { from: "08:00", to: "18:00", mode: "event" },
    ]);
    expect(week.sun).toEqual([]);
  });
  it("is painted between two cells, whichever corner came first", () => {
    const block = blockBetween({ day: "wed", step: 9 }, { day: "mon", step: 4 });
    expect(block).toEqual({ days: ["mon", "tue", "wed"], from: 4, to: 10 });
    const grid = paint(gridOf("off"), block, "continuous");
    expect(grid.tue[3]).toBe("off");
    expect(grid.tue[4]).toBe("continuous");
    expect(grid.tue[9]).toBe("continuous");
    expect(grid.thu[4]).toBe("off");
  });
  it("copies a day to others", () => {
    const grid = copyDay(paint(gridOf("off"), { days: ["mon"], from: 0, to: 48 }, "event"), "mon", ["sat", "sun"]);
    expect(grid.sun).toEqual(grid.mon);
    expect(grid.tue).toEqual(gridOf("off").tue);
  });
  it("says what a whole day is", () => {
    expect(wholeDayMode([])).toBe("off");
    expect(wholeDayMode([{ from: "00:00", to: "24:00", mode: "motion" }])).toBe("motion");
    expect(wholeDayMode(office)).toBeNull();
  });
  it("names times, and zones with the chosen one among them once", () => {
    expect([stepTime(0), stepTime(17), stepTime(48)]).toEqual(["00:00", "08:30", "24:00"]);
    const zones = timeZones("America/Sao_Paulo");
    expect(zones[0]).toBe(Intl.DateTimeFormat().resolvedOptions().timeZone);
    expect(zones.filter((zone) => zone === "America/Sao_Paulo")).toHaveLength(1);
  });
});
