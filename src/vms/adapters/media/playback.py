"""`vms_media.Content` as the contract's bytes."""

from __future__ import annotations

from collections.abc import Iterator

from vms_media import Content

from vms.adapters.media.failures import translated

PIECE_BYTES = 256 << 10


class EngineBytes:
    """Satisfies `vms.contracts.playback.RecordedBytes`."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size_bytes: int = content.size_bytes
        self.etag: str = content.etag
        self.content_type: str = content.content_type
        self.start_us: int | None = content.start_us
        self.next_start_us: int | None = content.next_start_us

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        end = min(offset + length, self.size_bytes)
        while offset < end:
            with translated():
                piece = self._content.read_at(offset, min(PIECE_BYTES, end - offset))
            if not piece:
                return
            offset += len(piece)
            yield piece

    def close(self) -> None:
        """Files close with the last reference."""
