"""The files of the event log below the archive's directory: what is open, what is written, what is moved where."""

from __future__ import annotations

import contextlib
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from vms.adapters.event_log import journal, parquet
from vms.adapters.event_log.disk import Disk, OsDisk, Stamp
from vms.contracts.events import (
    AppendReport,
    Compaction,
    EventHour,
    FilesChange,
    HourContent,
    HourFiles,
    JournalEntry,
)
from vms.domain.errors import Failure
from vms.domain.events import Event
from vms.domain.ids import is_id
from vms.domain.time import SECOND_US

log = structlog.get_logger(__name__)
MOST_OPEN = 256
SYNCS_AT_ONCE = 16
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$", re.ASCII)
_FILE = re.compile(r"^events_([01]\d|2[0-3])\.(?:journal|parquet)$", re.ASCII)


@dataclass
class _Open:
    descriptor: int
    size_bytes: int
    parquet: Stamp | None


class EventLogFiles:
    """Satisfies `vms.contracts.events.EventFiles` over `{storage}/cameras/`."""

    def __init__(self, storage: Path, disk: Disk | None = None) -> None:
        self._root = storage / "cameras"
        self._disk = disk if disk is not None else OsDisk()
        self._pool = ThreadPoolExecutor(SYNCS_AT_ONCE, thread_name_prefix="event sync")
        self._open: OrderedDict[EventHour, _Open] = OrderedDict()
        # Journals whose end may hold what was refused: cut to this length before anything else is written.
        self._uncut: dict[EventHour, int] = {}

    def append(self, entries: Sequence[JournalEntry]) -> AppendReport:
        hours: dict[EventHour, list[int]] = {}
        for index, entry in enumerate(entries):
            hours.setdefault(EventHour(entry.event.camera_id, entry.event.hour_us), []).append(index)
        failures: list[str | None] = [None] * len(entries)
        changes: dict[EventHour, FilesChange] = {}
        items = list(hours.items())
        for first in range(0, len(items), MOST_OPEN):
            part = items[first : first + MOST_OPEN]
            data = [b"".join(journal.encode(entries[index]) for index in indexes) for _, indexes in part]
            for (hour, indexes), outcome in zip(part, self._append([hour for hour, _ in part], data), strict=True):
                if isinstance(outcome, FilesChange):
                    changes[hour] = outcome
                    continue
                reason = outcome.strerror or str(outcome)
                log.error("events not written", camera_id=hour.camera_id, file=str(self._journal(hour)), reason=reason)
                for index in indexes:
                    failures[index] = reason
        return AppendReport(failures, changes)

    def _append(self, hours: Sequence[EventHour], data: Sequence[bytes]) -> list[FilesChange | OSError]:
        """Writes to all the journals, then syncs them side by side: one commit of the file system serves several."""
        written = [self._attempt(self._write, hour, text) for hour, text in zip(hours, data, strict=True)]
        good = [hour for hour, outcome in zip(hours, written, strict=True) if outcome is None]
        synced: dict[EventHour, OSError | None] = {}
        if len(good) == 1:
            synced = {good[0]: self._attempt(self._sync, good[0])}
        elif good:
            synced = dict(zip(good, self._pool.map(lambda hour: self._attempt(self._sync, hour), good), strict=True))
        outcomes: list[FilesChange | OSError] = []
        for hour, text, outcome in zip(hours, data, written, strict=True):
            error = outcome or synced.get(hour)
            if error is not None:
                self._take_back(hour)
                outcomes.append(error)
                continue
            opened = self._open[hour]
            before = _files(opened.size_bytes, opened.parquet)
            opened.size_bytes += len(text)
            outcomes.append(FilesChange(before, _files(opened.size_bytes, opened.parquet)))
        return outcomes

    def _attempt(self, action: Callable[..., None], *arguments: object) -> OSError | None:
        try:
            action(*arguments)
        except OSError as error:
            return error
        return None

    def _write(self, hour: EventHour, data: bytes) -> None:
        opened = self._opened(hour)
        self._disk.write_at(opened.descriptor, data, opened.size_bytes)

    def _sync(self, hour: EventHour) -> None:
        self._disk.sync(self._open[hour].descriptor)

    def _take_back(self, hour: EventHour) -> None:
        """What was not acknowledged should not show up later. When this fails, the next write tries again."""
        opened = self._open.get(hour)
        if opened is not None:
            self._uncut[hour] = opened.size_bytes
            self._forget(hour)
            with contextlib.suppress(OSError):
                self._opened(hour)

    def _opened(self, hour: EventHour) -> _Open:
        found = self._open.get(hour)
        if found is not None:
            self._open.move_to_end(hour)
            return found
        while len(self._open) >= MOST_OPEN:
            self._forget(next(iter(self._open)))
        path = self._journal(hour)
        self._disk.make_directories(path.parent)
        descriptor = self._disk.open(path)
        try:
            # The names on the way may be new, or made by somebody who never synced them.
            for directory in (path.parent, path.parent.parent, self._root, self._root.parent):
                self._disk.sync_directory(directory)
            size_bytes = self._cut(hour, descriptor)
            stamp = self._disk.stamp(self._parquet(hour))
        except OSError:
            self._disk.close(descriptor)
            raise
        opened = _Open(descriptor, size_bytes, stamp)
        self._open[hour] = opened
        return opened

    def _cut(self, hour: EventHour, descriptor: int) -> int:
        """Removes what is no whole line from the end of a journal; its length then."""
        path = self._journal(hour)
        data = self._disk.read(path)
        whole = self._uncut.get(hour)
        if whole is None or whole > len(data):
            whole = journal.parse(data).whole_bytes
        if whole < len(data):
            self._disk.truncate(descriptor, whole)
            self._disk.sync(descriptor)
            log.warning("torn end of a journal cut", file=str(path), bytes_cut=len(data) - whole)
        self._uncut.pop(hour, None)
        return whole

    def _forget(self, hour: EventHour) -> None:
        opened = self._open.pop(hour, None)
        if opened is not None:
            with contextlib.suppress(OSError):
                self._disk.close(opened.descriptor)

    def hours(self, from_us: int | None) -> Sequence[EventHour]:
        first_day = "" if from_us is None else _day(from_us)
        found = set()
        for camera_id in self._disk.names(self._root):
            if not is_id(camera_id):
                continue
            for day in self._disk.names(self._root / camera_id):
                if _DAY.fullmatch(day) is None or day < first_day:
                    continue
                for name in self._disk.names(self._root / camera_id / day):
                    match = _FILE.fullmatch(name)
                    hour_us = None if match is None else _hour_us(day, match.group(1))
                    if hour_us is not None:
                        found.add(EventHour(camera_id, hour_us))
        return sorted(found)

    def files_of(self, hour: EventHour) -> HourFiles:
        with _telling(self._journal(hour)):
            opened = self._open.get(hour)
            if opened is None:
                stamp = self._disk.stamp(self._journal(hour))
                if stamp is None:
                    return _files(0, self._disk.stamp(self._parquet(hour)))
                opened = self._opened(hour)
            return _files(opened.size_bytes, opened.parquet)

    def read(self, hour: EventHour) -> HourContent:
        return self._content(hour)[0]

    def _content(self, hour: EventHour) -> tuple[HourContent, bool]:
        """What an hour's files hold, and whether every line of its journal is understood."""
        events: dict[str, Event] = {}
        path = self._parquet(hour)
        with _telling(path):
            stamp = self._disk.stamp(path)
            if stamp is not None:
                try:
                    events = {event.id: event for event in parquet.decode(self._disk.read(path))}
                except Failure as failure:
                    raise Failure("malformed", f"{path} cannot be read: {failure.detail}") from failure
        path = self._journal(hour)
        with _telling(path):
            try:
                data = self._disk.read(path)
            except FileNotFoundError:
                data = b""
        found = journal.parse(data)
        problems = found.problems + journal.replay(events, found.operations)
        content = HourContent(
            files=_files(len(data), stamp),
            events=[event for event in events.values() if EventHour(event.camera_id, event.hour_us) == hour],
            problems=[f"{path}: {problem}" for problem in problems],
        )
        return content, found.whole_bytes == len(data) and not found.problems

    def prepare(self, hour: EventHour) -> Compaction | None:
        content, is_whole = self._content(hour)
        if content.files.journal_bytes == 0 and self._disk.stamp(self._journal(hour)) is None:
            return None
        if not is_whole:
            return None
        aside = self._aside(hour)
        with _telling(aside):
            descriptor = self._disk.open(aside)
            try:
                data = parquet.encode(content.events)
                self._disk.truncate(descriptor, 0)
                self._disk.write_at(descriptor, data, 0)
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
        return Compaction(hour, content.files)

    def finish(self, compaction: Compaction) -> FilesChange | None:
        hour, files = compaction
        target, path = self._parquet(hour), self._journal(hour)
        with _telling(target):
            self._forget(hour)
            if self._files_now(hour) != files:
                return None
            self._disk.replace(self._aside(hour), target)
            self._disk.sync_directory(target.parent)
            # Gone only now that its events are safe elsewhere; when it stays, they are merged once more.
            self._disk.remove(path)
            self._disk.sync_directory(target.parent)
            return FilesChange(files, self._files_now(hour))

    def close(self) -> None:
        self._pool.shutdown(wait=False)
        for hour in list(self._open):
            self._forget(hour)

    def _files_now(self, hour: EventHour) -> HourFiles:
        stamp = self._disk.stamp(self._journal(hour))
        return _files(stamp.size_bytes if stamp else 0, self._disk.stamp(self._parquet(hour)))

    def _directory(self, hour: EventHour) -> Path:
        return self._root / hour.camera_id / _day(hour.hour_us)

    def _journal(self, hour: EventHour) -> Path:
        return self._directory(hour) / f"events_{_hour(hour.hour_us)}.journal"

    def _parquet(self, hour: EventHour) -> Path:
        return self._directory(hour) / f"events_{_hour(hour.hour_us)}.parquet"

    def _aside(self, hour: EventHour) -> Path:
        return self._directory(hour) / f".events_{_hour(hour.hour_us)}.parquet.new"


class _telling(contextlib.AbstractContextManager[None]):  # noqa: N801 (used like a function)
    """The operating system's refusal as a Failure that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise Failure("unavailable", f"{self._path} cannot be used: {reason}") from error


def _files(journal_bytes: int, stamp: Stamp | None) -> HourFiles:
    return HourFiles(
        journal_bytes=journal_bytes,
        parquet_bytes=stamp.size_bytes if stamp else 0,
        parquet_modified_ns=stamp.modified_ns if stamp else 0,
    )


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // SECOND_US, UTC)


def _day(at_us: int) -> str:
    return _at(at_us).strftime("%Y-%m-%d")


def _hour(at_us: int) -> str:
    return _at(at_us).strftime("%H")


def _hour_us(day: str, hour: str) -> int | None:
    try:
        return int(datetime.fromisoformat(f"{day}T{hour}:00:00+00:00").timestamp()) * SECOND_US
    except ValueError:
        return None
