// What the mock server understands of its pictures: settings, models, devices, counts, and people who walk to and fro.
import { createHash } from "node:crypto";

const MINUTE = 60_000;
const STEPS = { minute: MINUTE, hour: 60 * MINUTE, day: 1_440 * MINUTE };
const time = (ms) => `${new Date(ms).toISOString().slice(0, 23)}000Z`;

const UNSET = {
  enabled: false,
  least_fps: 1,
  most_fps: 5,
  key_frames_only: false,
  priority: "normal",
  detector: null,
  extras: [],
  least_score: 0.5,
  labels: [],
  mask: [],
  rules: [],
};

const base = (id, name, labels = ["person"]) => ({ id, name, enabled: true, labels });
export const RULES = [
  {
    ...base("tripwire-1", "Gate, inwards"),
    kind: "tripwire",
    direction: "right",
    line: [
      [0.18, 0.62],
      [0.44, 0.5],
      [0.62, 0.46],
    ],
  },
  {
    ...base("zone-1", ""),
    kind: "loitering",
    after_s: 45,
    zone: [
      [0.55, 0.5],
      [0.9, 0.46],
      [0.97, 0.82],
      [0.62, 0.92],
    ],
  },
  {
    ...base("occupancy-1", "Yard"),
    kind: "occupancy",
    most: 12,
    enabled: false,
    zone: [
      [0.05, 0.7],
      [0.5, 0.68],
      [0.52, 0.97],
      [0.03, 0.97],
    ],
  },
];
const MASK = [
  [
    [0, 0],
    [0.35, 0],
    [0.3, 0.12],
    [0, 0.16],
  ],
];
const SPEED = {
  ...base("speed-1", "Ramp", ["car", "bicycle"]),
  kind: "speed",
  limit_kmh: 20,
  zone: [
    [0.12, 0.3],
    [0.88, 0.3],
    [0.95, 0.9],
    [0.08, 0.9],
  ],
  corners: [
    [0.3, 0.4],
    [0.68, 0.4],
    [0.8, 0.8],
    [0.2, 0.8],
  ],
  metres: [
    [0, 10],
    [5, 10],
    [5, 0],
    [0, 0],
  ],
};

const model = (name, title, task, more = {}) => ({
  name,
  title,
  task,
  version: "1",
  licence: "Apache-2.0",
  commercial: true,
  notice: "",
  labels: [],
  installed: true,
  default: false,
  size_bytes: 0,
  precision: "fp32",
  ...more,
});
const COCO =
  "person bicycle car motorcycle airplane bus train truck boat bench bird cat dog backpack handbag suitcase chair bottle laptop";
const MODELS = [
  model("coco-ssd", "SSDLite MobileNet v2 (COCO)", "detect", {
    version: "2.2.3",
    default: true,
    size_bytes: 18_400_000,
    labels: [...COCO.split(" "), "cell phone", "potted plant"],
  }),
  model("rt-detr-r18", "RT-DETR R18 (COCO)", "detect", { size_bytes: 80_900_000, precision: "fp16" }),
  model("yolo-world-s", "YOLO-World S", "detect", {
    licence: "GPL-3.0",
    commercial: false,
    installed: false,
    notice: "The GPL covers what is distributed together with it.",
    size_bytes: 51_000_000,
  }),
  model("blazeface", "BlazeFace, short range", "faces", { default: true, size_bytes: 430_000, version: "0.1.0" }),
  model("face-embedding", "FaceRecognition net", "face_embedding", {
    licence: "MIT",
    notice: "Trained on photographs whose terms allow research only.",
    commercial: false,
    size_bytes: 6_400_000,
  }),
  model("movenet", "MoveNet Lightning", "pose", { installed: false, size_bytes: 9_400_000 }),
  model("rapidocr", "RapidOCR v4", "text", { installed: false, size_bytes: 15_700_000 }),
];

const figures = (name, p50, p95, depth, frames) => ({
  model: name,
  frames,
  batches: Math.round(frames / 3),
  p50_ms: p50,
  p95_ms: p95,
  queue_depth: depth,
});
const devices = (ids) => [
  {
    device: {
      id: "cuda:0",
      kind: "cuda",
      name: "NVIDIA RTX A2000 12GB",
      backend: "onnxruntime CUDAExecutionProvider",
      reason: "fastest of three that were measured",
      memory_bytes: 12_884_901_888,
      largest_batch: 16,
    },
    state: "ready",
    reason: null,
    restarts: 0,
    frames_per_second: 21.4,
    busy: 0.31,
    cameras: ids.slice(0, 4),
    models: [figures("coco-ssd", 6.2, 9.8, 1, 128_402), figures("blazeface", 1.4, 2.9, 0, 20_113)],
  },
  {
    device: {
      id: "openvino:GPU.0",
      kind: "openvino",
      name: "Intel UHD Graphics 770",
      backend: "openvino 2025.3",
      reason: "",
      memory_bytes: null,
      largest_batch: 4,
    },
    state: "failed",
    reason: "the driver ended the process (signal 11); started again in 40 s",
    restarts: 3,
    frames_per_second: 0,
    busy: 0,
    cameras: [],
    models: [],
  },
  {
    device: {
      id: "cpu",
      kind: "cpu",
      name: "Intel Core i7-12700",
      backend: "onnxruntime CPUExecutionProvider",
      reason: "takes what the others leave",
      memory_bytes: 34_359_738_368,
      largest_batch: 1,
    },
    state: "ready",
    reason: null,
    restarts: 0,
    frames_per_second: 4.6,
    busy: 0.87,
    cameras: ids.slice(4, 5),
    models: [figures("coco-ssd", 61.5, 88.1, 4, 14_830)],
  },
];

