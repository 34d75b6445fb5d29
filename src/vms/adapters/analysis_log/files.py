"""The files of analysis below the archive's directory: what waits to be written, what is open, what is read."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from vms.adapters.analysis_log import records
from vms.contracts.analysis import AnalysedFrame, EventStill
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US
from vms.domain.ids import is_id
from vms.domain.recordings import Span
from vms.domain.time import SECOND_US

log = structlog.get_logger(__name__)
FLUSH_S = 1.5
MOST_OPEN = 256
# What waits for the disk, of all cameras; more is refused.
MOST_WAITING_BYTES = 16 << 20
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$", re.ASCII)
_FILE = re.compile(r"^ai_([01]\d|2[0-3])\.vms-idx$", re.ASCII)
_Hour = tuple[str, int]
# A frame, or an event and its still.
_Entry = AnalysedFrame | tuple[str, EventStill]


@dataclass
class _Open:
    """A file that is written to, by the writing thread alone."""

    descriptor: int
    size_bytes: int


class AnalysisLogFiles:
    """Satisfies `vms.contracts.analysis.AnalysisLog` over `{storage}/cameras/`.

    A thread of its own writes what came and syncs it, every `flush_s`. What the disk refuses is lost; it is said once,
    and to whoever appends next for the camera.
    """

    def __init__(self, storage: Path, *, flush_s: float = FLUSH_S) -> None:
        self._root = storage / "cameras"
        self._flush_s = flush_s
        # Of _waiting, _waiting_bytes and _refused; held for moments.
        self._lock = threading.Lock()
        self._waiting: dict[_Hour, list[_Entry]] = {}
        self._waiting_bytes = 0
        self._refused: dict[str, str] = {}
        # Of the files and their tables; held while the disk works.
        self._disk = threading.Lock()
        self._open: OrderedDict[_Hour, _Open] = OrderedDict()
        self._labels: dict[_Hour, list[str]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="analysis log", daemon=True)
        self._thread.start()

    def append(self, frame: AnalysedFrame) -> None:
        size_bytes = 64 + sum(32 + 8 * len(track.points) for track in frame.tracks)
        self._take(frame.camera_id, frame.at_us // HOUR_US * HOUR_US, frame, size_bytes)

    def keep_still(self, camera_id: str, event_id: str, start_us: int, still: EventStill) -> None:
        if len(still.jpeg) > records.LARGEST_STILL_BYTES:
            raise Failure("invalid", f"a still of {len(still.jpeg)} bytes is too large", code="still-too-large")
        self._take(camera_id, start_us // HOUR_US * HOUR_US, (event_id, still), len(still.jpeg))

    def _take(self, camera_id: str, hour_us: int, entry: _Entry, size: int) -> None:
        with self._lock:
            refused = self._refused.pop(camera_id, None)
            if self._waiting_bytes + size > MOST_WAITING_BYTES:
                raise Failure("exhausted", f"analysis of camera {camera_id} is not kept: the disk is too slow")
            self._waiting_bytes += size
            self._waiting.setdefault((camera_id, hour_us), []).append(entry)
        if refused is not None:
            raise Failure("unavailable", f"analysis of camera {camera_id} is not kept: {refused}")

    def still(self, camera_id: str, event_id: str, start_us: int) -> EventStill:
        hour_us = start_us // HOUR_US * HOUR_US
        waiting, data = self._snapshot(camera_id, hour_us)
        for entry in reversed(waiting):
            if isinstance(entry, tuple) and entry[0] == event_id:
                return entry[1]
        found = records.find_still(data, event_id)
        if found is None:
            raise Failure("not_found", "there is no still of this event", code="no-still")
        return found

    def frames(self, camera_id: str, span: Span, limit: int) -> Sequence[AnalysedFrame]:
        found: list[AnalysedFrame] = []
        for hour_us in self._hours(camera_id):
            if not span.start_us - HOUR_US < hour_us < span.end_us:
                continue
            if len(found) >= limit:
                break
            found += self._frames_of(camera_id, hour_us, span)
        found.sort(key=lambda frame: frame.at_us)
        return found[:limit]

    def _frames_of(self, camera_id: str, hour_us: int, span: Span) -> list[AnalysedFrame]:
        waiting, data = self._snapshot(camera_id, hour_us)
        frames = [entry for entry in waiting if not isinstance(entry, tuple)]
        if data:
            content = records.parse(data, camera_id)
            frames = content.frames + frames
            if content.problems:
                path = str(self._path(camera_id, hour_us))
                log.warning("analysis is damaged", file=path, problems=content.problems[:8])
        return [frame for frame in frames if span.start_us <= frame.at_us < span.end_us]

    def _snapshot(self, camera_id: str, hour_us: int) -> tuple[list[_Entry], bytes]:
        """What waits of an hour and what is written of it, with nothing missing or in both."""
        with self._disk:
            with self._lock:
                waiting = list(self._waiting.get((camera_id, hour_us), ()))
            return waiting, self._read(camera_id, hour_us)

    def remove_before(self, camera_id: str, before_us: int) -> int:
        removed = 0
        with self._disk:
            for hour_us in self._hours(camera_id):
                if hour_us + HOUR_US > before_us:
                    continue
                self._forget((camera_id, hour_us))
                path = self._path(camera_id, hour_us)
                try:
                    path.unlink()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    reason = error.strerror or str(error)
                    raise Failure("unavailable", f"{path} cannot be removed: {reason}") from error
                removed += 1
        return removed

    def cameras(self) -> Sequence[str]:
        return [camera_id for camera_id in sorted(_names(self._root)) if is_id(camera_id) and self._hours(camera_id)]

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        with self._disk:
            for hour in list(self._open):
                self._forget(hour)

    def flush(self) -> None:
        """Writes what waits, and returns when that is on the disk."""
        with self._disk:
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                self._waiting_bytes = 0
            for hour, entries in waiting.items():
                try:
                    self._write(hour, entries)
                # The disk's no, or a number that does not fit where it goes.
                except (OSError, ValueError, OverflowError, struct.error) as error:
                    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                    log.error(
                        "analysis not written", camera_id=hour[0], hour_us=hour[1], reason=reason, lost=len(entries)
                    )
                    # Its end may be torn now: it is read anew before anything else is written.
                    self._forget(hour)
                    with self._lock:
                        self._refused[hour[0]] = reason

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._flush_s)
            try:
                self.flush()
            except Exception:
                # The supervisor: what comes later can be written.
                log.exception("analysis not written")

    def _write(self, hour: _Hour, entries: Sequence[_Entry]) -> None:
        opened = self._opened(hour)
        labels = self._labels[hour]
        data = bytearray()
        for entry in entries:
            if isinstance(entry, tuple):
                data += records.encode_still(*entry)
                continue
            new = [label for label in dict.fromkeys(track.label for track in entry.tracks) if label not in labels]
            if new:
                labels += new
                data += records.encode_labels(labels)
            data += records.encode_frame(entry, labels)
        at, rest = opened.size_bytes, memoryview(data)
        while rest:
            written = os.pwrite(opened.descriptor, rest, at)
            rest, at = rest[written:], at + written
        os.fdatasync(opened.descriptor)
        opened.size_bytes = at

    def _opened(self, hour: _Hour) -> _Open:
        found = self._open.get(hour)
        if found is not None:
            self._open.move_to_end(hour)
            return found
        while len(self._open) >= MOST_OPEN:
            self._forget(next(iter(self._open)))
        path = self._path(*hour)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            # The names on the way may be new, or made by somebody who never synced them.
            for directory in (path.parent, path.parent.parent, self._root):
                _sync_directory(directory)
            size_bytes, labels = self._begin(hour, path, descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._open[hour] = _Open(descriptor, size_bytes)
        self._labels[hour] = labels
        return self._open[hour]

    def _begin(self, hour: _Hour, path: Path, descriptor: int) -> tuple[int, list[str]]:
        """Where writing goes on, and the labels so far: behind the last whole record."""
        data = path.read_bytes()
        content = records.parse(data, hour[0]) if data else records.Content()
        size_bytes, labels = content.whole_bytes, content.labels
        if content.header is None:
            if len(data) > records.HEADER_BYTES:
                # Of another version, or damaged where it begins: it stays for whoever can read it.
                raise OSError(errno.EINVAL, "the file does not begin as it should; nothing is added to it")
            header = records.encode_header(records.Header(hour[1], hour[0]))
            os.pwrite(descriptor, header, 0)
            # Safe before anything follows it: without a header the rest is worth nothing.
            os.fsync(descriptor)
            size_bytes = len(header)
        if size_bytes < len(data):
            log.warning("torn end of analysis cut", file=str(path), bytes_cut=len(data) - size_bytes)
        os.ftruncate(descriptor, size_bytes)
        return size_bytes, list(labels)

    def _forget(self, hour: _Hour) -> None:
        self._labels.pop(hour, None)
        opened = self._open.pop(hour, None)
        if opened is not None:
            with contextlib.suppress(OSError):
                os.close(opened.descriptor)

    def _read(self, camera_id: str, hour_us: int) -> bytes:
        path = self._path(camera_id, hour_us)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise Failure("unavailable", f"{path} cannot be read: {error.strerror or error}") from error

    def _hours(self, camera_id: str) -> list[int]:
        """The hours that are kept or wait of a camera, in order."""
        with self._lock:
            found = {hour_us for waiting, hour_us in self._waiting if waiting == camera_id}
        found.update(_hours_below(self._root / camera_id))
        return sorted(found)

    def _path(self, camera_id: str, hour_us: int) -> Path:
        at = datetime.fromtimestamp(hour_us // SECOND_US, UTC)
        return self._root / camera_id / at.strftime("%Y-%m-%d") / f"ai_{at:%H}.vms-idx"


def _hours_below(directory: Path) -> Iterator[int]:
    for day in _names(directory):
        if _DAY.fullmatch(day) is None:
            continue
        for name in _names(directory / day):
            match = _FILE.fullmatch(name)
            if match is None:
                continue
            with contextlib.suppress(ValueError):
                at = datetime.fromisoformat(f"{day}T{match.group(1)}:00:00+00:00")
                yield int(at.timestamp()) * SECOND_US


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 (names alone are wanted)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
