"""Moves recordings to slower, cheaper places in the background: copied, compared, and only then removed here."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import structlog

from vms.contracts.clock import Clock
from vms.contracts.files import ArchiveFiles, RecordedFile
from vms.contracts.objects import ObjectStorage
from vms.contracts.storage import TierFigures
from vms.domain.errors import Failure
from vms.storage.chores import Chore
from vms.storage.known_files import KnownFiles
from vms.storage.tiering import Move, TieringRules, monthly_cost, moves, rate_at

log = structlog.get_logger(__name__)
_CHUNK_BYTES = 1 << 20
_PERIOD_S = 30.0


class Tiers:
    """One move at a time: what it takes of disks and network is what the rules say.

    A move that a kill interrupts is made again from its beginning; what it had finished before stays finished.
    """

    def __init__(
        self,
        files: ArchiveFiles,
        objects: ObjectStorage | None,
        rules: TieringRules,
        clock: Clock,
        *,
        time_zone: tzinfo = UTC,
        price_per_gb_month: float = 0.0,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._files = files
        self._objects = objects
        self._rules = rules
        self._clock = clock
        self._time_zone = time_zone
        self._price = price_per_gb_month
        self._sleep = sleep
        self._known = KnownFiles()
        self._figures = TierFigures()
        if objects is not None:
            files.read_objects_with(objects.read)

    def figures(self) -> TierFigures:
        return self._figures

    def _note(self, **changes: object) -> None:
        self._figures = self._figures.model_copy(update=changes)

    def chore(self) -> Chore:
        return Chore("tiers", _PERIOD_S, self.run)

    def run(self, stopping: threading.Event) -> None:
        """Makes the moves that are due until there are none, the hour forbids it, or `stopping` is set."""
        while not stopping.is_set():
            self._follow()
            due = moves(
                self._known.every(),
                self._rules,
                self._files.volumes(),
                self._clock.now_us(),
                has_objects=self._objects is not None,
            )
            if not due or self._rate() == 0:
                return
            moved = self._figures.moved_files_total
            for move in due:
                if stopping.is_set() or self._rate() == 0:
                    return
                if not self._make(move, stopping):
                    # What has failed will most likely fail again: not before the next turn.
                    return
            if self._figures.moved_files_total == moved:
                # All of it was in use or gone: asked again at once, it would be so again.
                return

    def _follow(self) -> None:
        self._known.apply(self._files.file_changes(self._known.revision))
        kept = [file for file in self._known.every() if file.object_key is not None]
        self._note(
            objects=len(kept),
            object_bytes=sum(file.size_bytes for file in kept),
            cost_per_month=monthly_cost(kept, self._price),
        )

    def _rate(self) -> int:
        local = datetime.fromtimestamp(self._clock.now_us() / 1e6, self._time_zone)
        return rate_at(self._rules, local)

    def _make(self, move: Move, stopping: threading.Event) -> bool:
        file = move.file
        what = f"{file.camera_id}/{file.name}"
        self._note(moving=what)
        try:
            if move.volume is not None:
                self._files.move_file(file.camera_id, file.name, move.volume, self._rate())
            else:
                self._upload(file, stopping)
        except Failure as failure:
            if stopping.is_set():
                return False
            if failure.kind in {"not_found", "conflict"}:
                # Removed meanwhile, or in use: nothing is wrong.
                return True
            failures = self._figures.failures_total + 1
            self._note(failures_total=failures, last_failure=f"{what}: {failure.detail}")
            log.warning("recording not moved", file=what, to=move.volume or "objects", reason=failure.detail)
            return False
        finally:
            self._note(moving=None)
        moved = self._figures
        self._note(
            moved_files_total=moved.moved_files_total + 1, moved_bytes_total=moved.moved_bytes_total + file.size_bytes
        )
        log.info("recording moved", file=what, to=move.volume or "objects", reason=move.reason)
        return True

    def _upload(self, file: RecordedFile, stopping: threading.Event) -> None:
        objects = self._objects
        if objects is None:
            raise Failure("conflict", "no object storage is set up")
        key = object_key(file)
        expected = file.sha256 or self._files.hash_file(file.camera_id, file.name, self._rate())
        # After a kill between upload and removal it is there already.
        if objects.size_bytes(key) != file.size_bytes or self._hash_object(objects, key, file, stopping) != expected:
            sent = hashlib.sha256()
            objects.put(key, self._chunks(file, sent, stopping))
            if sent.hexdigest() != expected:
                objects.remove(key)
                raise Failure("malformed", "the file does not match its checksum", code="file-damaged")
            if self._hash_object(objects, key, file, stopping) != expected:
                objects.remove(key)
                raise Failure("malformed", "what was stored does not match what was sent", code="object-damaged")
        self._files.use_object(file.camera_id, file.name, key)

    def _chunks(self, file: RecordedFile, sent: hashlib._Hash, stopping: threading.Event) -> Iterator[bytes]:
        with self._path(file).open("rb") as source:
            left = file.size_bytes
            while left > 0:
                self._pause(stopping, min(_CHUNK_BYTES, left))
                chunk = source.read(min(_CHUNK_BYTES, left))
                if not chunk:
                    raise Failure("malformed", "the file is shorter than its index says", code="file-damaged")
                sent.update(chunk)
                left -= len(chunk)
                yield chunk

    def _hash_object(self, objects: ObjectStorage, key: str, file: RecordedFile, stopping: threading.Event) -> str:
        found = hashlib.sha256()
        for offset in range(0, file.size_bytes, _CHUNK_BYTES):
            length = min(_CHUNK_BYTES, file.size_bytes - offset)
            self._pause(stopping, length)
            found.update(objects.read(key, offset, length))
        return found.hexdigest()

    def _pause(self, stopping: threading.Event, size_bytes: int) -> None:
        """Keeps to the rate of the hour: waits as long as the bytes that follow may take."""
        rate = self._rate()
        if stopping.is_set() or rate == 0:
            raise Failure("unavailable", "moving has to wait", code="moving-paused")
        self._sleep(size_bytes / rate)

    def _path(self, file: RecordedFile) -> Path:
        for volume in self._files.volumes():
            if volume.name == file.volume:
                return Path(volume.path) / "cameras" / file.camera_id / file.name
        raise Failure("not_found", f"the volume {file.volume} is gone")


def object_key(file: RecordedFile) -> str:
    """Where a file lies in the object storage: as in the archive, `cameras/{camera_id}/{day}/video_….mp4`."""
    return f"cameras/{file.camera_id}/{file.name}"
