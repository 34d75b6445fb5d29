// Footage for the mock server: a minute of video as fragmented MP4 and as stills, made once by ffmpeg and kept.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const CLIP_MS = 60_000;
const CANDIDATES = [process.env.VMS_MOCK_VIDEO, "/usr/share/doc/opencv-doc/examples/data/vtest.avi"];

function source() {
  const found = CANDIDATES.find((path) => path && existsSync(path));
  return found ? ["-stream_loop", "-1", "-i", found] : ["-f", "lavfi", "-i", "testsrc2=size=960x540:rate=15"];
}

function ffmpeg(...parameters) {
  execFileSync("ffmpeg", ["-nostdin", "-hide_banner", "-loglevel", "error", "-y", ...parameters], { stdio: "inherit" });
}

const FRAME = "scale=960:540:force_original_aspect_ratio=increase,crop=960:540,fps=15";

/** Loads (the first time: makes) the clip of a codec: `h264` with AAC sound, or `h265` without. */
export function clip(codec) {
  const folder = join(tmpdir(), "vms-mock-footage");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${codec}.mp4`);
  if (!existsSync(path)) {
    const length = ["-t", String(CLIP_MS / 1_000)];
    const fragments = ["-movflags", "frag_keyframe+empty_moov+default_base_moof+separate_moof", "-f", "mp4", path];
    if (codec === "h264") {
      const sound = ["-f", "lavfi", "-i", "sine=frequency=220:sample_rate=48000"];
      const video = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        "2",
        "-g",
        "30",
        "-keyint_min",
        "30",
        "-sc_threshold",
        "0",
      ];
      ffmpeg(
        ...source(),
        ...sound,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-vf",
        FRAME,
        ...video,
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-b:a",
        "48k",
        "-filter:a",
        "volume=0.02",
        ...length,
        ...fragments,
      );
    } else {
      ffmpeg(
        ...source(),
        "-an",
        "-vf",
        "scale=320:180,fps=5",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "keyint=10:log-level=error",
        "-tag:v",
        "hvc1",
        ...length,
        ...fragments,
      );
    }
  }
  return parse(readFileSync(path));
}

/** A JPEG for every second of the clip. */
export function stills() {
  const folder = join(tmpdir(), "vms-mock-footage", "stills");
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    ffmpeg(
      ...source(),
      "-an",
      "-vf",
      `${FRAME},fps=1`,
      "-t",
      String(CLIP_MS / 1_000),
      "-q:v",
      "4",
      join(folder, "%03d.jpg"),
    );
  }
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name)));
}

/** Cuts the file into its initialization section and segments that begin with a video fragment. */
function parse(bytes) {
  const boxes = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at);
    boxes.push({ type: bytes.toString("latin1", at + 4, at + 8), at, size });
    at += size;
  }
  const firstMoof = boxes.find((box) => box.type === "moof").at;
  const timescale = videoTimescale(bytes.subarray(0, firstMoof));
  const segments = [];
  for (const [index, box] of boxes.entries()) {
    if (box.type !== "moof") continue;
    const end = box.at + box.size + boxes[index + 1].size;
    const moof = bytes.subarray(box.at, box.at + box.size);
    const tfhd = moof.indexOf("tfhd");
    const tfdt = moof.indexOf("tfdt");
    const isVideo = moof.readUInt32BE(tfhd + 8) === 1;
    const time = moof[tfdt + 4] === 1 ? Number(moof.readBigUInt64BE(tfdt + 8)) : moof.readUInt32BE(tfdt + 8);
    if (isVideo) segments.push({ at: box.at, end, startMs: (time / timescale) * 1_000 });
    else segments.at(-1).end = end;
  }
  for (const [index, segment] of segments.entries()) {
    segment.durationMs = (segments[index + 1]?.startMs ?? CLIP_MS) - segment.startMs;
  }
  return { bytes, initBytes: firstMoof, segments };
}

function videoTimescale(init) {
  const mdhd = init.indexOf("mdhd");
  return init.readUInt32BE(mdhd + (init[mdhd + 4] === 1 ? 24 : 16));
}
