// Whether live video comes where UDP does not: the browser is given the server's relays and has nothing else.
// Prints {"pictures","relay":{"type","protocol","url"},"refused"} as JSON. Needs VMS_URL, VMS_PASSWORD, VMS_CAMERA.
import { launchChromium } from "./browser.mjs";

const browser = await launchChromium();
const page = await browser.newPage({ ignoreHTTPSErrors: true });
await page.goto(process.env.VMS_URL);
const seen = await page.evaluate(
  async ({ password, camera }) => {
    const form = new URLSearchParams({ grant_type: "password", username: "admin", password });
    const { access_token: token } = await (await fetch("/api/v1/auth/token", { method: "POST", body: form })).json();
    const authorization = { Authorization: `Bearer ${token}` };
    const { ice_servers: iceServers } = await (
      await fetch("/api/v1/webrtc/ice-servers", { headers: authorization })
    ).json();

    async function watch(servers) {
      const peer = new RTCPeerConnection({ iceServers: servers });
      peer.addTransceiver("video", { direction: "recvonly" });
      await peer.setLocalDescription(await peer.createOffer());
      await new Promise((resolve) => {
        peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
        setTimeout(resolve, 5000);
      });
      const answer = await fetch(`/api/v1/cameras/${camera}/live/whep`, {
        method: "POST",
        headers: { ...authorization, "Content-Type": "application/sdp" },
        body: peer.localDescription.sdp,
      });
      if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      const until = performance.now() + 8000;
      let pictures = 0;
      let relay = null;
      while (performance.now() < until && pictures < 25) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        const report = [...(await peer.getStats()).values()];
        pictures = report.find((entry) => entry.type === "inbound-rtp")?.framesDecoded ?? 0;
        const pair = report.find((entry) => entry.type === "candidate-pair" && entry.state === "succeeded");
        const local = report.find((entry) => entry.id === pair?.localCandidateId);
        if (local)
          relay = { type: local.candidateType, protocol: local.relayProtocol ?? local.protocol, url: local.url };
      }
      peer.close();
      return { pictures, relay };
    }

    const forged = iceServers.map((server) => (server.username ? { ...server, credential: "guessed" } : server));
    return { ...(await watch(iceServers)), refused: (await watch(forged)).pictures };
  },
  { password: process.env.VMS_PASSWORD, camera: process.env.VMS_CAMERA },
);
console.log(JSON.stringify(seen));
await browser.close();
