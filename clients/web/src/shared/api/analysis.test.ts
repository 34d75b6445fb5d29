import { afterEach, describe, expect, it, vi } from "vitest";
import { DAY_MS } from "@/shared/time/instant";
import { addHeat, eventStill, heatMap } from "./analysis";

const heat = (...seconds: number[]) => ({ columns: seconds.length, rows: 1, seconds });

afterEach(() => vi.unstubAllGlobals());

describe("heat", () => {
  it("is added cell by cell, where the cells are the same", () => {
    expect(addHeat(heat(1, 2), heat(3, 0))).toEqual(heat(4, 2));
    expect(addHeat(heat(1, 2), heat(5))).toEqual(heat(5));
  });
  it("of many days is asked for by days", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      asked.push(new URL(path, "http://vms").searchParams.get("start") ?? "");
      return Response.json(heat(1, 0.5));
    });
    const start = Date.UTC(2025, 10, 20);
    const found = await heatMap("a", { start, end: start + 2.5 * DAY_MS }, new AbortController().signal);
    expect(found).toEqual(heat(3, 1.5));
    expect(asked.map((time) => time.slice(8, 10))).toEqual(["20", "21", "22"]);
  });
});

describe("the still of an event", () => {
  const stillWith = async (headers: Record<string, string>) => {
    vi.stubGlobal("fetch", async () => new Response("jpeg", { headers }));
    return eventStill("e", new AbortController().signal);
  };
  it("says where in it that is which the event is about", async () => {
    expect((await stillWith({ "Vms-Box": "0.1000,0.2000,0.3000,0.4000" })).box).toEqual([0.1, 0.2, 0.3, 0.4]);
  });
  it("says nothing where the server does not", async () => {
    expect((await stillWith({})).box).toBeNull();
    expect((await stillWith({ "Vms-Box": "0.1,nowhere,0.3,0.4" })).box).toBeNull();
  });
});
