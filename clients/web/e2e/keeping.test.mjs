// What is kept and what happened: groups, evidence locks, events, recording by hand. Against the mock server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openServer } from "./session.mjs";

const skip = process.env.VMS_URL ? "needs the mock server's answers" : false;
let server;
before(async () => {
  if (!skip) server = await openServer();
});
after(async () => {
  await server?.stop();
});

async function openPlace(path) {
  const page = await server.openLoggedIn();
  await page.evaluate((hash) => {
    location.hash = hash;
  }, path);
  return page;
}

test("a group's limits are changed in place, a lock is added and released", { skip }, async () => {
  const page = await openPlace("#/storage");
  await page.getByRole("button", { name: "Edit Outdoors" }).click();
  await page.fill("[name=group-name]", "Cash desks");
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForSelector("text=Another group has this name.");
  await page.fill("[name=group-name]", "Yard");
  await page.fill("[name=group-retentionDays]", "14");
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForSelector("li[data-group] >> text=14 days");

  const locks = await page.locator("li[data-lock]").count();
  await page.getByTestId("add-lock").click();
  await page.getByTestId("lock-evidence").click();
  await page.waitForSelector("text=Choose at least one camera.");
  await page.getByLabel("Reception").check();
  await page.fill("[name=reason]", "A stolen bicycle");
  await page.getByTestId("lock-evidence").click();
  const lock = page.locator("li[data-lock]", { hasText: "A stolen bicycle" });
  await lock.waitFor();
  await lock.getByRole("button", { name: "Release" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Release" }).click();
  await lock.waitFor({ state: "detached" });
  assert.equal(await page.locator("li[data-lock]").count(), locks);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("an operator is offered what an operator may do", { skip }, async () => {
  Object.assign(server.mock.user, { name: "operator", role: "operator" });
  const page = await openPlace("#/storage");
  await page.getByTestId("add-lock").waitFor();
  assert.equal(await page.getByTestId("add-group").count(), 0);
  assert.equal(await page.getByRole("button", { name: /^Edit/ }).count(), 0);
  const own = page.locator("li[data-lock]", { hasText: "Damaged car" });
  assert.equal(await own.getByRole("button", { name: "Release" }).count(), 1);
  const others = page.locator("li[data-lock]", { hasText: "Break-in" });
  assert.equal(await others.getByRole("button", { name: "Release" }).count(), 0);
  await page.context().close();
  Object.assign(server.mock.user, { name: "admin", role: "administrator" });
});

test("events are pushed, filtered, loaded on and on, and lead to their instant", { skip }, async () => {
  const page = await openPlace("#/events");
  await page.waitForSelector("[data-testid=event-push][data-pushed=true]");
  await page.waitForSelector("li[data-event]");
  const first = await page.locator("li[data-event]").count();
  const [camera] = server.mock.cameras.keys();
  const event = server.mock.events.happen({ camera_id: camera, type: "gate.opened", text: "North gate" });
  await page.waitForSelector(`li[data-event="${event.id}"]`, { timeout: 2_000 });

  await page.locator("li[data-event]").last().scrollIntoViewIfNeeded();
  await page.waitForFunction((count) => document.querySelectorAll("li[data-event]").length > count + 1, first);

  await page.fill("[name=q]", "north GATE");
  await page.waitForFunction(() => document.querySelectorAll("li[data-event]").length === 1);

  // Cut off, it asks every so often, and comes back.
  server.mock.events.drop();
  await page.waitForSelector("[data-testid=event-push][data-pushed=false]");
  await page.waitForSelector("[data-testid=event-push][data-pushed=true]", { timeout: 10_000 });
  assert.equal(server.mock.events.viewers, 1);

  await page.click(`li[data-event="${event.id}"] a`);
  await page.waitForSelector("[data-testid=timeline]");
  assert.match(page.url(), new RegExp(`#/cameras/${camera}\\?t=`));
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("recording is started and stopped by hand; a selection is locked", { skip }, async () => {
  const camera = [...server.mock.cameras.values()][1];
  camera.body.recording = { mode: "manual" };
  const page = await openPlace(`#/cameras/${camera.body.id}`);
  const button = page.getByTestId("record-by-hand");
  await page.waitForSelector("[data-testid=record-by-hand][aria-pressed=false]:not([disabled])");
  await button.click();
  await page.waitForSelector("[data-testid=record-by-hand][aria-pressed=true]");
  await button.click();
  await page.waitForSelector("[data-testid=record-by-hand][aria-pressed=false]");

  await page.getByTestId("toggle-export").click();
  await page.locator("aside summary", { hasText: "Lock evidence" }).click();
  await page.fill("aside [name=reason]", "Somebody fell");
  await page.getByTestId("lock-evidence").click();
  await page.waitForSelector("text=Locked as evidence");
  const [lock] = [...server.mock.keeping.locks.values()].slice(-1);
  assert.deepEqual([lock.reason, lock.camera_ids], ["Somebody fell", [camera.body.id]]);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
