// Whether live video comes through the network that this runs in, and which way: with the relays that the server tells
// of, if any. Prints {"pictures","way":{"type","protocol","url","remote":{"address","port"}},"refused"} as JSON;
// "refused" counts the pictures with a guessed password for the relay, null where there is none. Needs VMS_URL,
// VMS_PASSWORD, VMS_CAMERA.
import { openViewer } from "./viewer.mjs";

const { browser, page } = await openViewer();
const seen = await page.evaluate(
  async ({ password, camera }) => {
    const token = await viewer.logIn(password);
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
      await viewer.join(peer, token, camera);
      const until = performance.now() + 8000;
      let pictures = 0;
      let way = null;
      while (performance.now() < until && pictures < 25) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        const report = [...(await peer.getStats()).values()];
        pictures = report.find((entry) => entry.type === "inbound-rtp")?.framesDecoded ?? 0;
        const pair = report.find((entry) => entry.type === "candidate-pair" && entry.nominated);
        const local = report.find((entry) => entry.id === pair?.localCandidateId);
        const remote = report.find((entry) => entry.id === pair?.remoteCandidateId);
        if (local && remote)
          way = {
            type: local.candidateType,
            protocol: local.relayProtocol ?? local.protocol,
            url: local.url,
            remote: { address: remote.address, port: remote.port },
          };
      }
      peer.close();
      return { pictures, way };
    }

    const forged = iceServers.map((server) => (server.username ? { ...server, credential: "guessed" } : server));
    const seen = await watch(iceServers);
    return { ...seen, refused: iceServers.length > 0 ? (await watch(forged)).pictures : null };
  },
  { password: process.env.VMS_PASSWORD, camera: process.env.VMS_CAMERA },
);
console.log(JSON.stringify(seen));
await browser.close();
