"""Recordings whose bytes are computed from their name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from vms.domain.recordings import RecordedRange

SIZE_BYTES = 1_000_000
_PIECE_BYTES = 256 << 10


class MemoryBytes:
    """Satisfies `vms.contracts.playback.RecordedBytes`: a megabyte that no other name has."""

    def __init__(self, name: str, content_type: str, *, start_us: int | None = None) -> None:
        digest = hashlib.sha256(name.encode()).digest()
        self._content = (digest * (SIZE_BYTES // len(digest) + 1))[:SIZE_BYTES]
        self.size_bytes = SIZE_BYTES
        self.etag = digest.hex()[:32]
        self.content_type = content_type
        self.start_us = start_us
        self.next_start_us: int | None = None
        self.closed = False

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        end = min(offset + length, SIZE_BYTES)
        for at in range(offset, end, _PIECE_BYTES):
            yield self._content[at : min(end, at + _PIECE_BYTES)]

    def close(self) -> None:
        self.closed = True


def playlist(ranges: Sequence[RecordedRange]) -> str:
    """One segment per range."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:3600", '#EXT-X-MAP:URI="init-0.mp4"']
    for entry in ranges:
        lines.append(f"#EXTINF:{(entry.end_us - entry.start_us) / 1e6:.6f},")
        lines.append(f"segment-{entry.start_us}-{entry.end_us}.m4s")
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])
