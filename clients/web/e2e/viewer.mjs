// A viewer without our page's code: what scripts need that measure or prove live video from the outside.
import { launchChromium } from "./browser.mjs";

/**
 * `{browser, page}`, at VMS_URL. In the page, `viewer.logIn(password)` resolves with a token, and
 * `viewer.join(peer, token, camera)` agrees with the server on what `peer` has offered, and resolves with its answer.
 */
export async function openViewer() {
  const browser = await launchChromium();
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(process.env.VMS_URL);
  await page.evaluate(() => {
    globalThis.viewer = {
      async logIn(password) {
        const form = new URLSearchParams({ grant_type: "password", username: "admin", password });
        return (await (await fetch("/api/v1/auth/token", { method: "POST", body: form })).json()).access_token;
      },
      async join(peer, token, camera) {
        const answer = await fetch(`/api/v1/cameras/${camera}/live/whep`, {
          method: "POST",
          headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" },
          body: peer.localDescription.sdp,
        });
        if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
        await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
        return answer;
      },
    };
  });
  return { browser, page };
}
