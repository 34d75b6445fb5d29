/** Boxes of the ISO base media file format (ISO/IEC 14496-12), as far as a player must look into them. */

export interface Box {
  type: string;
  /** Offset of the box's first byte. */
  start: number;
  /** Offset of what follows the header. */
  body: number;
  /** Offset of the byte after the box. */
  end: number;
}

type Bytes = Uint8Array<ArrayBuffer>;

const view = (bytes: Bytes): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The boxes that lie side by side in [from, to); stops at the first that is cut off. */
export function boxes(bytes: Bytes, from = 0, to = bytes.length): Box[] {
  const data = view(bytes);
  const found: Box[] = [];
  let at = from;
  while (at + 8 <= to) {
    let size = data.getUint32(at);
    let body = at + 8;
    if (size === 1) {
      if (at + 16 > to) break;
      size = data.getUint32(at + 8) * 2 ** 32 + data.getUint32(at + 12);
      body = at + 16;
    } else if (size === 0) {
      size = to - at;
    }
    const end = at + size;
    if (end < body || end > to) break;
    found.push({ type: fourCharacters(bytes, at + 4), start: at, body, end });
    at = end;
  }
  return found;
}

export function fourCharacters(bytes: Bytes, at: number): string {
  return String.fromCharCode(bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0, bytes[at + 3] ?? 0);
}

/** The first box along a path such as `mdia/minf/stbl`, looked for inside `parent`. */
export function child(bytes: Bytes, parent: Box, path: string): Box | null {
  let within: Box = parent;
  for (const type of path.split("/")) {
    const next = boxes(bytes, within.body, within.end).find((box) => box.type === type);
    if (!next) return null;
    within = next;
  }
  return within;
}

export interface Track {
  id: number;
  kind: "video" | "audio" | "other";
  timescale: number;
  /** Type of the sample entry: avc1, hvc1, mp4a, … */
  entry: string;
  /** As a MIME type's codecs parameter names it (RFC 6381); null where it cannot be told. */
  codec: string | null;
}

/** The tracks of an initialization segment. Raises Error when there is no moov box. */
export function tracksOf(init: Bytes): Track[] {
  const moov = boxes(init).find((box) => box.type === "moov");
  if (!moov) throw new Error("the initialization segment has no moov box");
  return boxes(init, moov.body, moov.end)
    .filter((box) => box.type === "trak")
    .map((trak) => trackOf(init, trak));
}

function trackOf(init: Bytes, trak: Box): Track {
  const data = view(init);
  const tkhd = child(init, trak, "tkhd");
  const mdhd = child(init, trak, "mdia/mdhd");
  const hdlr = child(init, trak, "mdia/hdlr");
  const stsd = child(init, trak, "mdia/minf/stbl/stsd");
  if (!tkhd || !mdhd || !hdlr || !stsd) throw new Error("a track lacks one of tkhd, mdhd, hdlr, stsd");
  const handler = fourCharacters(init, hdlr.body + 8);
  const kind = handler === "vide" ? "video" : handler === "soun" ? "audio" : "other";
  const entry = boxes(init, stsd.body + 8, stsd.end)[0];
  return {
    // Version 1 of these boxes has 64-bit times in front of the fields wanted.
    id: data.getUint32(tkhd.body + (init[tkhd.body] === 1 ? 20 : 12)),
    kind,
    timescale: data.getUint32(mdhd.body + (init[mdhd.body] === 1 ? 20 : 12)),
    entry: entry?.type ?? "",
    codec: entry ? codecOf(init, entry, kind) : null,
  };
}

// Sizes of the fields in front of a sample entry's own boxes (§12.1.3, §12.2.3).
const VISUAL_FIELDS = 78;
const AUDIO_FIELDS = 28;

function codecOf(init: Bytes, entry: Box, kind: Track["kind"]): string | null {
  const fields = kind === "video" ? VISUAL_FIELDS : AUDIO_FIELDS;
  const inner = boxes(init, entry.body + fields, entry.end);
  const configuration = (type: string): Bytes | null => {
    const box = inner.find((found) => found.type === type);
    return box ? init.subarray(box.body, box.end) : null;
  };
  switch (entry.type) {
    case "avc1":
    case "avc3": {
      const avcC = configuration("avcC");
      return avcC ? avcCodec(entry.type, avcC) : null;
    }
    case "hvc1":
    case "hev1": {
      const hvcC = configuration("hvcC");
      return hvcC ? hevcCodec(entry.type, hvcC) : null;
    }
    case "av01": {
      const av1C = configuration("av1C");
      return av1C ? av1Codec(av1C) : null;
    }
    case "mp4a": {
      const esds = configuration("esds");
      return esds ? aacCodec(esds) : null;
    }
    case "Opus":
      return "opus";
    default:
      return null;
  }
}

const hex = (value: number): string => value.toString(16).padStart(2, "0");

/** avc1.PPCCLL: profile, constraints and level as they stand in the avcC box (ISO/IEC 14496-15 §5.3.3.1). */
export function avcCodec(entry: string, avcC: Bytes): string | null {
  if (avcC.length < 4) return null;
  return `${entry}.${hex(avcC[1] ?? 0)}${hex(avcC[2] ?? 0)}${hex(avcC[3] ?? 0)}`;
}

