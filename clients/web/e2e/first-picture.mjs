// How long a viewer waits: from asking for live video to the first picture shown, VMS_JOINS times.
// Prints a JSON array of milliseconds. Needs VMS_URL, VMS_PASSWORD, VMS_CAMERA.
import { openViewer } from "./viewer.mjs";

const joins = Number(process.env.VMS_JOINS ?? 10);
const { browser, page } = await openViewer();

const waits = await page.evaluate(
  async ({ password, camera, joins }) => {
    const token = await viewer.logIn(password);
    const video = document.createElement("video");
    video.muted = true;
    video.autoplay = true;
    document.body.append(video);

    async function join() {
      const began = performance.now();
      const peer = new RTCPeerConnection();
      peer.addTransceiver("video", { direction: "recvonly" });
      const shown = new Promise((resolve, reject) => {
        peer.ontrack = (event) => {
          video.srcObject = new MediaStream([event.track]);
          video.requestVideoFrameCallback(() => resolve(performance.now() - began));
        };
        setTimeout(() => reject(new Error("no picture within 10 s")), 10_000);
      });
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await viewer.join(peer, token, camera);
      const waited = await shown;
      await new Promise((resolve) => setTimeout(resolve, 1000 + Math.random() * 2000));
      await fetch(answer.headers.get("location"), { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
      peer.close();
      return waited;
    }

    const waits = [];
    for (let i = 0; i < joins; i += 1) waits.push(await join());
    return waits;
  },
  { password: process.env.VMS_PASSWORD, camera: process.env.VMS_CAMERA, joins },
);
console.log(JSON.stringify(waits));
await browser.close();
