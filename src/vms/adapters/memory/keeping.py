"""What is remembered of recording and keeping, in dictionaries."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from vms.contracts.keeping import ManualRecording, RecordingSpan
from vms.domain.errors import Failure
from vms.domain.retention import CameraGroup, EvidenceLock, FormerCamera


class MemoryRecordingHistory:
    """Satisfies `vms.contracts.keeping.RecordingHistory`."""

    def __init__(self) -> None:
        self._spans: dict[str, RecordingSpan] = {}
        self._manual: dict[str, ManualRecording] = {}
        self._lock = threading.Lock()

    def spans(self) -> Sequence[RecordingSpan]:
        with self._lock:
            return sorted(self._spans.values(), key=lambda span: (span.start_us, span.id))

    def open_spans(self, camera_id: str) -> Sequence[RecordingSpan]:
        return [span for span in self.spans() if span.camera_id == camera_id and span.end_us is None]

    def change_spans(self, begun: Sequence[RecordingSpan], ended: Mapping[str, int]) -> None:
        with self._lock:
            for span in begun:
                self._spans[span.id] = span
            for span_id, end_us in ended.items():
                if span_id in self._spans:
                    self._spans[span_id] = self._spans[span_id].model_copy(update={"end_us": end_us})

    def judge_spans(self, judged_us: Mapping[str, int]) -> None:
        with self._lock:
            for span_id, at_us in judged_us.items():
                if span_id in self._spans:
                    self._spans[span_id] = self._spans[span_id].model_copy(update={"judged_us": at_us})

    def remove_spans(self, span_ids: Sequence[str]) -> None:
        with self._lock:
            for span_id in span_ids:
                self._spans.pop(span_id, None)

    def add_manual(self, recording: ManualRecording) -> None:
        with self._lock:
            self._manual[recording.id] = recording

    def end_manual(self, recording_id: str, end_us: int) -> None:
        with self._lock:
            if recording_id in self._manual:
                self._manual[recording_id] = self._manual[recording_id].model_copy(update={"end_us": end_us})

    def manual(self, camera_id: str | None = None) -> Sequence[ManualRecording]:
        with self._lock:
            found = [entry for entry in self._manual.values() if camera_id in {None, entry.camera_id}]
        return sorted(found, key=lambda entry: (entry.start_us, entry.id))

    def remove_manual(self, recording_ids: Sequence[str]) -> None:
        with self._lock:
            for recording_id in recording_ids:
                self._manual.pop(recording_id, None)


class MemoryGroupRepository:
    """Satisfies `vms.contracts.keeping.GroupRepository`."""

    def __init__(self) -> None:
        self._groups: dict[str, CameraGroup] = {}
        self._lock = threading.Lock()

    def add(self, group: CameraGroup) -> None:
        with self._lock:
            self._check_name(group)
            self._groups[group.id] = group

    def get(self, group_id: str) -> CameraGroup:
        with self._lock:
            return self._known(group_id)

    def all(self) -> Sequence[CameraGroup]:
        with self._lock:
            return [self._groups[group_id] for group_id in sorted(self._groups)]

    def replace(self, group: CameraGroup) -> None:
        with self._lock:
            self._known(group.id)
            self._check_name(group)
            self._groups[group.id] = group

    def remove(self, group_id: str) -> None:
        with self._lock:
            self._known(group_id)
            del self._groups[group_id]

    def _known(self, group_id: str) -> CameraGroup:
        if group_id not in self._groups:
            raise Failure("not_found", "no group has this identifier", code="group-not-found")
        return self._groups[group_id]

    def _check_name(self, group: CameraGroup) -> None:
        name = group.name.casefold()
        if any(other.name.casefold() == name and other.id != group.id for other in self._groups.values()):
            raise Failure("conflict", "another group has this name", code="group-name-taken")


class MemoryLockRepository:
    """Satisfies `vms.contracts.keeping.LockRepository`."""

    def __init__(self) -> None:
        self._locks: dict[str, EvidenceLock] = {}
        self._lock = threading.Lock()

    def add(self, lock: EvidenceLock) -> None:
        with self._lock:
            self._locks[lock.id] = lock

    def get(self, lock_id: str) -> EvidenceLock:
        with self._lock:
            return self._known(lock_id)

    def page(self, before_id: str | None, limit: int) -> Sequence[EvidenceLock]:
        with self._lock:
            ids = sorted((key for key in self._locks if before_id is None or key < before_id), reverse=True)
            return [self._locks[lock_id] for lock_id in ids[:limit]]

    def unreleased(self) -> Sequence[EvidenceLock]:
        with self._lock:
            return [lock for lock in self._locks.values() if lock.released_us is None]

    def replace(self, lock: EvidenceLock) -> None:
        with self._lock:
            self._known(lock.id)
            self._locks[lock.id] = lock

    def _known(self, lock_id: str) -> EvidenceLock:
        if lock_id not in self._locks:
            raise Failure("not_found", "no evidence lock has this identifier", code="lock-not-found")
        return self._locks[lock_id]


class MemoryFormerCameraRepository:
    """Satisfies `vms.contracts.keeping.FormerCameraRepository`."""

    def __init__(self) -> None:
        self._cameras: dict[str, FormerCamera] = {}
        self._lock = threading.Lock()

    def put(self, camera: FormerCamera) -> None:
        with self._lock:
            self._cameras[camera.id] = camera

    def all(self) -> Sequence[FormerCamera]:
        with self._lock:
            return [self._cameras[camera_id] for camera_id in sorted(self._cameras)]

    def remove(self, camera_id: str) -> None:
        with self._lock:
            self._cameras.pop(camera_id, None)
