"""Grids of stills, one file per camera and hour; `docs/format/thumbnails.md` specifies every byte."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO

from vms.domain.recordings import RecordedRange

COLUMNS, ROWS = 20, 18
CELL_WIDTH = 160
# A picture that is taller than wide gets no more.
TALLEST_CELL, FLATTEST_CELL = 160, 32
PERIOD_US = 10_000_000
HOUR_US = 3_600_000_000
# A key frame stands for what is shown until the next, but for no longer than this.
LONGEST_SHOWN_US = 120_000_000
_CHUNK = b"vmsT"
_VERSION = 1
_HEADER = struct.Struct("<HHHHHHIqq")
_NOTHING = -(1 << 31)
_MOST_CELLS = 4096


class GridError(ValueError):
    """A file that is no grid of stills."""


@dataclass(frozen=True)
class ThumbnailGrid:
    """What a file holds: cell k, row by row, is of the seconds [k, k + 1) × period of its hour."""

    start_us: int
    # What lies before is in it; the hour's end where it is complete.
    made_until_us: int
    cell_width: int
    cell_height: int
    # The time of each cell's picture; None for a black one.
    shown_us: tuple[int | None, ...]
    columns: int = COLUMNS
    rows: int = ROWS
    period_us: int = PERIOD_US

    @property
    def is_complete(self) -> bool:
        """Whether the hour needs no more work."""
        return self.made_until_us >= self.start_us + HOUR_US

    def with_(self, shown: Iterable[tuple[int, int]], made_until_us: int) -> ThumbnailGrid:
        """With more (cell, time of its picture)."""
        times = list(self.shown_us)
        for cell, at_us in shown:
            times[cell] = at_us
        return replace(self, shown_us=tuple(times), made_until_us=made_until_us)


def empty_grid(start_us: int, cell_width: int, cell_height: int) -> ThumbnailGrid:
    """Of an hour of which nothing is made yet."""
    return ThumbnailGrid(start_us, start_us, cell_width, cell_height, (None,) * (COLUMNS * ROWS))


def cell_height_for(width: int, height: int) -> int:
    """Rows of a cell that shows pictures of that shape whole; even."""
    if width <= 0 or height <= 0:
        raise GridError("a picture without a size")
    return min(TALLEST_CELL, max(FLATTEST_CELL, round(CELL_WIDTH * height / width / 2) * 2))


def hour_of(at_us: int) -> int:
    """The beginning of the UTC hour that an instant lies in."""
    return at_us // HOUR_US * HOUR_US


def file_name(hour_us: int) -> str:
    """Below the camera's directory: 2026-11-23/thumb_16.webp."""
    return datetime.fromtimestamp(hour_us / 1e6, UTC).strftime("%Y-%m-%d/thumb_%H.webp")


def hour_named(name: str) -> int | None:
    """The hour of a name as `file_name` makes it; None for any other."""
    try:
        at = datetime.strptime(name, "%Y-%m-%d/thumb_%H.webp").replace(tzinfo=UTC)
    except ValueError:
        return None
    hour_us = int(at.timestamp()) * 1_000_000
    return hour_us if file_name(hour_us) == name else None


@dataclass(frozen=True)
class WantedStill:
    """The newest key frame of a stream at or before `at_us` belongs into a cell."""

    cell: int
    at_us: int
    stream: str


