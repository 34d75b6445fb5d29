"""An archive in memory with its keeper, for tests of what is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.catalog import MemoryCameraRepository
from vms.adapters.memory.files import MemoryFiles
from vms.adapters.memory.keeping import (
    MemoryFormerCameraRepository,
    MemoryGroupRepository,
    MemoryLockRepository,
    MemoryRecordingHistory,
)
from vms.adapters.memory.media import MemoryMedia
from vms.adapters.memory.sealing import MemorySealer
from vms.contracts.files import RecordedFile, VolumeStatus
from vms.domain.camera_drafts import CameraDraft
from vms.domain.errors import Failure
from vms.domain.recordings import Span
from vms.domain.retention import Limits
from vms.ingest.service import IngestService
from vms.storage.keeper import Keeper
from vms.storage.keeping import Happening
from vms.storage.locks import LockService

MINUTE_US = 60_000_000
GIB = 1 << 30


def recorded_file(
    camera_id: str, start_us: int, length_us: int, *, stream: str = "main", name: str | None = None, **changes: Any
) -> RecordedFile:
    """A sealed file of a megabyte on the volume `main`."""
    file = RecordedFile(
        camera_id=camera_id,
        stream=stream,
        name=name or f"{stream}_{start_us}.mp4",
        volume="main",
        start_us=start_us,
        end_us=start_us + length_us,
        size_bytes=1_000_000,
        sealed=True,
    )
    return file.model_copy(update=changes)


def volume(name: str = "main", **changes: Any) -> VolumeStatus:
    """A volume of 100 GiB, half of it free."""
    status = VolumeStatus(
        name=name,
        path=f"/{name}",
        weight=1,
        tier="fast",
        reserve_bytes=GIB,
        state="ok",
        free_bytes=50 * GIB,
        total_bytes=100 * GIB,
    )
    return status.model_copy(update=changes)


class RefusingFiles(MemoryFiles):
    """Refuses to remove while told so."""

    refuse_removals = False

    def remove_file(self, camera_id: str, name: str) -> int:
        if self.refuse_removals:
            raise Failure("unavailable", "the disk does not answer")
        return super().remove_file(camera_id, name)


class Site:
    """Cameras, files, events and the keeper; time passes when the clock is told."""

    def __init__(self, *volumes: VolumeStatus, volume_limits: dict[str, Limits] | None = None) -> None:
        self.clock = ManualClock()
        self.files = RefusingFiles(volumes or (volume(),))
        self.history = MemoryRecordingHistory()
        self.groups = MemoryGroupRepository()
        self.lock_repository = MemoryLockRepository()
        self.former = MemoryFormerCameraRepository()
        self.cameras = MemoryCameraRepository()
        self.media = MemoryMedia()
        self.events: list[tuple[str, Happening]] = []
        self.events_fail = False
        self.journal_fails = False
        self.removed: list[tuple[str, str]] = []
        self._volume_limits = volume_limits or {}
        self.restart()

    def restart(self) -> None:
        """New services over the same tables."""
        self.ingest = IngestService(
            self.cameras,
            self.media,
            MemorySealer(),
            self.clock,
            allow_loopback=True,
            history=self.history,
            groups=self.groups,
            former=self.former,
        )
        self.ingest.start()
        self.locks = LockService(self.lock_repository, self.cameras, self.former, self.clock)
        self.keeper = Keeper(
            self.files,
            self.cameras,
            self.groups,
            self.lock_repository,
            self.former,
            self.history,
            self.clock,
            happenings=self._happenings,
            volume_limits=self._volume_limits,
            journal=self,
        )

    def on_removed(self, file: RecordedFile, reason: str, by: str) -> None:
        if self.journal_fails:
            raise Failure("unavailable", "the journal cannot be written")
        self.removed.append((file.name, f"{by}: {reason}"))

    def _happenings(self, camera_id: str, span: Span) -> Iterable[Happening]:
        if self.events_fail:
            raise Failure("unavailable", "the database does not answer")
        return [
            event
            for camera, event in self.events
            if camera == camera_id
            and event.start_us < span.end_us
            and (event.end_us is None or event.end_us >= span.start_us)
        ]

    def add_camera(self, name: str = "Gate", **fields: Any) -> str:
        streams = {"main": {"url": "rtsp://192.0.2.1/a"}}
        return self.ingest.create(CameraDraft.model_validate({"name": name, "streams": streams, **fields})).id

    def patch(self, camera_id: str, patch: dict[str, Any]) -> None:
        self.ingest.patch(camera_id, patch)

    def lock(self, camera_id: str, start_us: int, end_us: int, until_us: int | None = None) -> str:
        span = Span(start_us=start_us, end_us=end_us)
        return self.locks.lock([camera_id], span, "a theft", until_us, "ona").id

    def turn(self, *, fails: bool = False) -> None:
        if fails:
            with pytest.raises(Failure):
                self.keeper.turn(threading.Event())
        else:
            self.keeper.turn(threading.Event())

    def minutes(self, camera_id: str, start_us: int) -> list[int]:
        """The minutes after `start_us` of which the archive has a file."""
        return sorted((file.start_us - start_us) // MINUTE_US for file in self.files.files.values())
