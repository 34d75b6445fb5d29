"""Frame numbers that the simulator stamped into pictures, read back from recorded files with FFmpeg's demuxer.

A stamp is an SEI user_data_unregistered message: UUID, frame number u64, send time i64 µs, big-endian.
It is the sender's own count, so that a check of losses never relies on what the recorder believes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

STAMP_UUID = bytes.fromhex("5f1c8a3e9b274d60a4d17e930bc652f8")


@dataclass(frozen=True, slots=True)
class Stamp:
    """One stamped picture."""

    frame: int
    sent_us: int


def stamp_in(unit: bytes) -> Stamp | None:
    """The stamp inside an access unit, or None."""
    at = unit.find(STAMP_UUID)
    if at < 0:
        return None
    # 16 payload bytes follow, with at most 5 emulation prevention bytes (00 00 03) between them.
    raw = unit[at + 16 : at + 16 + 24].replace(b"\x00\x00\x03", b"\x00\x00")
    return Stamp(int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:16], "big", signed=True))


def stamps_of_file(path: Path) -> list[Stamp]:
    """Stamps of every picture of a file's video track, in decoding order."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            stamp = stamp_in(bytes(packet)) if packet.size else None
            if stamp is not None:
                found.append(stamp)
    return found


def stamps_of_camera(data_dir: Path, camera_id: str) -> list[Stamp]:
    """Stamps of all recordings of a camera, in the order of the files."""
    found: list[Stamp] = []
    for path in sorted((data_dir / "storage" / "cameras" / camera_id).rglob("video_*.mp4"), key=_order):
        found.extend(stamps_of_file(path))
    return found


def _order(path: Path) -> tuple[str, str, int]:
    parts = path.stem.split("_")
    numbers = [int(part) for part in parts[2:] if part.isdigit()]
    return (path.parent.name, parts[1], numbers[0] if numbers else 1)
