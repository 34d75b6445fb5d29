// Whether a viewer hears a camera, and in step: plays with sound and watches the browser's statistics until both have
// been in step for three seconds, for 10 seconds at least and VMS_SECONDS at most.
// Prints {"codec","packets","loudest","apartMs":[…],"flashes":[…],"beeps":[…]} as JSON: apartMs is by how much sound is
// played later than its picture, by the sender's clock; flashes and beeps are when they were shown and heard, in ms.
// Needs VMS_URL, VMS_PASSWORD, VMS_CAMERA.
import { launchChromium } from "./browser.mjs";

// The page itself may load no code from memory, as the listener below is.
const browser = await launchChromium();
const page = await browser.newPage({ ignoreHTTPSErrors: true, bypassCSP: true });
await page.goto(process.env.VMS_URL);
const heard = await page.evaluate(
  async ({ password, camera, seconds }) => {
    const form = new URLSearchParams({ grant_type: "password", username: "admin", password });
    const { access_token: token } = await (await fetch("/api/v1/auth/token", { method: "POST", body: form })).json();
    const peer = new RTCPeerConnection();
    const media = new MediaStream();
    for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
    peer.ontrack = (event) => {
      // As the page does it.
      if ("jitterBufferTarget" in event.receiver) event.receiver.jitterBufferTarget = 0;
      media.addTrack(event.track);
    };
    await peer.setLocalDescription(await peer.createOffer());
    const answer = await fetch(`/api/v1/cameras/${camera}/live/whep`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" },
      body: peer.localDescription.sdp,
    });
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    const video = document.createElement("video");
    document.body.append(video);
    video.srcObject = media;
    await video.play();

    // Flashes by the brightness of the pictures as they are shown.
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [8, 8];
    const drawing = canvas.getContext("2d", { willReadFrequently: true });
    const flashes = [];
    let wasBright = true;
    const look = (_, shown) => {
      drawing.drawImage(video, 0, 0, 8, 8);
      const bright = drawing.getImageData(4, 4, 1, 1).data[0] > 128;
      if (bright && !wasBright) flashes.push(shown.expectedDisplayTime);
      wasBright = bright;
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);

    // Beeps by the samples that are played.
    const context = new AudioContext();
    const source = context.createMediaStreamSource(media);
    const listener = `registerProcessor("listener", class extends AudioWorkletProcessor {
      constructor() { super(); this.silent = 0; }
      process([[samples]]) {
        for (let i = 0; i < (samples?.length ?? 0); i += 1) {
          if (Math.abs(samples[i]) < 0.15) { this.silent += 1; continue; }
          if (this.silent > sampleRate / 4) this.port.postMessage(currentTime + i / sampleRate);
          this.silent = 0;
        }
        return true;
      }
    });`;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([listener], { type: "text/javascript" })));
    const node = new AudioWorkletNode(context, "listener");
    const beeps = [];
    node.port.onmessage = ({ data }) => {
      const now = context.getOutputTimestamp();
      beeps.push(now.performanceTime + (data - now.contextTime) * 1000);
    };
    source.connect(node);

    const apartMs = [];
    let codec = "";
    let packets = 0;
    let loudest = 0;
    const until = performance.now() + seconds * 1000;
    const least = performance.now() + 10_000;
    const settled = () => {
      const last = apartMs.slice(-30).map(Math.abs);
      return performance.now() > least && last.length === 30 && Math.max(...last) <= 40;
    };
    while (performance.now() < until && !settled()) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const report = [...(await peer.getStats()).values()];
      const of = (kind) => report.find((entry) => entry.type === "inbound-rtp" && entry.kind === kind);
      const [sound, picture] = [of("audio"), of("video")];
      packets = sound?.packetsReceived ?? 0;
      loudest = Math.max(loudest, sound?.audioLevel ?? 0);
      codec = report.find((entry) => entry.id === sound?.codecId)?.mimeType ?? codec;
      if (sound?.estimatedPlayoutTimestamp && picture?.estimatedPlayoutTimestamp)
        apartMs.push(picture.estimatedPlayoutTimestamp - sound.estimatedPlayoutTimestamp);
    }
    await fetch(answer.headers.get("location"), { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
    peer.close();
    return { codec, packets, loudest, apartMs, flashes, beeps };
  },
  {
    password: process.env.VMS_PASSWORD,
    camera: process.env.VMS_CAMERA,
    seconds: Number(process.env.VMS_SECONDS ?? 30),
  },
);
console.log(JSON.stringify(heard));
await browser.close();
