// A stand-in for the server, for work on the page without one: fake cameras and recordings, and the built page.
// PORT (8080), VMS_MOCK_PASSWORD (mock-password), VMS_MOCK_CAMERAS (7). Live pictures come from a browser that has
// /mock/publisher.html open; without one, WHEP is answered 409 as for a camera that shows nothing. A test spoils things
// by freeze() and restart() and by the members of a camera in `cameras`: `state`, `reason`, `codec`, `undecodable` (names
// of streams), `blocked` (the answer leads nowhere), `whep` (a refusal: {status, code, detail, retryAfter}; when it was
// given is noted in `refusedAtMs`).
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { createAnalysis } from "./mock/analysis.mjs";
import { isRecorded, playlist, thumbnailGrid, timeline } from "./mock/archive.mjs";
import { createEvents } from "./mock/events.mjs";
import { clip, stills } from "./mock/footage.mjs";
import { createKeeping } from "./mock/keeping.mjs";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const CSP =
  "default-src 'self'; media-src blob: 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
const NAMES = [
  "Main entrance",
  "Parking, north",
  "Loading dock",
  "Reception",
  "Server room",
  "Back gate",
  "Warehouse 3",
];

/** Starts the server; resolves with its address and how to stop it. */
export async function startMockServer({
  port = 0,
  password = "mock-password",
  cameras: cameraCount = 7,
  accessSeconds = 900,
  allWell = false,
  withSub = false,
} = {}) {
  const clips = { h264: clip("h264"), h265: clip("h265") };
  const pictures = stills();
  const cameras = new Map();
  const exports_ = new Map();
  const tokens = { access: new Set(), refresh: new Set() };
  // Live sessions by identifier: whose, and of which stream.
  const sessions = new Map();
  const offers = { queue: [], waiting: null, answers: new Map(), seenMs: 0 };
  let wrongTries = 0;
  let blockedUntilMs = 0;
  let lastNumber = 0;

  const addCamera = (draft, state = {}) => {
    lastNumber += 1;
    const id = `cam${String(lastNumber).padStart(4, "0")}`;
    const camera = {
      number: lastNumber,
      recording: draft.recording?.mode !== "off",
      codec: "h264",
      state: "online",
      reason: null,
      bornMs: Date.now(),
      ...state,
      body: {
        id,
        retention: { days: 30, max_bytes: null },
        recording: { mode: "continuous" },
        credentials: null,
        ...draft,
      },
    };
    cameras.set(id, camera);
    return camera;
  };
  for (let index = 0; index < cameraCount; index += 1) {
    const name =
      NAMES[index % NAMES.length] + (index >= NAMES.length ? ` ${Math.floor(index / NAMES.length) + 1}` : "");
    const odd = {
      4: { codec: "h265" },
      5: { state: "offline", reason: "no route to 192.0.2.15:554; trying again in 12 s", recording: false },
      6: { state: "unauthorized", reason: "192.0.2.16 refused the user name or password (Digest)", recording: false },
    };
    addCamera(
      {
        name,
        streams: {
          main: { url: `rtsp://192.0.2.${10 + index}:554/stream1`, transport: "tcp" },
          sub: withSub ? { url: `rtsp://192.0.2.${10 + index}:554/stream2`, transport: "tcp" } : null,
        },
        credentials: { username: "viewer" },
      },
      (allWell ? null : odd[index]) ?? {},
    );
  }

  // Whoever is logged in; a test may make an operator of them.
  const user = { name: "admin", role: "administrator" };
  const keeping = createKeeping(cameras, () => user);
  const events = createEvents([...cameras.keys()]);
  const analysis = createAnalysis(cameras);

  const statusOf = (camera) => {
    const young = Date.now() - camera.bornMs < 1_500 && camera.number > cameraCount;
    const state = young ? "connecting" : camera.state;
    const on = state === "online";
    return {
      state,
      reason: on || young ? null : camera.reason,
      codec: on ? camera.codec : null,
      width: on ? 1920 : 0,
      height: on ? 1080 : 0,
      fps: on ? 29.97 : 0,
      bitrate_bps: on ? 3_900_000 + Math.round(Math.random() * 200_000) : 0,
      last_frame_at: on ? new Date().toISOString() : null,
      reconnects: on ? 0 : 41,
      rtp_lost: 0,
      recording: on && camera.recording,
      recording_reason: null,
      streams: {
        main: { codec: on ? camera.codec : null, height: on ? 540 : 0 },
        sub: { codec: on ? camera.codec : null, height: on ? 180 : 0 },
      },
    };
  };

  const exportOf = (job) => {
    const done = job.cancelled ? job.progress : Math.min(1, (Date.now() - job.startedMs) / 3_000);
    job.progress = done;
    const state = job.cancelled ? "cancelled" : done >= 1 ? "done" : "running";
    return {
      ...job.body,
      state,
      progress: done,
      bytes_written: Math.round(clips.h264.bytes.length * done),
      error: null,
      sha256: state === "done" ? "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" : null,
      files: [],
    };
  };

  // As the media core chooses for a tile of that height.
  const suitable = (camera, height) => {
    const best = height > 0 && height <= 300 ? ["sub", "main"] : ["main", "sub"];
    return best.find((stream) => !camera.undecodable?.includes(stream)) ?? best[0];
  };
  const handlers = {
    async token(request, respond) {
      const form = new URLSearchParams(await bodyOf(request));
      if (Date.now() < blockedUntilMs) {
        const waitS = Math.ceil((blockedUntilMs - Date.now()) / 1_000);
        return respond.problem(429, "rate-limited", "Too many requests", `try again in ${waitS} s`, {
          "Retry-After": String(waitS),
        });
      }
      const isRefresh = form.get("grant_type") === "refresh_token";
      const good = isRefresh
        ? tokens.refresh.delete(form.get("refresh_token"))
        : form.get("username") === "admin" && form.get("password") === password;
      if (!good) {
        wrongTries += 1;
        if (wrongTries % 3 === 0) blockedUntilMs = Date.now() + 12_000;
        return respond.problem(401, "invalid-credentials", "Not logged in", "the user name or the password is wrong");
      }
      const [access, refresh] = [`a-${randomUUID()}`, `r-${randomUUID()}`];
      tokens.access.add(access);
      setTimeout(() => tokens.access.delete(access), accessSeconds * 1_000).unref();
      tokens.refresh.add(refresh);
      return respond.json(200, {
        access_token: access,
        refresh_token: refresh,
        token_type: "bearer",
        expires_in: accessSeconds,
      });
    },
    async whep(request, respond, camera, asked, height) {
      const stream = asked === "auto" ? suitable(camera, height) : asked;
      const sdp = await bodyOf(request);
      if (camera.whep) {
        const { status, code, detail, retryAfter } = camera.whep;
        camera.refusedAtMs = [...(camera.refusedAtMs ?? []), performance.now()];
        return respond.problem(
          status,
          code,
          "Refused",
          detail,
          retryAfter ? { "Retry-After": String(retryAfter) } : {},
        );
      }
      if (camera.undecodable?.includes(stream))
        return respond.problem(
          406,
          "no-common-codec",
          "Not acceptable",
          "the offer has no codec of the camera's: H265",
        );
      if (camera.codec === "h265")
        return respond.problem(422, "unsupported", "Not supported", "the offer has no codec of the camera's: H265");
      if (camera.state !== "online" || Date.now() - offers.seenMs > 30_000) {
        return respond.problem(
          409,
          "camera-shows-nothing",
          "In conflict with the present state",
          "the camera shows nothing yet",
        );
      }
      const id = randomUUID();
      const answer = await new Promise((resolve) => {
        offers.answers.set(id, resolve);
        // Neither side of a blocked camera's session learns where the other is.
        const offer = camera.blocked ? sdp.replace(/^a=candidate:.*\r?\n/gm, "") : sdp;
        pushOffer({ id, number: camera.number, stream, sdp: offer });
        setTimeout(() => resolve(null), 5_000).unref();
      });
      offers.answers.delete(id);
      if (answer === null)
        return respond.problem(503, "unavailable", "Temporarily unavailable", "no publisher answered");
      sessions.set(id, { camera: camera.body.id, stream, isAuto: asked === "auto" });
      // Addresses that are set aside for documents (RFC 5737): nothing answers there.
      const reach = camera.blocked ? answer.replace(/^(a=candidate:(?:\S+ ){4})\S+ \d+/gm, "$1192.0.2.1 9") : answer;
      return respond.send(201, "application/sdp", reach, {
        Location: `/api/v1/cameras/${camera.body.id}/live/whep/${id}`,
      });
    },
  };
  const pushOffer = (offer) => {
    if (offers.waiting) {
      offers.waiting(offer);
      offers.waiting = null;
    } else offers.queue.push(offer);
  };

  async function api(request, url, respond) {
    if (url.pathname === "/api/v1/auth/token") return handlers.token(request, respond);
    const job = /^\/api\/v1\/exports\/([^/]+)\/download$/.exec(url.pathname);
    const token = request.headers.authorization?.replace(/^Bearer /, "") ?? url.searchParams.get("token");
    if (!tokens.access.has(token)) return respond.problem(401, "invalid-token", "Not logged in", "log in again");
    if (job) {
      return respond.send(200, "video/mp4", clips.h264.bytes, {
        "Content-Disposition": 'attachment; filename="mock export.mp4"',
      });
    }
    const parts = url.pathname.slice("/api/v1/".length).split("/");
    if (url.pathname === "/api/v1/auth/logout") return respond.empty();
    if (url.pathname === "/api/v1/webrtc/ice-servers")
      return respond.json(200, { ice_servers: [{ urls: ["stun:127.0.0.1:9"] }] });
    const readJson = async () => JSON.parse(await bodyOf(request));
    if (await keeping.route(request, parts, readJson, respond)) return;
    if (analysis.route(parts, url.searchParams, respond)) return;
    if (parts[0] === "events" && parts[2] === "still.jpg") {
      const still = events.stillOf(parts[1]);
      if (still === null) return respond.problem(404, "no-still", "Not found", "the event has no picture of its own");
      return respond.send(200, "image/jpeg", pictures[still % pictures.length], {
        "Vms-Box": "0.4000,0.3000,0.5000,0.7000",
      });
    }
    if (parts[0] === "events" && request.method === "POST") return respond.json(201, events.happen(await readJson()));
    if (parts[0] === "events") return respond.json(200, events.page(url.searchParams));
    if (parts[0] === "exports") return exportRoutes(request, parts, token, respond);
    if (parts[0] !== "cameras") return respond.problem(404, "not-found", "Not found", "nothing is at this path");
    if (parts.length === 1) {
      if (request.method === "POST") {
        const draft = JSON.parse(await bodyOf(request));
        if (draft.streams.main.url.includes("bad")) {
          return respond.json(
            422,
            {
              type: "urn:vms:problem:validation",
              title: "The request is not valid",
              status: 422,
              detail: "streams.main.url: the URL names no host",
              errors: [{ pointer: "/streams/main/url", detail: "the URL names no host" }],
            },
            "application/problem+json",
          );
        }
        if (draft.credentials) draft.credentials = { username: draft.credentials.username };
        const unreachable = draft.streams.main.url.includes("198.51.100");
        const state = unreachable ? { state: "offline", reason: "connection to 198.51.100.7:554 timed out" } : {};
        return respond.json(201, addCamera(draft, state).body);
      }
      return respond.json(200, { items: [...cameras.values()].map((camera) => camera.body), next_cursor: null });
    }
    const camera = cameras.get(parts[1]);
    if (!camera) return respond.problem(404, "camera-not-found", "Not found", "no camera has this identifier");
    const now = Date.now();
    const rest = parts.slice(2).join("/");
    const start = Date.parse(url.searchParams.get("start"));
    const end = Date.parse(url.searchParams.get("end"));
    const media = clips[camera.codec];
    if (rest === "" && request.method === "DELETE") {
      cameras.delete(parts[1]);
      return respond.empty();
    }
    if (rest === "" && request.method === "PATCH") {
      const patch = JSON.parse(await bodyOf(request));
      if (patch.credentials) patch.credentials = { username: patch.credentials.username };
      const errors = patch.analysis ? analysis.wrong(patch.analysis) : null;
      if (errors) {
        const said = { type: "urn:vms:problem:validation", title: "The request is not valid", status: 422, errors };
        return respond.json(422, said, "application/problem+json");
      }
      Object.assign(camera.body, patch);
      return respond.json(200, camera.body);
    }
    if (rest === "") return respond.json(200, camera.body);
    if (analysis.cameraRoute(camera, rest, url.searchParams, respond)) return;
    if (rest === "status") return respond.json(200, statusOf(camera));
    if (rest === "timeline") {
      const marks = events.marks(camera.body.id, start, end);
      return respond.json(200, { ...timeline(camera, start, end, now), events: marks });
    }
    if (rest === "live/whep")
      return handlers.whep(
        request,
        respond,
        camera,
        url.searchParams.get("stream") ?? "main",
        Number(url.searchParams.get("height")),
      );
    if (rest.startsWith("live/whep/")) {
      const id = parts.at(-1);
      if (!sessions.has(id)) return respond.problem(404, "session-not-found", "Not found", "no such session");
      const session = sessions.get(id);
      if (request.method === "PATCH" && request.headers["content-type"] === "application/json" && session.isAuto) {
        session.stream = suitable(camera, JSON.parse(await bodyOf(request)).height);
        pushOffer({ id, number: camera.number, changeTo: session.stream });
      }
      if (request.method === "DELETE") {
        sessions.delete(id);
        pushOffer({ id, closed: true });
      }
      return respond.empty();
    }
    if (rest === "snapshot.jpg") {
      if (camera.state !== "online")
        return respond.problem(409, "camera-shows-nothing", "Conflict", "the camera shows nothing");
      return respond.send(200, "image/jpeg", pictures[Math.floor(now / 1_000) % pictures.length]);
    }
    if (rest === "frame.jpg") {
      const at = Date.parse(url.searchParams.get("at"));
      if (!isRecorded(camera, at, now))
        return respond.problem(404, "nothing-recorded", "Not found", "nothing is recorded there");
      return respond.send(200, "image/jpeg", pictures[Math.floor(at / 1_000) % pictures.length]);
    }
    if (rest === "thumbnails") return respond.json(200, { items: [thumbnailGrid(camera, start, now)] });
    // Any picture will do: its parts are the stills.
    if (rest === "thumbnails.webp") return respond.send(200, "image/webp", pictures[0]);
    if (rest === "playback/index.m3u8") {
      const text = playlist(camera, media, start, end, now);
      if (text === null) return respond.problem(404, "nothing-recorded", "Not found", "nothing is recorded there");
      return respond.send(200, "application/vnd.apple.mpegurl", text);
    }
    if (rest === "playback/clip.mp4") return respond.range(request, "video/mp4", media.bytes);
    if (rest === "playback/segment.m4s") {
      return respond.send(
        200,
        "video/mp4",
        media.bytes.subarray(Number(url.searchParams.get("from")), Number(url.searchParams.get("to"))),
      );
    }
    return respond.problem(404, "not-found", "Not found", "nothing is at this path");
  }

  async function exportRoutes(request, parts, token, respond) {
    if (parts.length === 1 && request.method === "POST") {
      const wanted = JSON.parse(await bodyOf(request));
      const id = `exp-${randomUUID().slice(0, 8)}`;
      exports_.set(id, {
        startedMs: Date.now(),
        progress: 0,
        body: { id, ...wanted, created_at: new Date().toISOString() },
      });
      return respond.json(202, exportOf(exports_.get(id)));
    }
    if (parts.length === 1)
      return respond.json(200, { items: [...exports_.values()].reverse().map(exportOf), next_cursor: null });
    const job = exports_.get(parts[1]);
    if (!job) return respond.problem(404, "export-not-found", "Not found", "no export has this identifier");
    if (request.method === "DELETE") {
      exports_.delete(parts[1]);
      return respond.empty();
    }
    if (parts[2] === "link") {
      return respond.json(200, {
        url: `http://vms.example/api/v1/exports/${parts[1]}/download?token=${token}`,
        expires_at: new Date().toISOString(),
      });
    }
    return respond.json(200, exportOf(job));
  }

  async function mock(request, url, respond) {
    if (url.pathname === "/mock/publisher.html") {
      return respond.send(200, TYPES[".html"], readFileSync(new URL("./mock/publisher.html", import.meta.url)));
    }
    if (url.pathname === "/mock/clip.mp4") return respond.range(request, "video/mp4", clips.h264.bytes);
    if (url.pathname === "/mock/offers") {
      offers.seenMs = Date.now();
      const offer =
        offers.queue.shift() ??
        (await new Promise((resolve) => {
          offers.waiting = resolve;
          setTimeout(() => resolve(null), 10_000).unref();
        }));
      offers.seenMs = Date.now();
      return offer ? respond.json(200, offer) : respond.empty();
    }
    offers.answers.get(url.pathname.split("/").at(-1))?.(await bodyOf(request));
    return respond.empty();
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://mock");
    const respond = responder(response);
    if (url.pathname === "/healthz") return void respond.json(200, { status: "ok" });
    const handle = url.pathname.startsWith("/api/") ? api : url.pathname.startsWith("/mock/") ? mock : page;
    Promise.resolve(handle(request, url, respond)).catch((error) => {
      console.error(error);
      respond.problem(500, "internal", "Internal error", String(error));
    });
  });
  server.on("upgrade", (request, socket) => {
    if (request.url.startsWith("/ws/events")) events.upgrade(request, socket);
    else analysis.upgrade(request, socket);
  });
  const listen = (at) => new Promise((resolve) => server.listen(at, "127.0.0.1", resolve));
  await listen(port);
  const boundPort = server.address().port;
  return {
    url: `http://127.0.0.1:${boundPort}`,
    password,
    cameras,
    sessions,
    user,
    keeping,
    events,
    analysis,
    /** Stops or goes on with a camera's picture while its sessions stay. */
    freeze: (camera, frozen) => pushOffer({ number: camera.number, frozen }),
    /** As a server that is restarted: no answers for `downMs`, every live session is forgotten. */
    async restart(downMs) {
      pushOffer({ closed: true });
      // The publisher is on its way to close the sessions.
      await new Promise((resolve) => setTimeout(resolve, 200));
      sessions.clear();
      events.drop();
      analysis.drop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await new Promise((resolve) => setTimeout(resolve, downMs));
      await listen(boundPort);
    },
    stop: () => {
      events.drop();
      analysis.drop();
      server.closeAllConnections();
      server.close();
    },
  };
}

