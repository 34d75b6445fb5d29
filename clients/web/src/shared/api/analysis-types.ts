/** What the interface says of understanding pictures; places are fractions of the picture from its upper left. */

export type Corner = [x: number, y: number];
export type Polygon = Corner[];

interface AnyRule {
  id: string;
  name: string;
  enabled: boolean;
}
interface TrackRule extends AnyRule {
  /** Of what it holds; none: of everything that is found. */
  labels: string[];
}
interface ZoneRule extends TrackRule {
  zone: Polygon;
}

/** Seen from the first point to the last, things cross from left to right (`right`) or from right to left (`left`). */
export type Direction = "both" | "left" | "right";

export interface Tripwire extends TrackRule {
  kind: "tripwire";
  line: Corner[];
  direction: Direction;
}
export interface ZoneEntry extends ZoneRule {
  kind: "zone";
}
export interface TimedZone extends ZoneRule {
  kind: "loitering" | "abandoned" | "removed" | "parked";
  after_s: number;
}
export interface Crowding extends ZoneRule {
  kind: "crowding";
  count: number;
  after_s: number;
}
export interface Occupancy extends ZoneRule {
  kind: "occupancy";
  most: number | null;
}
export interface WrongWay extends ZoneRule {
  kind: "wrong_way";
  arrow: [Corner, Corner];
  tolerance_degrees: number;
}
export interface Speed extends ZoneRule {
  kind: "speed";
  limit_kmh: number;
  corners: [Corner, Corner, Corner, Corner];
  /** Of the corners, on the ground. */
  metres: [Corner, Corner, Corner, Corner];
}
export interface Fall extends TrackRule {
  kind: "fall";
  after_s: number;
}
export interface SceneRule extends AnyRule {
  kind: "tampering" | "anomaly";
  after_s: number;
}

export type Rule = Tripwire | ZoneEntry | TimedZone | Crowding | Occupancy | WrongWay | Speed | Fall | SceneRule;
export type RuleKind = Rule["kind"];
export type Extra = "faces" | "pose" | "text";

export interface AnalysisSettings {
  enabled: boolean;
  /** Pictures a second: on a still scene, and at most. */
  least_fps: number;
  most_fps: number;
  key_frames_only: boolean;
  priority: "low" | "normal" | "high";
  /** null: the installation's. */
  detector: string | null;
  extras: Extra[];
  least_score: number;
  /** None: everything that the detector knows. */
  labels: string[];
  /** Areas in which nothing counts. */
  mask: Polygon[];
  rules: Rule[];
}

export interface CameraAnalysis {
  state: "off" | "starting" | "running" | "failed";
  reason: string | null;
  detector: string;
  device: string;
  frames_per_second: number;
  analysed: number;
  dropped: number;
  delay_p50_ms: number;
  delay_p95_ms: number;
  objects: number;
}

export interface Model {
  name: string;
  title: string;
  task: "detect" | "faces" | "face_embedding" | "pose" | "text" | "anomaly";
  version: string;
  licence: string;
  commercial: boolean;
  notice: string;
  labels: string[];
  installed: boolean;
  default: boolean;
  size_bytes: number;
  precision: "fp32" | "fp16" | "int8";
}

export interface ModelFigures {
  model: string;
  frames: number;
  batches: number;
  p50_ms: number;
  p95_ms: number;
  queue_depth: number;
}

export interface DeviceFigures {
  device: {
    id: string;
    kind: string;
    name: string;
    backend: string;
    reason: string;
    memory_bytes: number | null;
    largest_batch: number;
  };
  state: "starting" | "ready" | "failed" | "drained";
  reason: string | null;
  restarts: number;
  frames_per_second: number;
  /** Share of the last minute in which it ran. */
  busy: number;
  cameras: string[];
  models: ModelFigures[];
}

export interface PoolFigures {
  answered: number;
  dropped: number;
  failed: number;
  waited_p95_ms: number;
}

/** Left, top, right, bottom. */
export type Box = [left: number, top: number, right: number, bottom: number];

export interface SeenTrack {
  number: number;
  label: string;
  score: number;
  box: Box;
  /** Whether the picture showed it; else its place is a guess. */
  seen: boolean;
}

/** A picture and what is followed in it; `pts` in ticks of `clock_rate`, as live players get it. */
export interface AnalysedFrame {
  at: string;
  pts: number;
  clock_rate: number;
  width: number;
  height: number;
  tracks: SeenTrack[];
}

export interface Count {
  camera_id: string;
  start: string;
  kind: "seen" | "crossed" | "inside";
  label: string;
  rule_id: string;
  direction: "" | "left" | "right";
  count: number;
  mean: number;
  peak: number;
}

/** How long something stood in each cell, row by row. */
export interface HeatMap {
  columns: number;
  rows: number;
  seconds: number[];
}