/** hvc1.SpaceProfile.Compatibility.TierLevel.Constraints (ISO/IEC 14496-15, annex E.3). */
export function hevcCodec(entry: string, hvcC: Bytes): string | null {
  if (hvcC.length < 13) return null;
  const general = hvcC[1] ?? 0;
  const space = ["", "A", "B", "C"][general >> 6] ?? "";
  const tier = general & 0x20 ? "H" : "L";
  let compatibility = 0;
  const flags = view(hvcC).getUint32(2);
  for (let bit = 0; bit < 32; bit += 1) {
    if (flags & (1 << bit)) compatibility |= 1 << (31 - bit);
  }
  const constraints = Array.from(hvcC.subarray(6, 12));
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  return [
    entry,
    `${space}${general & 0x1f}`,
    (compatibility >>> 0).toString(16).toUpperCase(),
    `${tier}${hvcC[12] ?? 0}`,
    ...constraints.map((value) => value.toString(16).toUpperCase()),
  ].join(".");
}

/** av01.P.LLT.DD (AV1 in ISOBMFF §5). */
export function av1Codec(av1C: Bytes): string | null {
  if (av1C.length < 3) return null;
  const [, second = 0, third = 0] = av1C;
  const twelve = Boolean(third & 0x20);
  const depth = third & 0x40 ? (twelve ? 12 : 10) : 8;
  const two = (value: number) => String(value).padStart(2, "0");
  return `av01.${second >> 5}.${two(second & 0x1f)}${third & 0x80 ? "H" : "M"}.${two(depth)}`;
}

/** mp4a.OTI.AOT out of an esds box (ISO/IEC 14496-1 §7.2.6). */
export function aacCodec(esds: Bytes): string | null {
  // Descriptors are a tag, a length in groups of seven bits, and the body.
  const descriptor = (at: number): { tag: number; body: number } => {
    let next = at + 1;
    while (next < at + 5 && (esds[next] ?? 0) & 0x80) next += 1;
    return { tag: esds[at] ?? 0, body: next + 1 };
  };
  const es = descriptor(4);
  if (es.tag !== 0x03) return null;
  const flags = esds[es.body + 2] ?? 0;
  let at = es.body + 3;
  if (flags & 0x80) at += 2;
  if (flags & 0x40) at += 1 + (esds[at] ?? 0);
  if (flags & 0x20) at += 2;
  const decoder = descriptor(at);
  if (decoder.tag !== 0x04) return null;
  const objectType = esds[decoder.body] ?? 0;
  const specific = descriptor(decoder.body + 13);
  if (specific.tag !== 0x05) return `mp4a.${hex(objectType)}`;
  let audioObject = (esds[specific.body] ?? 0) >> 3;
  if (audioObject === 31) {
    audioObject = 32 + (((esds[specific.body] ?? 0) & 0x07) << 3) + ((esds[specific.body + 1] ?? 0) >> 5);
  }
  return audioObject > 0 ? `mp4a.${hex(objectType)}.${audioObject}` : null;
}

/** The initialization segment with only the named tracks; sizes of moov and mvex follow. */
export function keepTracks(init: Bytes, ids: ReadonlySet<number>): Bytes {
  const data = view(init);
  const parts: Bytes[] = [];
  for (const box of boxes(init)) {
    if (box.type !== "moov") {
      parts.push(init.subarray(box.start, box.end));
      continue;
    }
    const kept: Bytes[] = [];
    for (const inner of boxes(init, box.body, box.end)) {
      if (inner.type === "trak" && !ids.has(trackOf(init, inner).id)) continue;
      if (inner.type === "mvex") {
        const extends_ = boxes(init, inner.body, inner.end).filter(
          (entry) => entry.type !== "trex" || ids.has(data.getUint32(entry.body + 4)),
        );
        kept.push(
          wrap(
            "mvex",
            extends_.map((entry) => init.subarray(entry.start, entry.end)),
          ),
        );
      } else {
        kept.push(init.subarray(inner.start, inner.end));
      }
    }
    parts.push(wrap("moov", kept));
  }
  return concatenate(parts);
}

function wrap(type: string, parts: Bytes[]): Bytes {
  const header = new Uint8Array(8);
  const size = 8 + parts.reduce((sum, part) => sum + part.length, 0);
  view(header).setUint32(0, size);
  for (let index = 0; index < 4; index += 1) header[4 + index] = type.charCodeAt(index);
  return concatenate([header, ...parts]);
}

function concatenate(parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export interface Fragment {
  trackId: number;
  /** Decoding time of the first sample, in the track's timescale. */
  decodeTime: number;
  samples: number;
  /** Offsets of the moof box and of the end of its mdat. */
  start: number;
  end: number;
}

/** The fragments of a media segment whose moof boxes hold one track each, as this system records them. */
export function fragmentsOf(segment: Bytes): Fragment[] {
  const data = view(segment);
  const found: Fragment[] = [];
  for (const box of boxes(segment)) {
    if (box.type === "mdat") {
      const last = found.at(-1);
      if (last && last.end === box.start) last.end = box.end;
    }
    if (box.type !== "moof") continue;
    const tfhd = child(segment, box, "traf/tfhd");
    const tfdt = child(segment, box, "traf/tfdt");
    if (!tfhd || !tfdt) continue;
    const trun = child(segment, box, "traf/trun");
    const at = tfdt.body + 4;
    const long = segment[tfdt.body] === 1;
    found.push({
      trackId: data.getUint32(tfhd.body + 4),
      decodeTime: long ? data.getUint32(at) * 2 ** 32 + data.getUint32(at + 4) : data.getUint32(at),
      samples: trun ? data.getUint32(trun.body + 4) : 0,
      start: box.start,
      end: box.end,
    });
  }
  return found;
}

/** The fragments of the named tracks alone. */
export function keepFragments(segment: Bytes, fragments: Fragment[], ids: ReadonlySet<number>): Bytes {
  if (fragments.every((fragment) => ids.has(fragment.trackId))) return segment;
  return concatenate(
    fragments
      .filter((fragment) => ids.has(fragment.trackId))
      .map((fragment) => segment.subarray(fragment.start, fragment.end)),
  );
}