def wanted_stills(
    hour_us: int, ranges: Sequence[RecordedRange], from_us: int, until_us: int
) -> tuple[list[WantedStill], int]:
    """What to put into the cells of an hour that lie in [from_us, until_us) as a whole, and up to where that is.

    Of the sub stream where it is recorded, else of main.
    """
    first = max(0, (from_us - hour_us) // PERIOD_US)
    last = min(COLUMNS * ROWS, (min(until_us, hour_us + HOUR_US) - hour_us) // PERIOD_US)
    preferred = sorted(ranges, key=lambda entry: (entry.stream != "sub", entry.stream, -entry.start_us))
    wanted = []
    for cell in range(first, last):
        start_us = hour_us + cell * PERIOD_US
        end_us = start_us + PERIOD_US
        for entry in preferred:
            if entry.start_us < end_us and entry.end_us > start_us:
                wanted.append(WantedStill(cell, min(entry.end_us, end_us) - 1, entry.stream))
                break
    return wanted, hour_us + max(first, last) * PERIOD_US


def recorded_hours(ranges: Iterable[RecordedRange]) -> set[int]:
    """The hours of which something is recorded."""
    hours: set[int] = set()
    for entry in ranges:
        hours.update(range(hour_of(entry.start_us), entry.end_us, HOUR_US))
    return hours


def write_grid(image: bytes, grid: ThumbnailGrid) -> bytes:
    """The file: a WebP image as an encoder makes it, and the grid's chunk behind it."""
    bitstream = _only_chunk(image)
    times = [_NOTHING if at is None else (at - grid.start_us) // 1000 for at in grid.shown_us]
    header = _HEADER.pack(
        _VERSION,
        grid.columns,
        grid.rows,
        grid.cell_width,
        grid.cell_height,
        grid.period_us // 1_000_000,
        0,
        grid.start_us,
        grid.made_until_us,
    )
    width, height = grid.columns * grid.cell_width, grid.rows * grid.cell_height
    extended = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = (
        _chunk(b"VP8X", extended)
        + _chunk(b"VP8 ", bitstream)
        + _chunk(_CHUNK, header + _times(len(times)).pack(*times))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def read_grid(file: IO[bytes]) -> ThumbnailGrid:
    """What a file holds, without reading its picture. Raises GridError."""
    for name, size in _chunks(file):
        if name == _CHUNK:
            return _read_chunk(file.read(size))
    raise GridError("no grid is in the file")


def image_of(content: bytes) -> bytes:
    """The WebP image alone, as an encoder made it. Raises GridError."""
    file = io.BytesIO(content)
    for name, size in _chunks(file):
        if name == b"VP8 ":
            bitstream = _chunk(b"VP8 ", file.read(size))
            return b"RIFF" + struct.pack("<I", 4 + len(bitstream)) + b"WEBP" + bitstream
    raise GridError("no picture is in the file")


def _only_chunk(image: bytes) -> bytes:
    file = io.BytesIO(image)
    for name, size in _chunks(file):
        if name == b"VP8 ":
            return file.read(size)
    raise GridError("the encoder made something else than a lossy WebP")


def _chunks(file: IO[bytes]) -> Iterable[tuple[bytes, int]]:
    """(name, size) of each chunk, with the file at its content."""
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WEBP":
        raise GridError("not a WebP file")
    end = 8 + int.from_bytes(head[4:8], "little")
    at = 12
    while at + 8 <= end:
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        size = int.from_bytes(header[4:], "little")
        if at + 8 + size > end:
            return
        yield header[:4], size
        at += 8 + size + size % 2


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _times(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}i")


def _read_chunk(content: bytes) -> ThumbnailGrid:
    if len(content) < _HEADER.size:
        raise GridError("the grid is cut off")
    version, columns, rows, width, height, period_s, _, start_us, made_until_us = _HEADER.unpack_from(content)
    if version != _VERSION:
        raise GridError(f"a grid of version {version}, which a newer program made")
    count = columns * rows
    if not 0 < count <= _MOST_CELLS or not width or not height or not period_s:
        raise GridError("a grid without cells")
    if len(content) != _HEADER.size + 4 * count:
        raise GridError("the grid's times are cut off")
    times = _times(count).unpack_from(content, _HEADER.size)
    return ThumbnailGrid(
        start_us=start_us,
        made_until_us=made_until_us,
        cell_width=width,
        cell_height=height,
        shown_us=tuple(None if at == _NOTHING else start_us + at * 1000 for at in times),
        columns=columns,
        rows=rows,
        period_us=period_s * 1_000_000,
    )
