"""Stills for scrubbing: making grids of them outside the server's process, and handing them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from vms.contracts.media import Picture
from vms.domain.recordings import Span
from vms.domain.thumbnails import ThumbnailGrid


class Still(NamedTuple):
    """A key frame for a cell."""

    cell: int
    picture: Picture


class MadeGrid(NamedTuple):
    """The file, and how many of the stills could not be decoded."""

    content: bytes
    broken: int


class ThumbnailMaker(Protocol):
    """Decodes, scales, encodes."""

    def make(
        self, previous: bytes | None, hour_us: int, stills: Iterable[Still], made_until_us: int
    ) -> MadeGrid | None:
        """The file of an hour: what `previous` holds and the stills, which are taken one after another as they are
        needed. None when there is nothing to show.

        Raises Failure(malformed) when the worker ends on the still taken last, Failure(unavailable) when it does not
        answer in time or `previous` cannot be decoded.
        """
        ...

    def close(self) -> None: ...


class Thumbnails(Protocol):
    """What the storage service offers."""

    def grid_file(self, camera_id: str, at_us: int) -> tuple[ThumbnailGrid, bytes]:
        """The grid of the hour of an instant, and its file. Raises Failure(not_found)."""
        ...

    def grids(self, camera_id: str, span: Span) -> Sequence[ThumbnailGrid]:
        """The grids of the hours that touch the span, in order."""
        ...

    def drop_thumbnails(self, camera_id: str, hour_us: int) -> int:
        """Removes an hour's; the bytes freed."""
        ...
