import { expect, it } from "vitest";
import { IceServers } from "./ice-servers";

const RELAY = [{ urls: ["turn:relay.example:3478"], username: "1:admin", credential: "x" }];

it("asks once for all who begin at once, and again after an hour", async () => {
  let asked = 0;
  const servers = new IceServers(async () => {
    asked += 1;
    return RELAY;
  });
  expect(await Promise.all([servers.at(0), servers.at(1), servers.at(3_599_999)])).toEqual([RELAY, RELAY, RELAY]);
  expect(asked).toBe(1);
  await servers.at(3_600_000);
  expect(asked).toBe(2);
});

it("does without where the server does not say, and asks again", async () => {
  let up = false;
  const servers = new IceServers(async () => {
    if (!up) throw new Error("404");
    return RELAY;
  });
  expect(await Promise.all([servers.at(0), servers.at(0)])).toEqual([[], []]);
  up = true;
  expect(await servers.at(1)).toEqual(RELAY);
});
