"""The bytes of `ai_HH.vms-idx` (docs/format/analysis.md). No files in here."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vms.adapters.analysis_log.crc32c import crc32c
from vms.contracts.analysis import AnalysedFrame, EventStill
from vms.domain.motion import Box
from vms.domain.vision import KeyPoint, Track

MAGIC = b"VMSAI1\0\0"
VERSION = 1
HEADER_BYTES = 64
# magic, version, length of the header, the hour, the camera
_HEADER = struct.Struct("<8sHH4xq16s20x")
MARK = 0xA15E
LABELS, FRAME, STILL = 1, 2, 3
# mark, kind, zero, length of the whole record
_HEAD = struct.Struct("<HBxI")
_CRC = struct.Struct("<I")
_LEAST_RECORD_BYTES = _HEAD.size + _CRC.size
LARGEST_RECORD_BYTES = 1 << 20
LARGEST_STILL_BYTES = 64 << 10
# time, stamp, clock rate, width, height, stream, tracks
_FRAME = struct.Struct("<qqIHHBxH")
# number, label, score, box, flags, points, age in ms
_TRACK = struct.Struct("<IHH4HBBxxI")
_POINT = struct.Struct("<3H")
# time, event, flags, box
_STILL = struct.Struct("<q16sB7x4H")
_LABELS = struct.Struct("<HH")
_SEEN, _HAS_BOX = 1, 1
MOST_TRACKS = 4096
MOST_POINTS = 255
LONGEST_LABEL_BYTES = 255
_STREAMS = ("main", "sub")
_FULL = 65_535


class Header(NamedTuple):
    """What a file is of."""

    hour_us: int
    camera_id: str


class KeptStill(NamedTuple):
    """A still, and the event that it is of."""

    event_id: str
    still: EventStill


@dataclass
class Content:
    """What a file holds."""

    header: Header | None = None
    frames: list[AnalysedFrame] = field(default_factory=list)
    # Every label that the file has a number for.
    labels: list[str] = field(default_factory=list)
    # Up to the end of the last whole record: what follows is a torn tail.
    whole_bytes: int = 0
    # One sentence per damaged place.
    problems: list[str] = field(default_factory=list)


def encode_header(header: Header) -> bytes:
    """The first bytes of a file."""
    start = _HEADER.pack(MAGIC, VERSION, HEADER_BYTES, header.hour_us, uuid.UUID(header.camera_id).bytes)
    return start + _CRC.pack(crc32c(start))


def decode_header(data: bytes) -> Header | None:
    """None for bytes that are no header of this version."""
    if len(data) < HEADER_BYTES or data[: len(MAGIC)] != MAGIC:
        return None
    if _CRC.unpack_from(data, HEADER_BYTES - _CRC.size)[0] != crc32c(data[: HEADER_BYTES - _CRC.size]):
        return None
    _, version, header_bytes, hour_us, camera = _HEADER.unpack_from(data)
    if version != VERSION or header_bytes != HEADER_BYTES:
        return None
    return Header(hour_us, str(uuid.UUID(bytes=camera)))


def encode_labels(labels: Sequence[str]) -> bytes:
    """The table of all labels so far; a label's number is its place."""
    parts = [_LABELS.pack(0, len(labels))]
    for label in labels:
        # Not cut within a character.
        text = label.encode()[:LONGEST_LABEL_BYTES].decode(errors="ignore").encode()
        parts.append(bytes([len(text)]) + text)
    return _record(LABELS, b"".join(parts))


