import type { AnalysisSettings, Corner, Direction, Rule, RuleKind } from "@/shared/api/analysis-types";

/** The rules in the order in which they are offered. */
export const KINDS: readonly RuleKind[] = [
  "tripwire",
  "zone",
  "loitering",
  "crowding",
  "occupancy",
  "wrong_way",
  "speed",
  "abandoned",
  "removed",
  "parked",
  "fall",
  "tampering",
  "anomaly",
];

export type ShapeName = "zone" | "line" | "arrow" | "corners";

/** A shape of a rule on the picture, with how many corners it may have. */
export interface RuleShape {
  name: ShapeName;
  points: Corner[];
  closed: boolean;
  least: number;
  most: number;
}

export function shapesOf(rule: Rule): RuleShape[] {
  const shapes: RuleShape[] = [];
  if ("zone" in rule) shapes.push({ name: "zone", points: rule.zone, closed: true, least: 3, most: 64 });
  if (rule.kind === "tripwire") shapes.push({ name: "line", points: rule.line, closed: false, least: 2, most: 16 });
  if (rule.kind === "wrong_way") shapes.push({ name: "arrow", points: rule.arrow, closed: false, least: 2, most: 2 });
  if (rule.kind === "speed") shapes.push({ name: "corners", points: rule.corners, closed: true, least: 4, most: 4 });
  return shapes;
}

/** The rule with a shape changed. */
export const withShape = (rule: Rule, name: ShapeName, points: Corner[]): Rule => ({ ...rule, [name]: points }) as Rule;

const MIDDLE: Corner[] = [
  [0.3, 0.35],
  [0.7, 0.35],
  [0.7, 0.85],
  [0.3, 0.85],
];
const copy = <Points extends Corner[]>(points: Points): Points => points.map(([x, y]) => [x, y]) as Points;
const zone = () => copy(MIDDLE);
const VEHICLES = ["bicycle", "car", "motorcycle", "bus", "truck"];

/** A rule with the server's own defaults and a shape in the middle of the picture. */
export function newRule(kind: RuleKind, existing: readonly Rule[]): Rule {
  const base = { id: freeId(kind, existing), name: "", enabled: true };
  const people = { ...base, labels: ["person"] };
  switch (kind) {
    case "tripwire": {
      const line: Corner[] = [
        [0.25, 0.6],
        [0.75, 0.6],
      ];
      return { ...people, kind, line, direction: "both" };
    }
    case "zone":
      return { ...people, kind, zone: zone() };
    case "loitering":
      return { ...people, kind, zone: zone(), after_s: 30 };
    case "crowding":
      return { ...people, kind, zone: zone(), count: 5, after_s: 3 };
    case "occupancy":
      return { ...people, kind, zone: zone(), most: null };
    case "wrong_way": {
      const arrow: [Corner, Corner] = [
        [0.5, 0.75],
        [0.5, 0.45],
      ];
      return { ...base, labels: ["person", ...VEHICLES], kind, zone: zone(), arrow, tolerance_degrees: 60 };
    }
    case "speed":
      return {
        ...base,
        labels: [...VEHICLES],
        kind,
        zone: zone(),
        limit_kmh: 30,
        corners: copy(MIDDLE) as [Corner, Corner, Corner, Corner],
        metres: rectangle(5, 10),
      };
    case "abandoned":
      return { ...base, labels: ["backpack", "handbag", "suitcase"], kind, zone: zone(), after_s: 30 };
    case "removed":
      return { ...base, labels: [], kind, zone: zone(), after_s: 10 };
    case "parked":
      return { ...base, labels: [...VEHICLES], kind, zone: zone(), after_s: 60 };
    case "fall":
      return { ...people, kind, after_s: 3 };
    case "tampering":
      return { ...base, kind, after_s: 5 };
    case "anomaly":
      return { ...base, kind, after_s: 2 };
  }
}

/** The ground's corners in metres where they are those of a rectangle, far left first, then clockwise. */
export const rectangle = (width: number, length: number): [Corner, Corner, Corner, Corner] => [
  [0, length],
  [width, length],
  [width, 0],
  [0, 0],
];

function freeId(kind: RuleKind, existing: readonly Rule[]): string {
  const stem = kind.replace("_", "-");
  const taken = new Set(existing.map((rule) => rule.id));
  for (let number = 1; ; number += 1) if (!taken.has(`${stem}-${number}`)) return `${stem}-${number}`;
}

const NEXT: Record<Direction, Direction> = { both: "right", right: "left", left: "both" };

/** What a click on a line's arrow makes of it. */
export const nextDirection = (direction: Direction): Direction => NEXT[direction];

/** What a camera has that nobody set anything for; the server's own defaults. */
export const UNSET: AnalysisSettings = {
  enabled: false,
  least_fps: 1,
  most_fps: 5,
  key_frames_only: false,
  priority: "normal",
  detector: null,
  extras: [],
  least_score: 0.5,
  labels: [],
  mask: [],
  rules: [],
};

/** A copy that shares nothing, also of what a store holds, which cannot be cloned otherwise. */
export const copyOf = (settings: AnalysisSettings): AnalysisSettings => JSON.parse(JSON.stringify(settings));