/** People and a car on their ways, at an instant. */
function tracksAt(number, ms) {
  const seconds = ms / 1_000;
  const walkers = [
    ["person", 7, 0.62, 14],
    ["person", 9, 0.5, 19],
    ["person", 12, 0.78, 23],
    ["backpack", 15, 0.72, 31],
    ["car", 18, 0.34, 11],
  ];
  return walkers.map(([label, id, foot, period], index) => {
    const phase = (seconds / period + number * 0.21 + index * 0.37) % 2;
    const across = 0.06 + 0.86 * (phase < 1 ? phase : 2 - phase);
    const wide = label === "car" ? 0.17 : label === "backpack" ? 0.045 : 0.05 + foot * 0.03;
    const high = label === "car" ? 0.16 : label === "backpack" ? 0.08 : 0.2 + foot * 0.14;
    return {
      number: id,
      label,
      score: 0.6 + ((id * 37) % 38) / 100,
      box: [across - wide / 2, foot - high + 0.1, across + wide / 2, foot + 0.1],
      seen: index !== 3,
    };
  });
}

const noise = (text) => createHash("sha1").update(text).digest().readUInt32BE(0) / 2 ** 32;
const SHARES = { person: 30, car: 14, bicycle: 5, truck: 2.5, dog: 1 };

function countsOf(cameraIds, hasRules, start, end, step) {
  const items = [];
  const hours = (step / STEPS.hour) * 1;
  for (let at = Math.floor(start / step) * step; at < Math.min(end, Date.now()); at += step) {
    const clock = new Date(at - 3 * STEPS.hour).getUTCHours() + 0.5;
    const bright = step >= STEPS.day ? 0.5 : Math.max(0.03, Math.sin(((clock - 6) / 14) * Math.PI));
    for (const [place, camera_id] of cameraIds.entries()) {
      const weight = (bright * hours) / (1 + place * 0.6);
      const one = (kind, label, more) => {
        const amount = Math.round(
          (SHARES[label] ?? 1) *
            weight *
            (0.6 + 0.8 * noise(`${camera_id}${at}${kind}${label}${more.direction ?? ""}`)),
        );
        items.push({
          camera_id,
          start: time(at),
          kind,
          label,
          rule_id: "",
          direction: "",
          count: amount,
          mean: 0,
          peak: 0,
          ...more,
        });
      };
      for (const label of Object.keys(SHARES)) one("seen", label, {});
      if (!hasRules(camera_id)) continue;
      one("crossed", "person", { rule_id: "tripwire-1", direction: "right" });
      one("crossed", "person", { rule_id: "tripwire-1", direction: "left" });
      const mean = 4.2 * bright * (0.7 + 0.6 * noise(`${camera_id}${at}mean`));
      one("inside", "person", {
        rule_id: "occupancy-1",
        count: 0,
        mean: Math.round(mean * 10) / 10,
        peak: Math.ceil(mean * 2.1),
      });
    }
  }
  return items;
}

function heatMap() {
  const [columns, rows] = [32, 18];
  const spots = [
    [10, 10, 4, 60],
    [22, 12, 5, 95],
    [17, 6, 3, 30],
  ];
  const seconds = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const path = 14 * Math.exp(-((row - 11 + Math.sin(column / 5)) ** 2) / 3);
      const heat = spots.reduce(
        (sum, [x, y, wide, high]) => sum + high * Math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * wide)),
        path,
      );
      seconds.push(heat < 1.5 ? 0 : Math.round(heat * 10) / 10);
    }
  }
  return { columns, rows, seconds };
}

