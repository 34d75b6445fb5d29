import type { AnalysisSettings, Corner, Direction } from "@/shared/api/analysis-types";
import { type ShapeName, shapesOf, withShape } from "./kinds";
import { at } from "./texts";

/** What is chosen: a rule or a mask, by its place in its list. */
export interface Target {
  list: "rules" | "mask";
  index: number;
}

/** A shape as it lies on the picture. */
export interface StageShape {
  target: Target;
  name: ShapeName | "mask";
  /** What people call that which it belongs to. */
  title: string;
  points: Corner[];
  closed: boolean;
  least: number;
  most: number;
  colour: string;
  faint: boolean;
  /** Of a line that is crossed. */
  direction: Direction | null;
}

const COLOURS = ["#ffd166", "#79b8ff", "#7ee787", "#ff9e64", "#d2a8ff", "#56d4dd", "#f78fb3"];
const MASK_COLOUR = "#ff8a80";
const GROUND_COLOUR = "#ffffff";

export const colourOf = (index: number): string => COLOURS[index % COLOURS.length] ?? "#ffd166";

export const isSame = (a: Target | null, b: Target | null): boolean => a?.list === b?.list && a?.index === b?.index;

/** What a rule is called: its name, or what it does. */
export const ruleTitle = (rule: AnalysisSettings["rules"][number]): string =>
  rule.name.trim() === "" ? at(`kind.${rule.kind}`) : rule.name;

/** All shapes, the masks below. */
export function stageShapes(settings: AnalysisSettings): StageShape[] {
  const masks = settings.mask.map(
    (points, index): StageShape => ({
      target: { list: "mask", index },
      name: "mask",
      title: at("mask", { number: index + 1 }),
      points,
      closed: true,
      least: 3,
      most: 64,
      colour: MASK_COLOUR,
      faint: false,
      direction: null,
    }),
  );
  const rules = settings.rules.flatMap((rule, index) =>
    shapesOf(rule).map(
      (shape): StageShape => ({
        ...shape,
        target: { list: "rules", index },
        title: ruleTitle(rule),
        colour: shape.name === "corners" ? GROUND_COLOUR : colourOf(index),
        faint: !rule.enabled,
        direction: shape.name === "line" && rule.kind === "tripwire" ? rule.direction : null,
      }),
    ),
  );
  return [...masks, ...rules];
}

/** The settings with one shape changed. */
export function replaceShape(
  settings: AnalysisSettings,
  target: Target,
  name: StageShape["name"],
  points: Corner[],
): AnalysisSettings {
  if (target.list === "mask" || name === "mask") {
    return { ...settings, mask: settings.mask.map((was, index) => (index === target.index ? points : was)) };
  }
  const rules = settings.rules.map((rule, index) => (index === target.index ? withShape(rule, name, points) : rule));
  return { ...settings, rules };
}

/** A shape that is being drawn: where was clicked so far. */
export interface Drawing {
  target: Target;
  name: StageShape["name"];
  closed: boolean;
  least: number;
  most: number;
  points: Corner[];
}

/** Whether a drawing has enough corners to be taken. */
export const isEnough = (drawing: Drawing): boolean => drawing.points.length >= drawing.least;
