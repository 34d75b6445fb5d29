// Pictures of every page against the mock server: screenshots/NAME-SIZE-THEME-LANGUAGE.png.
// Arguments, when given, are parts of names: only those are taken.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { launchChromium } from "../e2e/browser.mjs";
import { startMockServer } from "./mock-server.mjs";

const OUT = fileURLToPath(new URL("../screenshots/", import.meta.url));
mkdirSync(OUT, { recursive: true });
const wanted = process.argv.slice(2);
const server = await startMockServer({ cameras: Number(process.env.VMS_MOCK_CAMERAS ?? 7) });
const browser = await launchChromium();
const publisher = await browser.newPage();
await publisher.goto(`${server.url}/mock/publisher.html`);
await new Promise((resolve) => setTimeout(resolve, 1_000));

const SIZES = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const LOOKS = [
  ["wide", "dark", "en"],
  ["wide", "light", "pt-BR"],
  ["phone", "dark", "pt-BR"],
  ["phone", "light", "en"],
];
const hoursAgo = (hours) =>
  encodeURIComponent(new Date(Date.now() - hours * 3_600_000).toISOString().replace("Z", "000Z"));
const SHOTS = {
  login: { loggedOut: true },
  wall: { path: "#/", waitMs: 4_500, act: async (page, size) => size === "wide" && page.hover("article") },
  wallstatistics: {
    path: "#/",
    waitMs: 3_000,
    act: async (page) => {
      await page.keyboard.press("s");
      await page.waitForTimeout(6_000);
    },
  },
  wallstates: {
    path: "#/",
    before: (cameras) => {
      cameras[0].whep = {
        status: 503,
        code: "too-many-viewers",
        detail: "enough viewers are connected",
        retryAfter: 20,
      };
      cameras[1].blocked = true;
      cameras[2].whep = { status: 409, code: "no-picture", detail: "the camera shows nothing yet" };
    },
    waitMs: 8_000,
    act: async (page) => {
      server.freeze([...server.cameras.values()][3], true);
      await page.waitForTimeout(4_500);
    },
    after: (cameras) => {
      for (const camera of cameras) Object.assign(camera, { whep: null, blocked: false });
      server.freeze(cameras[3], false);
    },
  },
  wallfocus: {
    path: "#/",
    waitMs: 3_000,
    act: async (page) => {
      await page.keyboard.press("Tab");
      await page.locator("article button").first().focus();
      await page.keyboard.press("ArrowRight");
      await page.waitForTimeout(300);
    },
  },
  wallkeys: {
    path: "#/",
    waitMs: 1_500,
    act: async (page) => {
      await page.keyboard.press("?");
      await page.waitForTimeout(500);
    },
  },
  maximised: {
    path: "#/",
    waitMs: 3_000,
    act: async (page, size) => {
      await page.keyboard.press("s");
      if (size === "phone") await page.locator("article button").first().tap();
      else await page.locator("article button").first().dblclick();
      await page.waitForTimeout(9_000);
    },
  },
  live: { path: "#/cameras/cam0001", waitMs: 4_500 },
  playback: {
    path: `#/cameras/cam0002?t=${hoursAgo(1)}`,
    waitMs: 3_500,
    act: async (page, size) => {
      if (size !== "wide") return;
      const box = await page.getByTestId("timeline").boundingBox();
      await page.mouse.move(box.x + box.width * 0.7, box.y + 60);
      await page.waitForTimeout(900);
    },
  },
  month: {
    path: "#/cameras/cam0003",
    waitMs: 1_500,
    act: async (page) => {
      await page.locator("fieldset button").last().click();
      await page.waitForTimeout(900);
    },
  },
  export: {
    path: `#/cameras/cam0001?t=${hoursAgo(2)}`,
    waitMs: 2_500,
    act: async (page) => {
      await page.getByTestId("toggle-export").click();
      await page.waitForTimeout(400);
      await page.getByTestId("order-export").click();
      await page.waitForTimeout(1_500);
      await page.getByTestId("order-export").scrollIntoViewIfNeeded();
    },
  },
  undecodable: { path: `#/cameras/cam0005?t=${hoursAgo(1)}`, waitMs: 3_500 },
  cameras: { path: "#/cameras", waitMs: 1_200 },
  addcamera: {
    path: "#/cameras?add=1",
    waitMs: 1_000,
    act: async (page) => {
      await page.fill("[name=name]", "Front door");
      await page.fill("[name=url]", "rtsp://198.51.100.7:554/stream1");
      await page.click("form [type=submit]");
      await page.waitForTimeout(3_000);
    },
  },
  plan: {
    path: "#/cameras?add=1",
    waitMs: 1_000,
    act: async (page) => {
      await page.fill("[name=name]", "Front door");
      await page.selectOption("[name=mode]", "schedule");
      await page.getByRole("button", { name: /Add a day|Adicionar um dia/ }).click();
      await page.getByTestId("week-plan").scrollIntoViewIfNeeded();
      const grid = await page.getByRole("grid").boundingBox();
      await page.mouse.move(grid.x + grid.width * 0.8, grid.y + 10);
      await page.mouse.down();
      await page.mouse.move(grid.x + grid.width * 0.95, grid.y + 90);
      await page.mouse.up();
    },
  },
  limits: {
    path: "#/cameras?add=1",
    waitMs: 1_000,
    act: async (page) => {
      await page.fill("[name=name]", "Front door");
      await page.fill("[name=url]", "rtsp://198.51.100.7:554/stream1");
      await page.selectOption("[name=mode]", "motion");
      for (const fold of await page.locator("details summary").all()) await fold.click();
      await page.fill("[name=subUrl]", "rtsp://198.51.100.7:554/stream2");
      await page.fill("[name=minDays]", "60");
      await page.selectOption("[name=groupId]", "new");
      await page.click("form [type=submit]");
      await page.waitForTimeout(400);
    },
  },
  analysis: { path: "#/cameras/cam0001/analysis", waitMs: 2_500 },
  analysisrule: {
    path: "#/cameras/cam0001/analysis",
    waitMs: 2_500,
    act: async (page) => {
      await page.locator("[data-rule=tripwire-1] button").first().click();
      await page.waitForTimeout(400);
    },
  },
  analysisspeed: {
    path: "#/cameras/cam0002/analysis",
    waitMs: 2_500,
    act: async (page) => {
      await page.locator("[data-rule=speed-1] button").first().click();
      await page.waitForTimeout(400);
    },
  },
  analysisdraw: {
    path: "#/cameras/cam0003/analysis",
    waitMs: 2_500,
    act: async (page) => {
      await page.getByTestId("add-rule").selectOption("crowding");
      const box = await page.getByTestId("analysis-stage").boundingBox();
      for (const [x, y] of [
        [0.2, 0.3],
        [0.7, 0.25],
        [0.8, 0.7],
      ]) {
        await page.mouse.click(box.x + box.width * x, box.y + box.height * y);
      }
      await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.8);
      await page.waitForTimeout(300);
    },
  },
  ai: { path: "#/ai", waitMs: 2_000 },
  ainone: {
    path: "#/ai",
    before: () => {
      server.analysis.own.installed = false;
    },
    waitMs: 2_000,
    after: () => {
      server.analysis.own.installed = true;
    },
  },
  analytics: { path: "#/analytics", waitMs: 2_500 },
  analyticsweek: {
    path: "#/analytics?span=week",
    waitMs: 2_500,
    act: async (page) => {
      await page.getByTestId("heat-map").scrollIntoViewIfNeeded();
      await page.waitForTimeout(900);
    },
  },
  exports: { path: "#/exports", waitMs: 1_000 },
  lock: {
    path: `#/cameras/cam0001?t=${hoursAgo(2)}`,
    before: (cameras) => {
      cameras[0].body.recording = { mode: "manual" };
    },
    waitMs: 2_500,
    act: async (page) => {
      await page.getByTestId("record-by-hand").click();
      await page.getByTestId("toggle-export").click();
      await page.waitForTimeout(400);
      await page.locator("aside details").last().locator("summary").click();
      await page.getByTestId("lock-evidence").click();
      await page.getByTestId("lock-evidence").scrollIntoViewIfNeeded();
      await page.waitForTimeout(300);
    },
    after: (cameras) => {
      cameras[0].body.recording = { mode: "continuous" };
      cameras[0].recording = true;
    },
  },
  events: {
    path: "#/events",
    waitMs: 2_500,
    act: async (page) => {
      server.events.happen({ camera_id: "cam0003", type: "alarm.input", text: "Glass break sensor, dock 2" });
      await page.waitForTimeout(900);
    },
  },
  eventsfiltered: { path: "#/events?q=door&camera=cam0002", waitMs: 2_000 },
  storage: {
    path: "#/storage",
    waitMs: 1_500,
  },
  storagebelow: {
    path: "#/storage",
    waitMs: 1_500,
    act: async (page) => {
      await page.getByRole("button", { name: /Edit Outdoors|Editar Outdoors/ }).click();
      await page.getByTestId("add-lock").scrollIntoViewIfNeeded();
    },
  },
  addlock: {
    path: "#/storage",
    waitMs: 1_500,
    act: async (page) => {
      await page.getByTestId("add-lock").click();
      await page.getByTestId("lock-evidence").click();
      await page.waitForTimeout(300);
    },
  },
  loginwrong: {
    loggedOut: true,
    act: async (page) => {
      await page.fill("[name=username]", "admin");
      await page.fill("[name=password]", "wrong");
      await page.click("[type=submit]");
      await page.waitForTimeout(700);
    },
  },
};

