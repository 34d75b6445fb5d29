import { describe, expect, it } from "vitest";
import { parseAttributes, parsePlaylist, rangeHeader } from "./playlist";

const BASE = "https://vms.test/api/v1/cameras/a/playback/index.m3u8?start=x";
const HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:3\n";

describe("playlists", () => {
  it("tell segments with their place, time and initialization section", () => {
    const { segments, ended } = parsePlaylist(
      `${HEAD}#EXT-X-MAP:URI="init.mp4?token=a,b",BYTERANGE="900@0"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T10:00:00.000000Z\n#EXTINF:2.000000,\n#EXT-X-BYTERANGE:1000@900\nvideo.mp4\n#EXTINF:1.5,\n#EXT-X-BYTERANGE:500\nvideo.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="/other/init.mp4"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T10:05:00Z\n#EXTINF:2,\nnext.m4s?token=t\n#EXT-X-ENDLIST\n`,
      BASE,
    );
    expect(ended).toBe(true);
    expect(segments).toHaveLength(3);
    expect(segments[0]).toMatchObject({
      url: "https://vms.test/api/v1/cameras/a/playback/video.mp4",
      range: { offset: 900, length: 1_000 },
      durationS: 2,
      discontinuity: false,
      init: { url: "https://vms.test/api/v1/cameras/a/playback/init.mp4?token=a,b", range: { offset: 0, length: 900 } },
    });
    expect(segments[1]?.range).toEqual({ offset: 1_900, length: 500 });
    expect((segments[1]?.startsAt ?? 0) - (segments[0]?.startsAt ?? 0)).toBe(2_000);
    expect(segments[2]).toMatchObject({
      discontinuity: true,
      range: null,
      url: expect.stringContaining("next.m4s?token=t"),
    });
    expect(segments[2]?.init.url).toBe("https://vms.test/other/init.mp4");
  });

  it.each([
    ["not a playlist", "line 1"],
    [`${HEAD}#EXTINF:2,\na.m4s\n`, "EXT-X-MAP"],
    [`${HEAD}#EXT-X-MAP:URI="i"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T10:00:00Z\na.m4s\n`, "EXTINF"],
    [`${HEAD}#EXT-X-MAP:URI="i"\n#EXTINF:2,\na.m4s\n`, "PROGRAM-DATE-TIME"],
    [`${HEAD}#EXT-X-MAP:URI="i"\n#EXT-X-PROGRAM-DATE-TIME:noon\n`, "no time"],
    [`${HEAD}#EXT-X-MAP:BYTERANGE="1@0"\n`, "URI"],
    [`${HEAD}#EXT-X-MAP:URI="i",BYTERANGE="x"\n`, "BYTERANGE"],
    [`${HEAD}#EXT-X-BYTERANGE:-4\n`, "BYTERANGE"],
    [`${HEAD}#EXTINF:soon,\n`, "duration"],
  ])("name what is wrong (%#)", (text, reason) => {
    expect(() => parsePlaylist(text, BASE)).toThrow(reason);
  });

  it("are read with carriage returns and unknown tags too", () => {
    const text = `${HEAD}#EXT-X-NEW-THING:1\n#EXT-X-MAP:URI="i"\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T10:00:00Z\n#EXTINF:2,\na.m4s\n`;
    expect(parsePlaylist(text.replaceAll("\n", "\r\n"), BASE)).toMatchObject({
      ended: false,
      segments: [{ durationS: 2 }],
    });
  });

  it("have attribute lists with commas inside quotes", () => {
    expect([...parseAttributes('A="x,y",B-C=3')]).toEqual([
      ["A", "x,y"],
      ["B-C", "3"],
    ]);
    expect(rangeHeader({ offset: 10, length: 5 })).toBe("bytes=10-14");
  });
});
