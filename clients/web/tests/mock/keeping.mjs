// What the mock server keeps: volumes, groups with limits, evidence locks, recordings started by hand.
import { randomUUID } from "node:crypto";
import { rangesOf } from "./archive.mjs";

const DAY = 86_400_000;
const GB = 1e9;
const time = (ms) => `${new Date(ms).toISOString().slice(0, 23)}000Z`;
const NO_LIMITS = { days: null, max_bytes: null, min_days: null, main_days: null };

/** The routes of what is kept; `cameras` and `user()` (name, role) are the server's. */
export function createKeeping(cameras, user) {
  const now = Date.now();
  const groups = new Map();
  const locks = new Map();
  const started = new Map();
  const addGroup = (name, retention) => {
    const group = {
      id: randomUUID(),
      name,
      retention: { ...NO_LIMITS, ...retention },
      created_at: time(now),
      updated_at: time(now),
    };
    groups.set(group.id, group);
    return group;
  };
  const addLock = (lock, owner) => {
    const found = {
      id: randomUUID(),
      until: null,
      released_at: null,
      released_by: null,
      ...lock,
      owner,
      created_at: time(Date.now()),
    };
    locks.set(found.id, found);
    return found;
  };
  addGroup("Outdoors", { days: 30, max_bytes: 4_000 * GB });
  addGroup("Cash desks", { days: 90, min_days: 30 });
  const ids = [...cameras.keys()];
  addLock(
    {
      camera_ids: ids.slice(0, 2),
      start: time(now - 2 * DAY),
      end: time(now - 2 * DAY + 1_800_000),
      reason: "Break-in at the loading dock, police report 2026/4471",
    },
    "admin",
  );
  addLock(
    {
      camera_ids: ids.slice(2, 3),
      start: time(now - 5 * DAY),
      end: time(now - 5 * DAY + 600_000),
      reason: "Damaged car",
      until: time(now + 20 * DAY),
    },
    "operator",
  );
  Object.assign(
    addLock(
      {
        camera_ids: ids.slice(3, 4),
        start: time(now - 9 * DAY),
        end: time(now - 9 * DAY + 60_000),
        reason: "False alarm",
      },
      "admin",
    ),
    { released_at: time(now - DAY), released_by: "admin" },
  );
  const lockAnswer = (lock) => ({
    ...lock,
    active: lock.released_at === null && (lock.until === null || Date.parse(lock.until) > Date.now()),
  });
  const volumes = () => [
    {
      name: "main",
      path: "/srv/vms/main",
      weight: 2,
      tier: "fast",
      state: "ok",
      reason: null,
      reserve_bytes: 80 * GB,
      free_bytes: 1_260 * GB,
      total_bytes: 4_000 * GB,
      recorded_bytes: 2_610 * GB,
      bytes_per_day: 102.4 * GB,
      forecast: { outcome: "full", days_left: 11.52 },
      oldest: time(now - 25 * DAY),
    },
    {
      name: "second",
      path: "/srv/vms/second",
      weight: 1,
      tier: "fast",
      state: "full",
      reason: "less than the reserve is free",
      reserve_bytes: 80 * GB,
      free_bytes: 62 * GB,
      total_bytes: 2_000 * GB,
      recorded_bytes: 1_420 * GB,
      bytes_per_day: 48 * GB,
      forecast: { outcome: "full", days_left: 0 },
      oldest: time(now - 29 * DAY),
    },
    {
      name: "archive",
      path: "/mnt/archive",
      weight: 1,
      tier: "slow",
      state: "ok",
      reason: null,
      reserve_bytes: 100 * GB,
      free_bytes: 5_300 * GB,
      total_bytes: 12_000 * GB,
      recorded_bytes: 6_640 * GB,
      bytes_per_day: 140 * GB,
      forecast: { outcome: "retention", days_left: 30 },
      oldest: time(now - 88 * DAY),
    },
    {
      name: "usb",
      path: "/mnt/usb",
      weight: 0,
      tier: "slow",
      state: "missing",
      reason: "/mnt/usb is not mounted",
      reserve_bytes: 10 * GB,
      free_bytes: 0,
      total_bytes: 0,
      recorded_bytes: 0,
      bytes_per_day: null,
      forecast: { outcome: "unknown", days_left: null },
      oldest: null,
    },
  ];
  const usage = () => ({
    disk_total_bytes: 4_000 * GB,
    disk_free_bytes: 1_260 * GB,
    recorded_bytes: 10_670 * GB,
    write_bytes_per_second: 3.4e6,
    volumes: volumes(),
    cameras: [...cameras.values()].map((camera) => {
      const { ranges } = rangesOf(camera, Date.now());
      return {
        camera_id: camera.body.id,
        bytes: Math.round((420 - ((camera.number * 137) % 400)) * GB),
        oldest: time(ranges[0].start),
        newest: time(ranges.at(-1).end),
        bytes_per_day: camera.recording ? (41 - camera.number * 3) * GB : null,
        days_left: camera.number % 3 ? 20 + camera.number / 7 : null,
      };
    }),
    removed: {},
    removes_by_age: true,
  });

  const stateOf = (camera) => {
    const { mode } = camera.body.recording;
    const recording = { continuous: "continuous", motion: "buffered", event: "buffered", schedule: "continuous" }[mode];
    const by = started.get(camera.body.id) ?? null;
    return { streams: { main: recording ?? (by ? "continuous" : "off") }, started: by, changes_at: by?.end ?? null };
  };

  /** Answers a request of `/api/v1/<parts>`; false for what is not about keeping. */
  async function route(request, parts, readJson, respond) {
    const { method } = request;
    const refused = () => {
      if (user().role === "administrator") return false;
      respond.problem(403, "forbidden", "Not permitted", "your role does not allow this");
      return true;
    };
    if (parts[0] === "me") {
      const all = [
        "cameras:view",
        "live:watch",
        "recordings:watch",
        "recordings:export",
        "recordings:start",
        "recordings:lock",
        "events:write",
        "metrics:read",
      ];
      const permissions = user().role === "administrator" ? [...all, "cameras:edit", "users:edit"] : all;
      respond.json(200, { ...user(), permissions });
    } else if (parts[0] === "storage") respond.json(200, usage());
    else if (parts[0] === "groups") {
      if (method !== "GET" && refused()) return true;
      const group = groups.get(parts[1]);
      const wanted = method === "POST" || method === "PATCH" ? await readJson() : null;
      const isTaken = wanted && [...groups.values()].some((other) => other !== group && other.name === wanted.name);
      if (parts[1] && !group) respond.problem(404, "group-not-found", "Not found", "no group has this identifier");
      else if (isTaken) respond.problem(409, "group-name-taken", "Conflict", "another group has this name");
      else if (method === "POST") respond.json(201, addGroup(wanted.name, wanted.retention));
      else if (method === "PATCH") respond.json(200, Object.assign(group, wanted));
      else if (method === "DELETE") {
        const isUsed = [...cameras.values()].some((camera) => camera.body.group_id === group.id);
        if (isUsed) respond.problem(409, "group-in-use", "Conflict", "cameras are in this group; take them out first");
        else {
          groups.delete(group.id);
          respond.empty();
        }
      } else respond.json(200, parts[1] ? group : { items: [...groups.values()], next_cursor: null });
    } else if (parts[0] === "evidence-locks") {
      const lock = locks.get(parts[1]);
      if (method === "POST") respond.json(201, lockAnswer(addLock(await readJson(), user().name)));
      else if (method === "DELETE") {
        if (lock.owner !== user().name && refused()) return true;
        respond.json(200, lockAnswer(Object.assign(lock, { released_at: time(Date.now()), released_by: user().name })));
      } else respond.json(200, { items: [...locks.values()].reverse().map(lockAnswer), next_cursor: null });
    } else if (parts[0] === "cameras" && parts[2] === "recording") {
      const camera = cameras.get(parts[1]);
      if (method === "POST") {
        if (camera.body.recording.mode === "off") {
          respond.problem(409, "recording-off", "Conflict", "recording is off for this camera");
          return true;
        }
        const { state, seconds } = await readJson();
        if (state === "stop") started.delete(camera.body.id);
        else {
          const end = seconds ? time(Date.now() + seconds * 1_000) : null;
          started.set(camera.body.id, { by: user().name, start: time(Date.now()), end });
        }
        if (camera.body.recording.mode === "manual") camera.recording = state === "start";
      }
      respond.json(200, stateOf(camera));
    } else return false;
    return true;
  }
  return { route, groups, locks };
}
