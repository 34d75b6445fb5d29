// How smoothly live video runs in the network that this runs in, for VMS_SECONDS after the first two: prints
// {"pictures","longestFreezeMs","freezes","frozenMs","lost","asked","repaired","way"} as JSON. The longest freeze is the
// longest time from one picture shown to the next; `lost`, `asked` and `repaired` count packets. With VMS_REPAIR=no
// nothing that is lost is asked for again. Needs VMS_URL, VMS_PASSWORD, VMS_CAMERA.
import { openViewer } from "./viewer.mjs";

const { browser, page } = await openViewer();
const seen = await page.evaluate(
  async ({ password, camera, seconds, repair }) => {
    const token = await viewer.logIn(password);
    const video = document.createElement("video");
    video.muted = true;
    video.autoplay = true;
    document.body.append(video);
    const peer = new RTCPeerConnection();
    peer.addTransceiver("video", { direction: "recvonly" });
    let offer = (await peer.createOffer()).sdp;
    if (!repair) offer = offer.replaceAll(/a=rtcp-fb:\d+ nack\r\n/g, "");
    await peer.setLocalDescription({ type: "offer", sdp: offer });
    const shown = new Promise((resolve, reject) => {
      peer.ontrack = (event) => {
        video.srcObject = new MediaStream([event.track]);
        video.requestVideoFrameCallback(resolve);
      };
      setTimeout(() => reject(new Error("no picture within 20 s")), 20_000);
    });
    await viewer.join(peer, token, camera);
    await shown;
    await new Promise((resolve) => setTimeout(resolve, 2000));

    const inbound = async () => [...(await peer.getStats()).values()].find((entry) => entry.type === "inbound-rtp");
    const before = await inbound();
    let pictures = 0;
    let longestFreezeMs = 0;
    let last = performance.now();
    const look = (at) => {
      pictures += 1;
      longestFreezeMs = Math.max(longestFreezeMs, at - last);
      last = at;
    };
    const each = (_, { presentationTime }) => {
      look(presentationTime);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    longestFreezeMs = Math.max(longestFreezeMs, performance.now() - last);
    const after = await inbound();
    const since = (name) => (after[name] ?? 0) - (before[name] ?? 0);
    const report = [...(await peer.getStats()).values()];
    const pair = report.find((entry) => entry.type === "candidate-pair" && entry.nominated);
    peer.close();
    return {
      pictures,
      longestFreezeMs,
      freezes: since("freezeCount"),
      frozenMs: 1000 * since("totalFreezesDuration"),
      lost: since("packetsLost"),
      asked: since("nackCount"),
      repaired: since("retransmittedPacketsReceived"),
      way: report.find((entry) => entry.id === pair?.localCandidateId)?.protocol,
    };
  },
  {
    password: process.env.VMS_PASSWORD,
    camera: process.env.VMS_CAMERA,
    seconds: Number(process.env.VMS_SECONDS ?? 20),
    repair: process.env.VMS_REPAIR !== "no",
  },
);
console.log(JSON.stringify(seen));
await browser.close();
