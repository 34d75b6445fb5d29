import { expect, it } from "vitest";
import { ai } from "../src/features/ai/texts";
import { at } from "../src/features/analysis/texts";
import { an } from "../src/features/analytics/texts";

const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((match) => match[0]).sort();

it("the texts of the places have the same keys and the same holes in both languages", () => {
  for (const { all } of [ai, at, an]) {
    const [en, ptBR] = [all.en as Record<string, string>, all["pt-BR"] as Record<string, string>];
    expect(Object.keys(ptBR).sort()).toEqual(Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) {
      expect(text, key).not.toBe("");
      expect(holes(ptBR[key] ?? ""), key).toEqual(holes(text));
    }
  }
});
