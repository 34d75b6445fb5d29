"""Bytes of recordings as players take them: one MP4 of a span, or HLS. Times are µs since the Unix epoch.

Every call may raise `vms.domain.errors.Failure`; the kinds worth handling are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class RecordedBytes(Protocol):
    """Bytes of fixed length that are made when they are read, the same ones each time."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def etag(self) -> str:
        """Strong, without quotes: the same tag means the same bytes."""
        ...

    @property
    def content_type(self) -> str: ...

    @property
    def start_us(self) -> int | None:
        """Of playback: the first instant it presents, the one asked for or the next that is recorded."""
        ...

    @property
    def next_start_us(self) -> int | None:
        """Of playback: where to go on when it ends before the instant asked for."""
        ...

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """Bytes [offset, offset + length) in pieces of at most 256 KiB, as far as there are any. Closing the iterator
        ends the reading."""
        ...

    def close(self) -> None:
        """Nobody reads it any more. Never fails."""
        ...


class MediaPlayback(Protocol):
    """Recordings for players."""

    def playback_open(self, camera_id: str, stream: str, start_us: int, end_us: int) -> RecordedBytes:
        """[start_us, end_us) as one MP4; an end in the future means the newest durable sample.

        Raises Failure(not_found) when nothing is recorded there, Failure(invalid) for a span that is none.
        """
        ...

    def hls_playlist(self, camera_id: str, stream: str, start_us: int, end_us: int) -> str:
        """An HLS media playlist (RFC 8216) of [start_us, end_us); its URIs are relative, `init-NAME.mp4` and
        `segment-NAME.m4s`. Raises what `playback_open` raises."""
        ...

    def hls_init(self, camera_id: str, stream: str, name: str) -> RecordedBytes:
        """Raises Failure(not_found) for a name that is in no playlist."""
        ...

    def hls_segment(
        self, camera_id: str, stream: str, name: str, granted_start_us: int | None, granted_end_us: int | None
    ) -> RecordedBytes:
        """Raises Failure(not_found) for a name that is in no playlist, Failure(forbidden) for what no playlist within
        the granted time lists (None: no bound); names come from clients."""
        ...