function page(_request, url, respond) {
  const wanted = normalize(url.pathname === "/" ? "index.html" : url.pathname.slice(1));
  const path = join(DIST, wanted);
  if (wanted.startsWith("..") || !existsSync(path) || !statSync(path).isFile()) {
    return respond.problem(404, "not-found", "Not found", "nothing is at this path");
  }
  return respond.send(200, TYPES[extname(path)] ?? "application/octet-stream", readFileSync(path), {
    "Content-Security-Policy": CSP,
  });
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function responder(response) {
  const send = (status, type, body, headers = {}) => {
    if (response.headersSent) return;
    response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store", ...headers });
    response.end(body);
  };
  const json = (status, value, type = "application/json", headers = {}) =>
    send(status, type, JSON.stringify(value), headers);
  return {
    send,
    json,
    empty: () => {
      response.writeHead(204);
      response.end();
    },
    problem: (status, code, title, detail, headers = {}) =>
      json(status, { type: `urn:vms:problem:${code}`, title, status, detail }, "application/problem+json", headers),
    range: (request, type, bytes) => {
      const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
      if (!match) return send(200, type, bytes, { "Accept-Ranges": "bytes" });
      const from = Number(match[1]);
      const to = Math.min(bytes.length - 1, match[2] === "" ? bytes.length - 1 : Number(match[2]));
      const headers = { "Content-Range": `bytes ${from}-${to}/${bytes.length}`, "Accept-Ranges": "bytes" };
      return send(206, type, bytes.subarray(from, to + 1), headers);
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await startMockServer({
    port: Number(process.env.PORT ?? 8080),
    password: process.env.VMS_MOCK_PASSWORD ?? "mock-password",
    cameras: Number(process.env.VMS_MOCK_CAMERAS ?? 7),
  });
  console.log(`Mock server ${server.url} (admin, ${server.password})`);
}