/** The understanding of the mock server's cameras; `installed` false: as where no model is. */
export function createAnalysis(cameras) {
  const live = new Set();
  const own = { installed: true };
  const first = [...cameras.values()];
  for (const [index, camera] of first.entries()) {
    const rules = index === 1 ? [SPEED] : index < 4 ? RULES : [];
    camera.body.analysis = {
      ...UNSET,
      enabled: index < 5,
      rules: structuredClone(rules),
      mask: index === 0 ? MASK : [],
    };
  }
  const frame = (text) => {
    const bytes = Buffer.from(text);
    const head = bytes.length < 126 ? [0x81, bytes.length] : [0x81, 126, bytes.length >> 8, bytes.length & 255];
    return Buffer.concat([Buffer.from(head), bytes]);
  };
  const frameAt = (camera, ms) => ({
    at: time(ms),
    pts: Math.round(ms * 90),
    clock_rate: 90_000,
    width: 640,
    height: 360,
    tracks: tracksAt(camera.number, ms),
  });
  const stateOf = (camera) => {
    const on = camera.body.analysis?.enabled;
    const failed = on && camera.state !== "online";
    const state = !on ? "off" : failed ? "failed" : "running";
    const runs = state === "running";
    return {
      state,
      reason: failed ? "the camera sends no pictures" : null,
      detector: runs ? "coco-ssd" : "",
      device: runs ? (camera.number === 5 ? "cpu" : "cuda:0") : "",
      frames_per_second: runs ? 4.2 + (camera.number % 3) * 0.3 : 0,
      analysed: runs ? 81_230 + camera.number * 977 : 0,
      dropped: runs && camera.number === 5 ? 1_204 : 0,
      delay_p50_ms: runs ? 92 + camera.number * 14 : 0,
      delay_p95_ms: runs ? 160 + camera.number * 31 : 0,
      objects: runs ? 5 : 0,
    };
  };
  return {
    own,
    unset: () => structuredClone(UNSET),
    /** Answers what is about understanding; whether it did. */
    route(parts, query, respond) {
      const list = (items) => respond.json(200, { items, next_cursor: null });
      const path = parts.join("/");
      if (path === "ai/models")
        list(own.installed ? MODELS : MODELS.map((one) => ({ ...one, installed: false, default: false })));
      else if (path === "ai/devices") list(own.installed ? devices([...cameras.keys()]) : []);
      else if (path === "ai/pool")
        respond.json(200, { answered: 163_345, dropped: 1_204, failed: 3, waited_p95_ms: 18.4 });
      else if (path === "analytics/counts") {
        const asked = query.getAll("camera_id");
        const step = STEPS[query.get("step")] ?? STEPS.hour;
        list(
          countsOf(
            [...cameras.keys()].slice(0, 5).filter((id) => asked.length === 0 || asked.includes(id)),
            (id) => cameras.get(id).body.analysis.rules.some((rule) => rule.id === "tripwire-1"),
            Date.parse(query.get("start")),
            Date.parse(query.get("end")),
            step,
          ),
        );
      } else return false;
      return true;
    },
    /** Answers what is below a camera; whether it did. */
    cameraRoute(camera, rest, query, respond) {
      if (rest === "analysis") respond.json(200, stateOf(camera));
      else if (rest === "heat-map") respond.json(200, heatMap());
      else if (rest === "detections") {
        const [start, end] = [Date.parse(query.get("start")), Date.parse(query.get("end"))];
        const limit = Number(query.get("limit") ?? 1_000);
        const items = [];
        for (let at = Math.ceil(start / 250) * 250; at < Math.min(end, Date.now()) && items.length < limit; at += 250) {
          const { pts, ...rest_ } = frameAt(camera, at);
          items.push({ ...rest_, pts });
        }
        respond.json(200, { items, next_cursor: null });
      } else return false;
      return true;
    },
    /** What is wrong with settings, as the server says it; null where nothing is. */
    wrong(settings) {
      const errors = [];
      for (const [index, rule] of settings.rules.entries()) {
        if (rule.name === "wrong") {
          errors.push({
            pointer: `/analysis/rules/${index}/${rule.kind}/labels/0`,
            detail: "the detector knows no such class",
          });
        }
      }
      return errors.length > 0 ? errors : null;
    },
    /** Takes a connection to /ws/cameras/ID/boxes over; its first message is taken for a good one. */
    upgrade(request, socket) {
      const camera = cameras.get(/^\/ws\/cameras\/([^/]+)\/boxes/.exec(request.url)?.[1]);
      if (!camera) return socket.destroy();
      const accept = createHash("sha1")
        .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      // The pictures come from a browser: which timestamps they have there is not known here.
      const timer = setInterval(() => {
        socket.write(frame(JSON.stringify({ ...frameAt(camera, Date.now()), rtp: null })));
      }, 250);
      live.add(socket);
      const end = () => {
        clearInterval(timer);
        live.delete(socket);
      };
      socket.on("error", end);
      socket.on("close", end);
    },
    drop() {
      for (const socket of live) socket.destroy();
    },
    get viewers() {
      return live.size;
    },
  };
}
