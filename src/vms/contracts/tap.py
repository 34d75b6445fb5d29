"""What a tap writes (`crates/media-io/src/tap.rs` specifies every byte), and a reader of it for worker processes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = struct.Struct("<4sBBHqqII")
MAGIC = b"TAP1"
PARAMETERS, UNIT, INTERRUPTION = 1, 2, 3
KEY, DISCONTINUITY = 1, 2
_LARGEST_UNIT_BYTES = 64 << 20
_LARGEST_PARAMETERS_BYTES = 1 << 20


class TapError(Exception):
    """What came is not what a tap writes."""


@dataclass(frozen=True)
class TrackParameters:
    """What the units of a track are from here on."""

    track: int
    codec: str
    clock_rate: int
    configuration: bytes
    width: int
    height: int
    channels: int


@dataclass(frozen=True)
class TappedUnit:
    """One access unit; `pts` in ticks of the track's clock, `dropped` units of the track are missing before it."""

    track: int
    key: bool
    discontinuity: bool
    pts: int
    utc_us: int
    dropped: int
    data: bytes


@dataclass(frozen=True)
class Interruption:
    """The camera is lost; units may follow."""


TapRecord = TrackParameters | TappedUnit | Interruption


class TapReader:
    """Bytes as they come out of a tap, cut into records. It buffers one unit at most beyond what it is given."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def read(self, content: bytes) -> Iterator[TapRecord]:
        """The records that are complete with `content`. Raises TapError; nothing can be read after it."""
        self._pending += content
        at = 0
        try:
            while len(self._pending) - at >= HEADER.size:
                header = HEADER.unpack_from(self._pending, at)
                end = at + HEADER.size + _checked_size(header)
                if len(self._pending) < end:
                    break
                behind = bytes(memoryview(self._pending)[at + HEADER.size : end])
                at = end
                yield _record(header, behind)
        finally:
            del self._pending[:at]


_Header = tuple[bytes, int, int, int, int, int, int, int]


def _checked_size(header: _Header) -> int:
    magic, kind, _, _, _, _, _, size_bytes = header
    if magic != MAGIC:
        raise TapError("not a record of a tap")
    largest = {PARAMETERS: _LARGEST_PARAMETERS_BYTES, UNIT: _LARGEST_UNIT_BYTES, INTERRUPTION: 0}.get(kind)
    if largest is None or size_bytes > largest:
        raise TapError(f"a record of kind {kind} with {size_bytes} bytes")
    return size_bytes


def _record(header: _Header, behind: bytes) -> TapRecord:
    _, kind, track, flags, pts, utc_us, dropped, _ = header
    if kind == INTERRUPTION:
        return Interruption()
    if kind == UNIT:
        return TappedUnit(track, bool(flags & KEY), bool(flags & DISCONTINUITY), pts, utc_us, dropped, behind)
    try:
        document = json.loads(behind)
        return TrackParameters(
            track=track,
            codec=str(document["codec"]),
            clock_rate=int(document["clock_rate"]),
            configuration=bytes.fromhex(document["configuration"]),
            width=int(document["width"]),
            height=int(document["height"]),
            channels=int(document["channels"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise TapError("parameters that cannot be read") from error


def write_parameters(parameters: TrackParameters) -> bytes:
    """A record, as the media core writes it."""
    document = {
        "codec": parameters.codec,
        "clock_rate": parameters.clock_rate,
        "configuration": parameters.configuration.hex(),
        "width": parameters.width,
        "height": parameters.height,
        "channels": parameters.channels,
    }
    behind = json.dumps(document, separators=(",", ":")).encode()
    return HEADER.pack(MAGIC, PARAMETERS, parameters.track, 0, 0, 0, 0, len(behind)) + behind


def write_unit(unit: TappedUnit) -> bytes:
    """A record, as the media core writes it."""
    flags = (KEY if unit.key else 0) | (DISCONTINUITY if unit.discontinuity else 0)
    header = HEADER.pack(MAGIC, UNIT, unit.track, flags, unit.pts, unit.utc_us, unit.dropped, len(unit.data))
    return header + unit.data
