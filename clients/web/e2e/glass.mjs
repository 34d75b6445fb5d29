// What is on the screen when: reads the number that the test pattern shows in each picture as the browser presents it.
// Prints a JSON array of [number in the clip, milliseconds since the epoch when it is on the screen].
// Needs VMS_URL, VMS_PASSWORD, VMS_CAMERA; VMS_SECONDS.
import { openViewer } from "./viewer.mjs";

const { browser, page } = await openViewer();
const seen = await page.evaluate(
  async ({ password, camera, seconds }) => {
    const token = await viewer.logIn(password);
    const video = document.createElement("video");
    video.muted = true;
    video.autoplay = true;
    document.body.append(video);
    const peer = new RTCPeerConnection();
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.ontrack = (event) => {
      video.srcObject = new MediaStream([event.track]);
    };
    await peer.setLocalDescription(await peer.createOffer());
    await viewer.join(peer, token, camera);

    // 14 fields of 4 × 4 pixels: white, black, then the number.
    const fields = 14;
    const canvas = new OffscreenCanvas(4 * fields, 4);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const epoch = Date.now() - performance.now();
    const shown = [];
    const read = (_, frame) => {
      const { videoWidth: width, videoHeight: height } = video;
      context.drawImage(video, 0, 0, (width / 32) * fields, height / 16, 0, 0, canvas.width, canvas.height);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const bright = (field) => pixels[4 * (2 * canvas.width + 4 * field + 2)] > 128;
      if (bright(0) && !bright(1)) {
        let number = 0;
        for (let field = 2; field < fields; field += 1) number = 2 * number + Number(bright(field));
        shown.push([number, epoch + frame.expectedDisplayTime]);
      }
      video.requestVideoFrameCallback(read);
    };
    video.requestVideoFrameCallback(read);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    peer.close();
    return shown;
  },
  {
    password: process.env.VMS_PASSWORD,
    camera: process.env.VMS_CAMERA,
    seconds: Number(process.env.VMS_SECONDS ?? 20),
  },
);
console.log(JSON.stringify(seen));
await browser.close();
