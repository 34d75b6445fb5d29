/** The shapes of the interface under /api/v1, as far as the page reads them. */
import type { AnalysisSettings } from "./analysis-types";

export type StreamName = "main" | "sub";
/** A stream to watch: `auto` is whichever suits the network and the size of the picture. */
export type StreamChoice = StreamName | "auto";
export type Transport = "tcp" | "udp";
export type RecordingMode = "continuous" | "motion" | "event" | "schedule" | "manual" | "off";
/** What a slot of a week's plan may say. */
export type SlotMode = "continuous" | "motion" | "event" | "off";
export type Day = "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";

/** From one time of a day until before another, "08:00" to "24:00", by the clock on the wall. */
export interface Slot {
  from: string;
  to: string;
  mode?: SlotMode;
}

export interface Holiday {
  /** 2026-12-25, or 12-25 for every year. */
  date: string;
  slots: Slot[];
}

/** A week's plan; outside all slots nothing is recorded. */
export interface Schedule {
  time_zone: string;
  week: Partial<Record<Day, Slot[]>>;
  holidays: Holiday[];
}

export interface RecordingPolicy {
  mode: RecordingMode;
  /** Modes of single streams; null: the camera's. */
  streams?: Partial<Record<StreamName, RecordingMode | null>>;
  pre_event_s?: number;
  post_event_s?: number;
  schedule?: Schedule | null;
  /** null: every type but motion. */
  event_types?: string[] | null;
}

/** How long recordings are kept; null: no such limit. */
export interface Retention {
  days: number | null;
  max_bytes: number | null;
  min_days?: number | null;
  main_days?: number | null;
}

export interface StreamSource {
  url: string;
  transport: Transport;
}

export interface Camera {
  id: string;
  name: string;
  streams: { main: StreamSource; sub?: StreamSource | null };
  credentials?: { username: string } | null;
  recording: RecordingPolicy;
  retention?: Retention | null;
  group_id?: string | null;
  analysis?: AnalysisSettings;
}

/** A camera as POST takes it, and, with every member optional, as PATCH (RFC 7396: null removes) takes it. */
export interface CameraDraft {
  name: string;
  streams: { main: StreamSource; sub?: StreamSource | null };
  credentials?: { username: string; password?: string } | null;
  recording: RecordingPolicy;
  retention: Retention;
  group_id?: string | null;
}

export type CameraState = "connecting" | "online" | "offline" | "unauthorized" | "error";

export interface CameraStatus {
  state: CameraState;
  reason: string | null;
  codec: string | null;
  width: number;
  height: number;
  fps: number;
  bitrate_bps: number;
  last_frame_at: string | null;
  reconnects: number;
  rtp_lost: number;
  recording: boolean;
  recording_reason?: string | null;
  /** Each stream's own, as far as it is read. */
  streams?: Partial<Record<StreamName, { codec: string | null; height: number }>>;
}

/** What a camera records now, and what an operator started. */
export interface RecordingState {
  /** buffered: kept only around events. */
  streams: Partial<Record<StreamName, "off" | "continuous" | "buffered">>;
  /** end null: until it is stopped. */
  started: { by: string; start: string; end: string | null } | null;
  changes_at: string | null;
}

export interface Me {
  name: string;
  role: "administrator" | "operator" | "viewer";
  permissions: string[];
}

export interface Group {
  id: string;
  name: string;
  retention: Retention;
}

export interface EvidenceLock {
  id: string;
  camera_ids: string[];
  start: string;
  end: string;
  reason: string;
  owner: string;
  until: string | null;
  created_at: string;
  released_at: string | null;
  released_by: string | null;
  active: boolean;
}

export interface Volume {
  name: string;
  path: string;
  weight: number;
  tier: "fast" | "slow";
  state: "ok" | "full" | "failing" | "missing";
  reason: string | null;
  reserve_bytes: number;
  free_bytes: number;
  total_bytes: number;
  recorded_bytes: number;
  bytes_per_day: number | null;
  forecast: { outcome: "full" | "retention" | "unknown"; days_left: number | null };
  oldest: string | null;
}

export interface CameraStorage {
  camera_id: string;
  bytes: number;
  oldest: string;
  newest: string;
  bytes_per_day: number | null;
  days_left: number | null;
}

export interface StorageUsage {
  disk_total_bytes: number;
  disk_free_bytes: number;
  recorded_bytes: number;
  volumes?: Volume[];
  cameras?: CameraStorage[];
  removes_by_age?: boolean;
}

/** Something that happened at a camera. */
export interface CameraEvent {
  id: string;
  camera_id: string;
  type: string;
  start: string;
  /** null while it goes on. */
  end: string | null;
  source: string;
  score: number | null;
  text: string;
  /** What more the source knows; of understanding pictures: rule_name, label, … */
  data?: Record<string, unknown>;
  created_at: string;
}

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** Stills for scrubbing: one picture an hour. */
export interface ThumbnailGrids {
  items: {
    start: string;
    made_until: string;
    columns: number;
    rows: number;
    cell_width: number;
    cell_height: number;
    period_s: number;
    times: (string | null)[];
  }[];
}

export interface Timeline {
  ranges: { start: string; end: string; stream: string }[];
  gaps: { start: string; end: string; cause: string }[];
  events: { id: string; type: string; start: string; end: string | null }[];
}

export type ExportFormat = "mp4" | "mkv" | "zip";
export type ExportState = "queued" | "running" | "done" | "failed" | "cancelled";

export interface ExportJob {
  id: string;
  state: ExportState;
  progress: number;
  camera_ids?: string[];
  start?: string;
  end?: string;
  format?: ExportFormat;
  bytes_written?: number;
  error?: string | null;
  sha256?: string | null;
  files?: { name: string; size_bytes: number; sha256: string | null }[];
  created_at?: string;
  /** A signed address, where the server gives one. */
  download_url?: string | null;
}

export interface Tokens {
  access_token: string;
  refresh_token: string;
  token_type: string;
  expires_in: number;
}
