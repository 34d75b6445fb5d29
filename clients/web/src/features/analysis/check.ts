import type { AnalysisSettings, Rule } from "@/shared/api/analysis-types";
import type { AnalysisText } from "./texts";

/** What is wrong, by the member it is wrong with: `most_fps`, `rules/2/after_s`. */
export type Wrong = Map<string, string>;

const isBetween = (value: unknown, least: number, most: number): boolean =>
  typeof value === "number" && Number.isFinite(value) && value >= least && value <= most;

/** What is wrong with the settings before the server is asked: the keys of what to say. */
export function check(settings: AnalysisSettings): Map<string, AnalysisText> {
  const wrong = new Map<string, AnalysisText>();
  if (!isBetween(settings.least_fps, 0.01, 30)) wrong.set("least_fps", "wrong.fps");
  if (!isBetween(settings.most_fps, 0.01, 30)) wrong.set("most_fps", "wrong.fps");
  else if (settings.least_fps > settings.most_fps) wrong.set("least_fps", "wrong.fpsOrder");
  for (const [index, rule] of settings.rules.entries()) {
    for (const [member, key] of checkRule(rule)) wrong.set(`rules/${index}/${member}`, key);
  }
  return wrong;
}

function checkRule(rule: Rule): [string, AnalysisText][] {
  const wrong: [string, AnalysisText][] = [];
  if ("after_s" in rule && !isBetween(rule.after_s, 0.1, 86_400)) wrong.push(["after_s", "wrong.seconds"]);
  if (rule.kind === "crowding" && !(isBetween(rule.count, 2, 1_000) && Number.isInteger(rule.count))) {
    wrong.push(["count", "wrong.count"]);
  }
  if (rule.kind === "occupancy" && rule.most !== null) {
    if (!(isBetween(rule.most, 1, 10_000) && Number.isInteger(rule.most))) wrong.push(["most", "wrong.most"]);
  }
  if (rule.kind === "wrong_way" && !isBetween(rule.tolerance_degrees, 1, 179)) {
    wrong.push(["tolerance_degrees", "wrong.degrees"]);
  }
  if (rule.kind === "speed") {
    if (!isBetween(rule.limit_kmh, 0.1, 500)) wrong.push(["limit_kmh", "wrong.kmh"]);
    if (!rule.metres.flat().every((value) => isBetween(value, -100_000, 100_000))) {
      wrong.push(["metres", "wrong.metres"]);
    }
  }
  return wrong;
}

/**
 * The member of the settings that a pointer of the server's leads to; null where it leads elsewhere. Of a rule the
 * server may name the kind on the way (/analysis/rules/2/speed/metres), and it goes down to single numbers.
 */
export function memberOf(pointer: string, settings: AnalysisSettings): string | null {
  const parts = pointer.split("/").slice(1);
  if (parts.shift() !== "analysis") return null;
  const [first, second, ...rest] = parts;
  if (first === undefined) return "";
  if (first !== "rules" || second === undefined) return first;
  const rule = settings.rules[Number(second)];
  if (!rule) return first;
  const member = rest[0] === rule.kind ? rest[1] : rest[0];
  return member === undefined ? `rules/${second}` : `rules/${second}/${member}`;
}
