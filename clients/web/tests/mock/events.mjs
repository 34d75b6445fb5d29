// What happened at the mock server's cameras, and its push over WebSocket (RFC 6455, as far as the page needs it).
import { createHash, randomUUID } from "node:crypto";

const MINUTE = 60_000;
const time = (ms) => `${new Date(ms).toISOString().slice(0, 23)}000Z`;
// Type, text (of understanding: the rule's name), and what understanding pictures knows of it.
const KINDS = [
  ["motion", ""],
  ["line.crossed", "", { rule_name: "Gate, inwards", label: "person", track: 7, direction: "right" }],
  ["motion", ""],
  ["door.opened", "Door 2"],
  ["zone.loitering", "", { rule_name: "", label: "person", track: 12 }],
  ["speed.exceeded", "", { rule_name: "Ramp", label: "car", track: 18, kmh: 31.4 }],
  ["motion", ""],
  ["camera.covered", "", { rule_name: "" }],
  ["object.abandoned", "", { rule_name: "Hall", label: "suitcase", track: 15 }],
  ["zone.entered", "", { rule_name: "Loading dock", label: "person", track: 9 }],
  ["alarm.input", "Glass break sensor, north window"],
];
const COUNT = 420;

/** The events of the cameras that there are at first. */
export function createEvents(cameraIds) {
  const now = Date.now();
  const events = Array.from({ length: COUNT }, (_, index) => {
    const [type, text, known] = KINDS[(index * 5 + (index >> 3)) % KINDS.length];
    const start = now - index * 23 * MINUTE - ((index * 7_919) % (11 * MINUTE)) - MINUTE;
    const end = index === 1 ? null : time(start + 2_000 + ((index * 977) % 60_000));
    return {
      id: randomUUID(),
      camera_id: cameraIds[(index * 3) % Math.max(1, cameraIds.length)],
      type,
      start: time(start),
      end,
      source: known ? "ai" : "api:admin",
      score: known?.label ? 0.91 : null,
      text: known?.rule_name ?? text,
      data: known ? { rule: "r1", box: [0.4, 0.3, 0.5, 0.7], ...known } : {},
      created_at: time(start),
    };
  });
  const sockets = new Set();
  const frame = (text) => {
    const bytes = Buffer.from(text);
    const head = bytes.length < 126 ? [0x81, bytes.length] : [0x81, 126, bytes.length >> 8, bytes.length & 255];
    return Buffer.concat([Buffer.from(head), bytes]);
  };

  return {
    /** As GET /api/v1/events answers. */
    page(query) {
      const [cameras, types] = [query.getAll("camera_id"), query.getAll("type")];
      const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const [start, end] = [Date.parse(query.get("start") ?? ""), Date.parse(query.get("end") ?? "")];
      const found = events.filter(
        (event) =>
          (cameras.length === 0 || cameras.includes(event.camera_id)) &&
          (types.length === 0 || types.includes(event.type)) &&
          words.every((word) => `${event.text} ${event.type}`.toLowerCase().includes(word)) &&
          !(Date.parse(event.end ?? "9999-01-01T00:00:00Z") < start) &&
          !(Date.parse(event.start) >= end),
      );
      const from = Number(query.get("cursor") ?? 0);
      const to = from + Number(query.get("limit") ?? 100);
      return { items: found.slice(from, to), next_cursor: to < found.length ? String(to) : null };
    },
    /** Which of the stills is an event's own; null where it has none. */
    stillOf(id) {
      const index = events.findIndex((event) => event.id === id && event.source === "ai");
      return index === -1 ? null : index * 7;
    },
    /** The marks of a camera's timeline. */
    marks: (cameraId, start, end) =>
      events
        .filter((event) => event.camera_id === cameraId)
        .filter((event) => Date.parse(event.start) < end && Date.parse(event.end ?? time(Date.now())) >= start)
        .map(({ id, type, start: begun, end: ended }) => ({ id, type, start: begun, end: ended }))
        .reverse(),
    /** Something happens: it is in the list and is pushed. */
    happen(event) {
      const full = {
        id: randomUUID(),
        source: "api:admin",
        score: null,
        text: "",
        data: {},
        end: null,
        start: time(Date.now()),
        created_at: time(Date.now()),
        ...event,
      };
      events.unshift(full);
      for (const socket of sockets) socket.write(frame(JSON.stringify(full)));
      return full;
    },
    /** Takes a connection to /ws/events over; its first message is taken for a good one. */
    upgrade(request, socket) {
      const accept = createHash("sha1")
        .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.on("data", () => {
        if (sockets.has(socket)) return;
        sockets.add(socket);
        socket.write(frame(JSON.stringify({ ready: true })));
      });
      socket.on("error", () => sockets.delete(socket));
      socket.on("close", () => sockets.delete(socket));
    },
    /** Drops every viewer of events. */
    drop() {
      for (const socket of sockets) socket.destroy();
    },
    get viewers() {
      return sockets.size;
    },
  };
}
