#!/usr/bin/env python3
"""Makes the golden streams: what a camera sends, packet by packet, with FFmpeg's packetizer and not with ours.

Needs ffmpeg with libx264 and libx265; run it by hand, the results are committed. The same ffmpeg makes the same files;
another version may make others, and then the tables beside them change too (`UPDATE_GOLDEN=1 cargo test`).

NAME.sdp       session description
NAME.rtpdump   packets with arrival times, in the format of rtptools (`rtpplay`, Wireshark)
NAME.pictures  what a decoder shows of the source: presentation time (1/90,000 s from the first shown) and MD5
drift.clock    a camera's clock that gains 300 ppm, over a jittery network: `rtp` and `sr` lines
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

FOLDER = Path(__file__).parent / "streams"
X264 = "scenecut=0:b-adapt=0:repeat-headers=1:threads=1:"
X265 = "scenecut=0:b-adapt=0:repeat-headers=1:pools=none:frame-threads=1:log-level=error:"
# name: (encoder, its option, pictures a second, seconds)
STREAMS = {
    "b_frames_h264": ("libx264", X264 + "bframes=3:b-pyramid=normal:keyint=25:min-keyint=25", 25, 3),
    "b_frames_h265": ("libx265", X265 + "bframes=4:b-pyramid=1:keyint=25:min-keyint=25:open-gop=0", 25, 3),
    "open_gop_h264": ("libx264", X264 + "bframes=2:open-gop=1:keyint=20:min-keyint=20", 25, 4),
    "open_gop_h265": ("libx265", X265 + "bframes=3:open-gop=1:keyint=20:min-keyint=20", 25, 4),
    "intra_refresh": ("libx264", X264 + "bframes=0:intra-refresh=1:keyint=20", 25, 4),
    "long_gop": ("libx264", X264 + "bframes=1:keyint=50:min-keyint=50", 5, 22),
}
# Small packets, so that small pictures are cut into fragmentation units all the same.
PACKET_BYTES = 250
SSRC = 0x5EED
# Both wrap around within the stream.
FIRST_SEQUENCE = 65_500
FIRST_TIMESTAMP = 2**32 - 90_000


def run(*arguments: str) -> str:
    return subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", *arguments], check=True, capture_output=True, text=True
    ).stdout


def packets_of(source: Path, sdp: Path) -> list[bytes]:
    """Sends the source over loopback and returns the RTP packets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(1)
        received: list[bytes] = []

        def receive() -> None:
            while True:
                try:
                    received.append(receiver.recv(2048))
                except TimeoutError:
                    return

        thread = threading.Thread(target=receive)
        thread.start()
        port = receiver.getsockname()[1]
        run(
            *("-i", str(source), "-c", "copy", "-fflags", "+bitexact", "-f", "rtp", "-rtpflags", "skip_rtcp"),
            *("-ssrc", str(SSRC), "-seq", str(FIRST_SEQUENCE), "-payload_type", "96", "-sdp_file", str(sdp)),
            f"rtp://127.0.0.1:{port}?pkt_size={PACKET_BYTES}",
        )
        thread.join()
    sequences = [struct.unpack_from(">H", packet, 2)[0] for packet in received]
    expected = [(FIRST_SEQUENCE + number) % 65_536 for number in range(len(received))]
    if sequences != expected:
        sys.exit(f"{source.stem}: packets were lost on loopback; run it again")
    # FFmpeg begins at a random timestamp.
    began = struct.unpack_from(">I", received[0], 4)[0]
    return [packet[:4] + struct.pack(">I", moved(packet, began)) + packet[8:] for packet in received]


def moved(packet: bytes, began: int) -> int:
    """The packet's timestamp as if the first had been FIRST_TIMESTAMP."""
    return int((struct.unpack_from(">I", packet, 4)[0] - began + FIRST_TIMESTAMP) % 2**32)


def write_dump(path: Path, packets: list[bytes], frame_ms: int) -> None:
    """A picture's packets arrive together, one picture per frame duration, 5 ms late every third time."""
    parts = [b"#!rtpplay1.0 127.0.0.1/5004\n", struct.pack(">IIIHH", 0, 0, 0x7F000001, 5004, 0)]
    picture = 0
    for packet in packets:
        arrival_ms = picture * frame_ms + (5 if picture % 3 == 2 else 0)
        parts.append(struct.pack(">HHI", 8 + len(packet), len(packet), arrival_ms) + packet)
        picture += packet[1] >> 7
    path.write_bytes(b"".join(parts))


def write_pictures(path: Path, source: Path) -> None:
    listing = run("-i", str(source), "-vsync", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-")
    rows = [line.split(",") for line in listing.splitlines() if not line.startswith("#")]
    shown = [(int(row[2]), row[5].strip()) for row in rows]
    path.write_text("".join(f"{pts - shown[0][0]} {md5}\n" for pts, md5 in shown))


def write_stream(name: str, workplace: Path) -> None:
    encoder, options, fps, seconds = STREAMS[name]
    source = workplace / f"{name}.nut"
    kind = "x265-params" if encoder == "libx265" else "x264-params"
    run(
        *("-y", "-f", "lavfi", "-i", f"testsrc2=size=128x96:rate={fps}", "-t", str(seconds), "-pix_fmt", "yuv420p"),
        *("-c:v", encoder, "-preset", "fast", "-crf", "42", f"-{kind}", options, "-bitexact", str(source)),
    )
    sdp = workplace / f"{name}.sdp"
    write_dump(FOLDER / f"{name}.rtpdump", packets_of(source, sdp), 1000 // fps)
    # Only what describes the media: the rest names this machine's ports.
    kept = [line for line in sdp.read_text().splitlines() if line.startswith(("a=rtpmap", "a=fmtp"))]
    (FOLDER / f"{name}.sdp").write_text("\n".join(["m=video 0 RTP/AVP 96", *kept]) + "\n")
    write_pictures(FOLDER / f"{name}.pictures", source)


def write_drift(path: Path) -> None:
    """20 minutes, a picture a second; sender reports every 10 s; delays of 2–42 ms and every 97th of 400 ms."""
    lines = ["# rtp ARRIVAL_US RTP_TIMESTAMP | sr ARRIVAL_US NTP RTP_TIMESTAMP"]
    state = 1
    first = 2**32 - 30 * 90_000  # wraps after half a minute
    camera_start_us = 1_795_430_000_000_000
    for second in range(1_200):
        state = (state * 1_103_515_245 + 12_345) % 2**31
        delay_us = 400_000 if second % 97 == 96 else 2_000 + state % 40_000
        # The camera's second is shorter than the server's.
        taken_us = round(second * 1_000_000 / (1 + 300e-6))
        timestamp = (first + second * 90_000) % 2**32
        lines.append(f"rtp {taken_us + delay_us} {timestamp}")
        if second % 10 == 5:
            ntp_us = camera_start_us + second * 1_000_000 + 2_208_988_800_000_000
            ntp = (ntp_us // 1_000_000 << 32) + (ntp_us % 1_000_000 << 32) // 1_000_000
            lines.append(f"sr {taken_us + delay_us + 500} {ntp} {timestamp}")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as workplace:
        for name in sys.argv[1:] or STREAMS:
            write_stream(name, Path(workplace))
    write_drift(FOLDER / "drift.clock")


if __name__ == "__main__":
    main()
