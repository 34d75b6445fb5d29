import { describe, expect, it } from "vitest";
import {
  aacCodec,
  av1Codec,
  avcCodec,
  boxes,
  fragmentsOf,
  hevcCodec,
  keepFragments,
  keepTracks,
  tracksOf,
} from "./boxes";

type Bytes = Uint8Array<ArrayBuffer>;
const bytes = (...values: number[]): Bytes => Uint8Array.from(values);
const join = (...parts: Bytes[]): Bytes => Uint8Array.from(parts.flatMap((part) => [...part]));
const u32 = (value: number): Bytes => bytes(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
const zeros = (count: number): Bytes => new Uint8Array(count);
const text = (value: string): Bytes => bytes(...[...value].map((letter) => letter.charCodeAt(0)));
const box = (type: string, ...body: Bytes[]): Bytes => {
  const inner = join(...body);
  return join(u32(inner.length + 8), text(type), inner);
};

const AVCC = bytes(1, 0x64, 0x00, 0x28, 0xff);
const ESDS = join(
  zeros(4),
  bytes(3, 0x80, 0x80, 0x80, 0x22, 0, 2, 0, 4, 0x14, 0x40, 0x15),
  zeros(11),
  bytes(5, 2, 0x11, 0x90),
);

function track(id: number, handler: string, timescale: number, entry: Bytes): Bytes {
  return box(
    "trak",
    box("tkhd", zeros(4), zeros(8), u32(id), zeros(60)),
    box(
      "mdia",
      box("mdhd", zeros(4), zeros(8), u32(timescale), zeros(8)),
      box("hdlr", zeros(8), text(handler), zeros(12)),
      box("minf", box("stbl", box("stsd", zeros(4), u32(1), entry))),
    ),
  );
}
const INIT = join(
  box("ftyp", text("iso6")),
  box(
    "moov",
    box("mvhd", zeros(100)),
    track(1, "vide", 90_000, box("avc1", zeros(78), box("avcC", AVCC))),
    track(2, "soun", 8_000, box("ulaw", zeros(28))),
    box("mvex", box("trex", zeros(4), u32(1), zeros(16)), box("trex", zeros(4), u32(2), zeros(16))),
  ),
);
const fragment = (id: number, time: number, samples: number, payload: number): Bytes =>
  join(
    box(
      "moof",
      box("mfhd", zeros(8)),
      box(
        "traf",
        box("tfhd", zeros(4), u32(id)),
        box("tfdt", bytes(1, 0, 0, 0), u32(1), u32(time)),
        box("trun", zeros(4), u32(samples)),
      ),
    ),
    box("mdat", zeros(payload)),
  );

describe("initialization segments", () => {
  it("tell their tracks", () => {
    expect(tracksOf(INIT)).toEqual([
      { id: 1, kind: "video", timescale: 90_000, entry: "avc1", codec: "avc1.640028" },
      { id: 2, kind: "audio", timescale: 8_000, entry: "ulaw", codec: null },
    ]);
  });
  it("lose a track that cannot be played", () => {
    const kept = keepTracks(INIT, new Set([1]));
    expect(tracksOf(kept).map((entry) => entry.id)).toEqual([1]);
    expect(boxes(kept).map((entry) => [entry.type, entry.end])).toEqual([
      ["ftyp", 12],
      ["moov", kept.length],
    ]);
    expect(kept.length).toBe(INIT.length - track(2, "soun", 8_000, box("ulaw", zeros(28))).length - 32);
  });
  it("without a moov box are refused", () => {
    expect(() => tracksOf(box("ftyp", text("iso6")))).toThrow("moov");
    expect(() => tracksOf(zeros(0))).toThrow("moov");
  });
  it("cut off anywhere never give a wrong answer or hang", () => {
    for (let length = 0; length < INIT.length; length += 1) {
      const cut = INIT.slice(0, length);
      try {
        for (const found of tracksOf(cut)) expect(found.id).toBeLessThan(3);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });
});

describe("media segments", () => {
  const segment = join(fragment(1, 900, 15, 100), fragment(2, 80, 40, 30), fragment(1, 1_800, 15, 90));
  it("tell their fragments, 64-bit times included", () => {
    const found = fragmentsOf(segment);
    expect(found.map((entry) => [entry.trackId, entry.decodeTime, entry.samples])).toEqual([
      [1, 2 ** 32 + 900, 15],
      [2, 2 ** 32 + 80, 40],
      [1, 2 ** 32 + 1_800, 15],
    ]);
    expect(found.at(-1)?.end).toBe(segment.length);
  });
  it("lose the fragments of other tracks", () => {
    const kept = keepFragments(segment, fragmentsOf(segment), new Set([1]));
    expect(fragmentsOf(kept).map((entry) => entry.trackId)).toEqual([1, 1]);
    expect(keepFragments(segment, fragmentsOf(segment), new Set([1, 2]))).toBe(segment);
  });
});

describe("codec names", () => {
  it("follow the configuration records", () => {
    expect(avcCodec("avc1", bytes(1, 0x42, 0xc0, 0x1f))).toBe("avc1.42c01f");
    expect(avcCodec("avc1", bytes(1))).toBeNull();
    expect(hevcCodec("hvc1", join(bytes(1, 0x01), bytes(0x60, 0, 0, 0), bytes(0x90, 0, 0, 0, 0, 0), bytes(93)))).toBe(
      "hvc1.1.6.L93.90",
    );
    expect(hevcCodec("hvc1", bytes(1, 1))).toBeNull();
    expect(av1Codec(bytes(0x81, 0x04, 0x0c))).toBe("av01.0.04M.08");
    expect(aacCodec(ESDS)).toBe("mp4a.40.2");
    expect(aacCodec(zeros(4))).toBeNull();
  });
});
