/** The shapes of the interface under /api/v1, as far as the page reads them. */

export type StreamName = "main" | "sub";
/** A stream to watch: `auto` is whichever suits the network and the size of the picture. */
export type StreamChoice = StreamName | "auto";
export type Transport = "tcp" | "udp";
export type RecordingMode = "continuous" | "motion" | "event" | "schedule" | "manual" | "off";

export interface StreamSource {
  url: string;
  transport: Transport;
}

export interface Camera {
  id: string;
  name: string;
  streams: { main: StreamSource; sub?: StreamSource | null };
  credentials?: { username: string } | null;
  recording: { mode: RecordingMode };
  retention?: { days: number | null; max_bytes: number | null } | null;
}

/** A camera as POST takes it, and, with every member optional, as PATCH (RFC 7396: null removes) takes it. */
export interface CameraDraft {
  name: string;
  streams: { main: StreamSource; sub?: StreamSource | null };
  credentials?: { username: string; password?: string } | null;
  recording: { mode: RecordingMode };
  retention: { days: number | null };
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
