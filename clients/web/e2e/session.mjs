// What every spec needs: a browser, a page that is logged in. Without VMS_URL the mock server stands in.
import { launchChromium } from "./browser.mjs";

/**
 * `{url, password, page(), stop()}`; VMS_URL and VMS_PASSWORD name a running server, VMS_USER (admin) who logs in.
 * `options` are those of the mock server, which is at `mock` then.
 */
export async function openServer(options = {}) {
  const browser = await launchChromium();
  const user = process.env.VMS_USER ?? "admin";
  let url = process.env.VMS_URL;
  let password = process.env.VMS_PASSWORD ?? "";
  let stopServer = () => {};
  let mock = null;
  if (!url) {
    const { startMockServer } = await import("../tests/mock-server.mjs");
    mock = await startMockServer({ cameras: 4, ...options });
    ({ url, password, stop: stopServer } = mock);
    const publisher = await browser.newPage();
    await publisher.goto(`${url}/mock/publisher.html`);
    await publisher.waitForTimeout(1_000);
  }
  const logIn = async (page) => {
    await page.fill("[name=username]", user);
    await page.fill("[name=password]", password);
    await page.click("[type=submit]");
    await page.waitForSelector("nav");
  };
  return {
    url,
    user,
    password,
    mock,
    /** A fresh page at the log-in, with the problems that it met in `page.faults`. */
    async open() {
      const context = await browser.newContext({
        viewport: { width: 1440, height: 900 },
        locale: "en",
        acceptDownloads: true,
        ignoreHTTPSErrors: true,
      });
      const page = await context.newPage();
      page.faults = [];
      page.on("pageerror", (error) => page.faults.push(error.message));
      page.on("console", (message) => {
        if (/Content.Security.Policy/i.test(message.text())) page.faults.push(message.text());
      });
      await page.goto(url);
      return page;
    },
    async openLoggedIn() {
      const page = await this.open();
      await logIn(page);
      return page;
    },
    logIn,
    async stop() {
      await browser.close();
      stopServer();
    },
  };
}

/** Opens the first camera whose tile shows live video, as its own page. */
export async function openFirstCamera(page) {
  await page.waitForSelector("article[data-phase=live]", { timeout: 20_000 });
  const id = await page.getAttribute("article[data-phase=live]", "data-camera");
  await page.evaluate((camera) => {
    location.hash = `#/cameras/${camera}`;
  }, id);
  await page.waitForSelector("[data-testid=timeline]");
  return id;
}

/** The span of wall time, in ms, that the archive's video moved on within `durationMs` of real time. */
export async function playedWithin(page, selector, durationMs) {
  const before = await page.$eval(selector, (video) => video.currentTime);
  await page.waitForTimeout(durationMs);
  const after = await page.$eval(selector, (video) => video.currentTime);
  return (after - before) * 1_000;
}

/** Clicks the timeline `agoMs` before now. */
export async function clickTimeline(page, agoMs) {
  const box = await page.getByTestId("timeline").boundingBox();
  const { min, max, now } = await page.getByTestId("timeline").evaluate((element) => ({
    min: Number(element.getAttribute("aria-valuemin")),
    max: Number(element.dataset.end),
    now: Date.now() / 1_000,
  }));
  const share = (now - agoMs / 1_000 - min) / (max - min);
  await page.mouse.click(box.x + box.width * share, box.y + 60);
}
