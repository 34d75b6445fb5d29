"""Whether an archive on the disk is whole, read by docs/format alone: nothing of the product is used."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HEADER_BYTES = 64
RECORD_BYTES = 64
_FRAGMENT, _GAP, _SEAL = 1, 2, 3


@dataclass
class Findings:
    """What is wrong, one sentence each, and how much was looked at."""

    files: int = 0
    records: int = 0
    unreadable: list[str] = field(default_factory=list)
    wrong_records: list[str] = field(default_factory=list)


def check(storage: Path, *, play: bool = True) -> Findings:
    """Looks at every recording below `storage`; `play` lets ffprobe read each, too."""
    findings = Findings()
    for video in sorted(storage.rglob("video_*.mp4")):
        findings.files += 1
        index = video.with_name(video.name.replace("video_", "index_", 1)).with_suffix(".vms-idx")
        if not index.exists():
            findings.wrong_records.append(f"{video}: no index")
            continue
        for problem in _check_index(index.read_bytes(), video, findings):
            findings.wrong_records.append(f"{index}: {problem}")
        if play and not _plays(video):
            findings.unreadable.append(str(video))
    return findings


def _check_index(index: bytes, video: Path, findings: Findings) -> Iterator[str]:
    header = index[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[:8] != b"VMSIDX1\0":
        yield "no header"
        return
    if crc32c(header[:60]) != struct.unpack_from("<I", header, 60)[0]:
        yield "the header's checksum is wrong"
        return
    size_bytes = video.stat().st_size
    expected_offset = None
    with video.open("rb") as file:
        for number in range((len(index) - HEADER_BYTES) // RECORD_BYTES):
            record = index[HEADER_BYTES + number * RECORD_BYTES :][:RECORD_BYTES]
            findings.records += 1
            if crc32c(record[:60]) != struct.unpack_from("<I", record, 60)[0]:
                yield f"record {number}: wrong checksum"
                continue
            if record[0] in (_GAP, _SEAL):
                continue
            if record[0] != _FRAGMENT:
                yield f"record {number}: kind {record[0]}"
                continue
            size, offset = struct.unpack_from("<IQ", record, 28)
            sequence = struct.unpack_from("<I", record, 48)[0]
            media_time = struct.unpack_from("<q", record, 16)[0]
            if offset + size > size_bytes:
                yield f"record {number}: ends at byte {offset + size} of {size_bytes}"
                continue
            if expected_offset is not None and offset != expected_offset:
                yield f"record {number}: at byte {offset}, not {expected_offset}"
            expected_offset = offset + size
            file.seek(offset)
            moof = file.read(68)
            if moof[4:8] != b"moof" or struct.unpack_from(">I", moof, 20)[0] != sequence:
                yield f"record {number}: no such fragment at byte {offset}"
            elif struct.unpack_from(">q", moof, 60)[0] != media_time:
                yield f"record {number}: another decoding time than its fragment"


def _plays(video: Path) -> bool:
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(video)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    return probe.returncode == 0 and bool(probe.stdout.strip())


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), as RFC 3720 §B.4 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
