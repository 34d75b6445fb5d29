"""Grids of stills for scrubbing: made in the background, beside the recordings, and handed out."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from vms.contracts.clock import Clock
from vms.contracts.media import MediaArchive
from vms.contracts.thumbnails import Still, ThumbnailMaker
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.recordings import Span
from vms.domain.thumbnails import (
    HOUR_US,
    LONGEST_SHOWN_US,
    PERIOD_US,
    GridError,
    ThumbnailGrid,
    WantedStill,
    file_name,
    hour_named,
    hour_of,
    read_grid,
    recorded_hours,
    wanted_stills,
)

log = structlog.get_logger(__name__)
# How often the chore has a turn, and how often in these the running hour is brought up to date.
PERIOD_S = 10.0
_RUNNING_EVERY_S = 300.0
# How often a camera that has none of the running hour yet.
_FIRST_EVERY_S = 60.0
# How often it is looked for hours that lack thumbnails, and for thumbnails that lack recordings.
_SCAN_EVERY_S = 3600.0
# A turn works on old hours for so long at most.
_TURN_S = 30.0
# What is so young may not be on the disk yet.
_SETTLED_US = 15_000_000
_LONGEST_ARCHIVE_US = 3660 * 24 * HOUR_US
# Below this, the disk is the recordings' alone.
RESERVE_BYTES = 512 << 20
# A still that ended the worker so often is left out.
_MOST_CRASHES = 2


class ThumbnailService:
    """Satisfies `vms.contracts.thumbnails.Thumbnails`; `run` is its chore.

    `cameras_dir` holds a directory per camera; `cameras` tells those that may have none yet.
    """

    def __init__(
        self,
        media: MediaArchive,
        maker: ThumbnailMaker,
        clock: Clock,
        cameras_dir: Path,
        cameras: Callable[[], Iterable[str]],
        *,
        enabled: bool = True,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._media = media
        self._maker = maker
        self._clock = clock
        self._cameras_dir = cameras_dir
        self._cameras = cameras
        self._enabled = enabled
        self._reserve_bytes = reserve_bytes
        # Hours to work on, newest last.
        self._backlog: list[tuple[int, str]] = []
        self._running_at_s = float("-inf")
        self._first_at_s = float("-inf")
        self._scan_at_s = float("-inf")
        # Hours of which nothing can be shown, until the next start.
        self._hopeless: set[tuple[str, int]] = set()
        self._crashes: Counter[tuple[str, int, int]] = Counter()
        # A file is written, or removed, by one thread at a time.
        self._writing = threading.Lock()

    def grid_file(self, camera_id: str, at_us: int) -> tuple[ThumbnailGrid, bytes]:
        path = self._path(camera_id, hour_of(at_us))
        try:
            with path.open("rb") as file:
                grid = read_grid(file)
                file.seek(0)
                return grid, file.read()
        except (OSError, GridError) as error:
            raise Failure("not_found", "there are no thumbnails of that hour", code="no-thumbnails") from error

    def grids(self, camera_id: str, span: Span) -> Sequence[ThumbnailGrid]:
        found = (self._grid(camera_id, hour_us) for hour_us in range(hour_of(span.start_us), span.end_us, HOUR_US))
        return [grid for grid in found if grid is not None]

    def drop_thumbnails(self, camera_id: str, hour_us: int) -> int:
        path = self._path(camera_id, hour_us)
        freed = 0
        with self._writing:
            for gone in (path, _draft(path)):
                with contextlib.suppress(FileNotFoundError):
                    size_bytes = gone.stat().st_size
                    gone.unlink()
                    freed += size_bytes
        return freed

    def run(self, stopping: threading.Event) -> None:
        """A turn: the running hour when it is time, else old hours, newest first."""
        if not self._enabled:
            return
        now_s = self._clock.monotonic_s()
        if now_s - self._scan_at_s >= _SCAN_EVERY_S:
            self._scan_at_s = now_s
            self._backlog = self._scan(stopping)
        self._keep_running_hour(now_s, stopping)
        while self._backlog and not stopping.is_set() and self._clock.monotonic_s() - now_s < _TURN_S:
            hour_us, camera_id = self._backlog.pop()
            began_s = self._clock.monotonic_s()
            self._make_unless_done(camera_id, hour_us)
            # Half the time belongs to others, even on a machine with nothing to do.
            stopping.wait(min(5.0, self._clock.monotonic_s() - began_s))

    def _keep_running_hour(self, now_s: float, stopping: threading.Event) -> None:
        """The running hour and the one before, where it is time."""
        all_of_them = now_s - self._running_at_s >= _RUNNING_EVERY_S
        if not all_of_them and now_s - self._first_at_s < _FIRST_EVERY_S:
            return
        self._first_at_s = now_s
        if all_of_them:
            self._running_at_s = now_s
        hour_us = hour_of(self._clock.now_us())
        for camera_id in self._all_cameras():
            if stopping.is_set():
                return
            if all_of_them:
                self._make_unless_done(camera_id, hour_us - HOUR_US)
            if all_of_them or self._grid(camera_id, hour_us) is None:
                self._make_unless_done(camera_id, hour_us)

    def _scan(self, stopping: threading.Event) -> list[tuple[int, str]]:
        """The hours that lack thumbnails, oldest first; thumbnails of which nothing is left are removed."""
        now_us = self._clock.now_us()
        lacking = []
        for camera_id in self._all_cameras():
            if stopping.is_set():
                break
            ranges = self._media.timeline(camera_id, now_us - _LONGEST_ARCHIVE_US, now_us).ranges
            recorded = recorded_hours(ranges)
            there = {hour_us for hour_us in self._hours_there(camera_id) if hour_us < hour_of(now_us) - HOUR_US}
            for hour_us in there - recorded:
                log.info("thumbnails without recordings removed", camera_id=camera_id, hour_us=hour_us)
                self.drop_thumbnails(camera_id, hour_us)
            for hour_us in recorded:
                grid = self._grid(camera_id, hour_us) if hour_us in there else None
                if hour_us < hour_of(now_us) and (grid is None or not grid.is_complete):
                    lacking.append((hour_us, camera_id))
        lacking.sort()
        return lacking

    def _make_unless_done(self, camera_id: str, hour_us: int) -> None:
        """One camera's trouble is not the others'."""
        if (camera_id, hour_us) in self._hopeless:
            return
        try:
            self._make(camera_id, hour_us)
        except Failure as failure:
            log.warning("thumbnails are not made", camera_id=camera_id, hour_us=hour_us, reason=failure.detail)
        except OSError as error:
            reason = error.strerror or str(error)
            log.warning("thumbnails are not written", camera_id=camera_id, hour_us=hour_us, reason=reason)

    def _make(self, camera_id: str, hour_us: int) -> None:
        """Adds to an hour's file what is missing in it. Raises Failure, or OSError when it cannot be written."""
        grid = self._grid(camera_id, hour_us)
        if grid is not None and grid.is_complete:
            return
        until_us = min(hour_us + HOUR_US, self._clock.now_us() - _SETTLED_US)
        from_us = grid.made_until_us if grid is not None else hour_us
        if until_us - from_us < PERIOD_US:
            return
        ranges = self._media.timeline(camera_id, hour_us, hour_us + HOUR_US).ranges
        wanted, made_until_us = wanted_stills(hour_us, ranges, from_us, until_us)
        if not wanted and grid is None:
            return
        self._cameras_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        if shutil.disk_usage(self._cameras_dir).free < self._reserve_bytes:
            raise Failure("exhausted", "the disk is nearly full: what is left is for recordings")
        previous = self._path(camera_id, hour_us).read_bytes() if grid is not None else None
        taken: list[int] = []
        try:
            made = self._maker.make(previous, hour_us, self._stills(camera_id, hour_us, wanted, taken), made_until_us)
        except Failure as failure:
            if failure.kind == "malformed" and taken:
                self._crashes[camera_id, hour_us, taken[-1]] += 1
            elif previous is not None:
                # Perhaps what is there cannot be read; it is made anew from the recordings.
                self.drop_thumbnails(camera_id, hour_us)
            raise
        if made is None:
            if until_us >= hour_us + HOUR_US:
                self._hopeless.add((camera_id, hour_us))
            return
        if made.broken:
            log.info("key frames without a still", camera_id=camera_id, hour_us=hour_us, count=made.broken)
        self._write(self._path(camera_id, hour_us), made.content)

    def _stills(self, camera_id: str, hour_us: int, wanted: Sequence[WantedStill], taken: list[int]) -> Iterator[Still]:
        for want in wanted:
            if self._crashes[camera_id, hour_us, want.cell] >= _MOST_CRASHES:
                continue
            try:
                picture = self._media.key_picture_at(camera_id, want.at_us, want.stream)
            except Failure as failure:
                # No key frame, or the recording has gone meanwhile.
                log.debug("no still", camera_id=camera_id, at_us=want.at_us, reason=failure.detail)
                continue
            if picture.captured_us < hour_us + want.cell * PERIOD_US - LONGEST_SHOWN_US:
                continue
            taken.append(want.cell)
            yield Still(want.cell, picture)

    def _write(self, path: Path, content: bytes) -> None:
        """Whole or not at all, whatever happens meanwhile."""
        draft = _draft(path)
        with self._writing:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            try:
                with draft.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    draft.unlink()
                raise
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _grid(self, camera_id: str, hour_us: int) -> ThumbnailGrid | None:
        try:
            with self._path(camera_id, hour_us).open("rb") as file:
                grid = read_grid(file)
        except (OSError, GridError):
            return None
        return grid if grid.start_us == hour_us else None

    def _path(self, camera_id: str, hour_us: int) -> Path:
        if not is_id(camera_id):
            raise Failure("not_found", "no camera has this identifier", code="camera-not-found")
        return self._cameras_dir / camera_id / file_name(hour_us)

    def _all_cameras(self) -> list[str]:
        found = {camera_id for camera_id in self._cameras() if is_id(camera_id)}
        with contextlib.suppress(OSError):
            found.update(entry.name for entry in os.scandir(self._cameras_dir) if entry.is_dir() and is_id(entry.name))
        return sorted(found)

    def _hours_there(self, camera_id: str) -> Iterator[int]:
        """The hours that a camera has files of."""
        for path in (self._cameras_dir / camera_id).glob("????-??-??/thumb_??.webp"):
            hour_us = hour_named(f"{path.parent.name}/{path.name}")
            if hour_us is not None:
                yield hour_us


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".part")