for (const [name, shot] of Object.entries(SHOTS)) {
  for (const [size, theme, language] of LOOKS) {
    const file = `${name}-${size}-${theme}-${language}.png`;
    if (wanted.length > 0 && !wanted.some((part) => file.includes(part))) continue;
    const context = await browser.newContext({
      viewport: SIZES[size],
      locale: language,
      timezoneId: "America/Sao_Paulo",
      hasTouch: size === "phone",
      deviceScaleFactor: size === "phone" ? 2 : 1,
    });
    await context.addInitScript((chosen) => localStorage.setItem("vms.theme", chosen), theme);
    const page = await context.newPage();
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && console.log(file, message.text()));
    page.on("pageerror", (error) => console.log(file, "PAGE ERROR", error.message));
    shot.before?.([...server.cameras.values()]);
    if (shot.loggedOut) await page.goto(server.url);
    else {
      await page.goto(server.url);
      await page.fill("[name=username]", "admin");
      await page.fill("[name=password]", server.password);
      await page.click("[type=submit]");
      await page.waitForSelector("nav");
      await page.evaluate((path) => {
        location.hash = path;
      }, shot.path);
    }
    await page.waitForTimeout(shot.waitMs ?? 500);
    if (shot.act) await shot.act(page, size);
    await page.screenshot({ path: `${OUT}${file}` });
    await context.close();
    shot.after?.([...server.cameras.values()]);
    console.log(file);
  }
}
await browser.close();
server.stop();
