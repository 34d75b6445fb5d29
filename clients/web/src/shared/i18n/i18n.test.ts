import { describe, expect, it } from "vitest";
import { en } from "./en";
import { fill, preferredLocale } from "./index";
import { ptBR } from "./pt-br";

const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((match) => match[0]).sort();

describe("texts", () => {
  it("have the same keys and the same holes in both languages", () => {
    expect(Object.keys(ptBR).sort()).toEqual(Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) {
      expect(text, key).not.toBe("");
      expect(holes(ptBR[key as keyof typeof en]), key).toEqual(holes(text));
    }
  });
  it("count in pairs", () => {
    for (const key of Object.keys(en).filter((name) => name.endsWith("_one"))) {
      expect(en).toHaveProperty([key.replace(/_one$/, "_other")]);
    }
  });
  it("are filled in", () => expect(fill("{a} of {b} {c}", { a: 1, b: "two" })).toBe("1 of two {c}"));
  it("are chosen by the browser's languages", () => {
    expect(preferredLocale(["de", "pt-PT", "en"])).toBe("pt-BR");
    expect(preferredLocale(["fr", "en-GB"])).toBe("en");
    expect(preferredLocale([])).toBe("en");
  });
});
