"""Decoding and rewriting of media outside the server's process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from vms.contracts.media import Picture


class StillDecoder(Protocol):
    """Pictures to JPEG."""

    def jpeg(self, picture: Picture, *, height: int | None = None) -> bytes:
        """The wanted picture as JPEG (JFIF), scaled to `height` pixels when given and smaller than the original.

        Raises Failure(unsupported) for a codec without a decoder, Failure(malformed) when no picture comes out,
        Failure(unavailable) when the worker does not answer in time.
        """
        ...

    def close(self) -> None: ...


class JpegMaker(Protocol):
    """Our own pixels to JPEG."""

    def jpeg(self, pixels: bytes, width: int, height: int, *, widest: int, largest_bytes: int) -> bytes:
        """The picture of `height` rows of `width` × 3 bytes RGB as JPEG (JFIF), scaled to `widest` pixels when it is
        wider, as good as `largest_bytes` allow.

        Raises Failure(invalid) for pixels that are none, Failure(exhausted) where it does not fit.
        """
        ...

    def close(self) -> None: ...


class Remuxer(Protocol):
    """Container to container, without touching the samples."""

    def remux(
        self, source: Path, target: Path, *, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> None:
        """Writes `target` in the container of its suffix; `progress` gets 0.0–1.0.

        Raises Failure(malformed) when the source cannot be read; a cancelled one leaves no target.
        """
        ...
