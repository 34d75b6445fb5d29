import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, it } from "vitest";

const SOURCE = new URL("../src/", import.meta.url).pathname;
const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name));

/** Where an import leads, relative to src; null for packages. */
function target(file: string, specifier: string): string | null {
  if (specifier.startsWith("@/")) return specifier.slice(2);
  if (specifier.startsWith(".")) return relative(SOURCE, join(SOURCE, file, "..", specifier));
  return null;
}

it("a feature imports shared and itself, shared imports shared", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const [room, feature] = file.split("/");
    const text = readFileSync(join(SOURCE, file), "utf8");
    for (const match of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      const leads = target(file, match[1] ?? "");
      if (leads === null) continue;
      const allowed =
        room === "shared"
          ? leads.startsWith("shared/")
          : room === "features"
            ? leads.startsWith("shared/") || leads.startsWith(`features/${feature}/`)
            : true;
      if (!allowed) wrong.push(`${file} imports ${leads}`);
    }
  }
  expect(files.length).toBeGreaterThan(40);
  expect(wrong).toEqual([]);
});
