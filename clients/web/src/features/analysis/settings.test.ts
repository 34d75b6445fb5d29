import { describe, expect, it } from "vitest";
import type { AnalysisSettings, Rule } from "@/shared/api/analysis-types";
import { check, memberOf } from "./check";
import { copyOf, KINDS, newRule, nextDirection, shapesOf, UNSET, withShape } from "./kinds";

const withRules = (...rules: Rule[]): AnalysisSettings => ({ ...copyOf(UNSET), rules });

describe("new rules", () => {
  it("of every kind are right as they are, with ids of their own", () => {
    const rules: Rule[] = [];
    for (const kind of [...KINDS, ...KINDS]) rules.push(newRule(kind, rules));
    expect(new Set(rules.map((rule) => rule.id)).size).toBe(rules.length);
    for (const { id } of rules) expect(id).toMatch(/^[a-z0-9][a-z0-9_-]{0,63}$/);
    expect(check(withRules(...rules))).toEqual(new Map());
  });
  it("share no corner with each other", () => {
    const [first, second] = [newRule("zone", []), newRule("zone", [])];
    const corner = shapesOf(first)[0]?.points[0];
    if (corner) corner[0] = 0.9;
    expect(shapesOf(second)[0]?.points[0]?.[0]).toBe(0.3);
  });
  it("have the shapes that their kind needs", () => {
    const names = (rule: Rule) => shapesOf(rule).map((shape) => shape.name);
    expect(names(newRule("tripwire", []))).toEqual(["line"]);
    expect(names(newRule("speed", []))).toEqual(["zone", "corners"]);
    expect(names(newRule("wrong_way", []))).toEqual(["zone", "arrow"]);
    expect(names(newRule("tampering", []))).toEqual([]);
    const moved = withShape(newRule("zone", []), "zone", [
      [0, 0],
      [1, 0],
      [1, 1],
    ]);
    expect(shapesOf(moved)[0]?.points).toHaveLength(3);
  });
  it("have a direction that goes round", () => {
    expect([nextDirection("both"), nextDirection("right"), nextDirection("left")]).toEqual(["right", "left", "both"]);
  });
});

describe("what is wrong", () => {
  it("is found before the server is asked", () => {
    const settings = withRules(
      { ...newRule("loitering", []), after_s: Number.NaN } as Rule,
      { ...newRule("crowding", []), count: 1 } as Rule,
      { ...newRule("speed", []), limit_kmh: 0 } as Rule,
    );
    settings.least_fps = 8;
    expect([...check(settings).keys()].sort()).toEqual([
      "least_fps",
      "rules/0/after_s",
      "rules/1/count",
      "rules/2/limit_kmh",
    ]);
  });
  it("is put beside the field that the server means", () => {
    const settings = withRules(newRule("tripwire", []), newRule("speed", []));
    expect(memberOf("/analysis/rules/1/speed/metres/0/1", settings)).toBe("rules/1/metres");
    expect(memberOf("/analysis/rules/0/line", settings)).toBe("rules/0/line");
    expect(memberOf("/analysis/rules/1/speed", settings)).toBe("rules/1");
    expect(memberOf("/analysis/most_fps", settings)).toBe("most_fps");
    expect(memberOf("/analysis", settings)).toBe("");
    expect(memberOf("/analysis/rules/9/x", settings)).toBe("rules");
    expect(memberOf("/name", settings)).toBeNull();
  });
});
