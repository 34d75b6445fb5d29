// Whether boxes can be laid on the pictures that they are of: a bright square moves, and is looked for where the box of the
// picture with the same RTP timestamp says. Prints {"pictures", "boxes", "offsets": [share of the width]}.
// Needs VMS_URL, VMS_PASSWORD, VMS_CAMERA; VMS_SECONDS.
import { openViewer } from "./viewer.mjs";

const { browser, page } = await openViewer();
const found = await page.evaluate(
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
    const answer = await viewer.join(peer, token, camera);
    const session = answer.headers.get("Location").split("/").at(-1);
    const canvas = new OffscreenCanvas(160, 90);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    // The middle of what is bright, as a share of the width, by the picture's timestamp.
    const shown = new Map();
    const read = (_, frame) => {
      context.drawImage(video, 0, 0, canvas.width, canvas.height);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      let bright = 0;
      let sum = 0;
      for (let at = 0; at < canvas.width * canvas.height; at += 1) {
        if (pixels[4 * at + 1] > 200) {
          bright += 1;
          sum += (at % canvas.width) + 0.5;
        }
      }
      shown.set(frame.rtpTimestamp, bright > 100 ? sum / bright / canvas.width : null);
      video.requestVideoFrameCallback(read);
    };
    video.requestVideoFrameCallback(read);
    const boxes = [];
    const address = `${location.origin.replace("http", "ws")}/ws/cameras/${camera}/boxes?session=${session}`;
    const socket = new WebSocket(address);
    socket.onopen = () => socket.send(JSON.stringify({ token }));
    socket.onmessage = (message) => {
      const frame = JSON.parse(message.data);
      const track = frame.tracks?.find((one) => one.seen);
      if (track && frame.rtp !== null) boxes.push({ rtp: frame.rtp, middle: (track.box[0] + track.box[2]) / 2 });
    };
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    socket.close();
    peer.close();
    const offsets = [];
    for (const { rtp, middle } of boxes) {
      const place = shown.get(rtp) ?? shown.get(rtp + 1) ?? shown.get(rtp - 1);
      if (typeof place === "number") offsets.push(middle - place);
    }
    return { pictures: shown.size, boxes: boxes.length, offsets };
  },
  {
    password: process.env.VMS_PASSWORD,
    camera: process.env.VMS_CAMERA,
    seconds: Number(process.env.VMS_SECONDS ?? 20),
  },
);
console.log(JSON.stringify(found));
await browser.close();