def encode_frame(frame: AnalysedFrame, labels: Sequence[str]) -> bytes:
    """A frame whose labels are all in the table; tracks beyond MOST_TRACKS are left out."""
    numbers = {label: number for number, label in enumerate(labels)}
    tracks = frame.tracks[:MOST_TRACKS]
    parts = [
        _FRAME.pack(
            frame.at_us,
            frame.pts,
            frame.clock_rate,
            min(frame.width, _FULL),
            min(frame.height, _FULL),
            _STREAMS.index(frame.stream),
            len(tracks),
        )
    ]
    for track in tracks:
        box, points = track.box, track.points[:MOST_POINTS]
        age_ms = min(max(0, (track.at_us - track.since_us) // 1000), 2**32 - 1)
        parts.append(
            _TRACK.pack(
                track.number & 0xFFFF_FFFF,
                numbers[track.label],
                _share(track.score),
                _share(box.left),
                _share(box.top),
                _share(box.right),
                _share(box.bottom),
                _SEEN if track.seen else 0,
                len(points),
                age_ms,
            )
        )
        parts += [_POINT.pack(_share(point.x), _share(point.y), _share(point.score)) for point in points]
    return _record(FRAME, b"".join(parts))


def encode_still(event_id: str, still: EventStill) -> bytes:
    """A picture of an event."""
    box = still.box
    places = (0, 0, 0, 0) if box is None else tuple(map(_share, (box.left, box.top, box.right, box.bottom)))
    head = _STILL.pack(still.taken_us, uuid.UUID(event_id).bytes, 0 if box is None else _HAS_BOX, *places)
    return _record(STILL, head + still.jpeg)


def parse(data: bytes, camera_id: str) -> Content:
    """Everything that can be read. Damage costs the record that it is in, and is told; a file without a whole header
    holds nothing."""
    content = Content(header=decode_header(data))
    if content.header is None:
        content.problems.append("it does not begin with a header of this version")
        return content
    content.whole_bytes = HEADER_BYTES
    for offset, kind, payload in _records(data, content.problems):
        reason = None
        if kind == LABELS:
            labels = _labels(payload)
            if labels is None:
                reason = "holds labels that cannot be read"
            else:
                content.labels = labels
        elif kind == FRAME:
            frame = _frame(payload, camera_id, content.labels)
            if frame is None:
                reason = "holds a frame that cannot be read"
            else:
                content.frames.append(frame)
        if reason is not None:
            content.problems.append(f"the record at byte {offset} {reason}")
        content.whole_bytes = offset + _LEAST_RECORD_BYTES + len(payload)
    return content


def find_still(data: bytes, event_id: str) -> EventStill | None:
    """The last still of an event."""
    key = uuid.UUID(event_id).bytes
    end = len(data)
    while (found := data.rfind(key, 0, end)) >= 0:
        record = _record_at(data, found - 8 - _HEAD.size)
        if record is not None and record[0] == STILL:
            kept = _still(record[1])
            if kept is not None and kept.event_id == event_id:
                return kept.still
        end = found + len(key) - 1
    return None


def _record(kind: int, payload: bytes) -> bytes:
    body = _HEAD.pack(MARK, kind, len(payload) + _LEAST_RECORD_BYTES) + payload
    return body + _CRC.pack(crc32c(body))


def _record_at(data: bytes, offset: int) -> tuple[int, bytes] | None:
    """Kind and payload of the whole record at a place."""
    if offset < HEADER_BYTES or offset + _LEAST_RECORD_BYTES > len(data):
        return None
    mark, kind, size_bytes = _HEAD.unpack_from(data, offset)
    end = offset + size_bytes
    if mark != MARK or not _LEAST_RECORD_BYTES <= size_bytes <= LARGEST_RECORD_BYTES or end > len(data):
        return None
    body = data[offset : end - _CRC.size]
    if _CRC.unpack_from(data, end - _CRC.size)[0] != crc32c(body):
        return None
    return kind, body[_HEAD.size :]


def _records(data: bytes, problems: list[str]) -> Iterator[tuple[int, int, bytes]]:
    """(offset, kind, payload) of every whole record. What is damaged is skipped up to the next whole one; at the end of
    the file it is a torn tail, of which nothing is told."""
    mark = MARK.to_bytes(2, "little")
    offset = HEADER_BYTES
    damaged_from: int | None = None
    while offset < len(data):
        record = _record_at(data, offset)
        if record is None:
            if damaged_from is None:
                damaged_from = offset
            offset = data.find(mark, offset + 1)
            if offset < 0:
                return
            continue
        if damaged_from is not None:
            problems.append(f"{offset - damaged_from} bytes at byte {damaged_from} are damaged")
            damaged_from = None
        yield offset, *record
        offset += _LEAST_RECORD_BYTES + len(record[1])


def _labels(payload: bytes) -> list[str] | None:
    try:
        first, count = _LABELS.unpack_from(payload)
        at, labels = _LABELS.size, []
        for _ in range(count):
            length = payload[at]
            labels.append(payload[at + 1 : at + 1 + length].decode())
            at += 1 + length
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    return labels if first == 0 and at == len(payload) else None


def _frame(payload: bytes, camera_id: str, labels: Sequence[str]) -> AnalysedFrame | None:
    try:
        at_us, pts, clock_rate, width, height, stream, count = _FRAME.unpack_from(payload)
        at, tracks = _FRAME.size, []
        for _ in range(count):
            number, label, score, left, top, right, bottom, flags, points, age_ms = _TRACK.unpack_from(payload, at)
            at += _TRACK.size
            places = []
            for _ in range(points):
                x, y, certain = _POINT.unpack_from(payload, at)
                places.append(KeyPoint(_fraction(x), _fraction(y), _fraction(certain)))
                at += _POINT.size
            tracks.append(
                Track(
                    number=number,
                    label=labels[label] if label < len(labels) else "",
                    score=_fraction(score),
                    box=Box(_fraction(left), _fraction(top), _fraction(right), _fraction(bottom)),
                    since_us=at_us - age_ms * 1000,
                    at_us=at_us,
                    seen=bool(flags & _SEEN),
                    points=tuple(places),
                )
            )
        if at != len(payload) or stream >= len(_STREAMS):
            return None
    except struct.error:
        return None
    return AnalysedFrame(camera_id, _STREAMS[stream], at_us, pts, clock_rate, width, height, tuple(tracks))


def _still(payload: bytes) -> KeptStill | None:
    if len(payload) < _STILL.size:
        return None
    taken_us, event, flags, *places = _STILL.unpack_from(payload)
    box = Box(*map(_fraction, places)) if flags & _HAS_BOX else None
    return KeptStill(str(uuid.UUID(bytes=event)), EventStill(taken_us, box, payload[_STILL.size :]))


def _share(value: float) -> int:
    return round(min(1.0, max(0.0, value)) * _FULL)


def _fraction(value: int) -> float:
    return round(value / _FULL, 5)
