"""An archive of files that only remembers them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable

from vms.contracts.files import (
    FileChanges,
    FileReport,
    ObjectReader,
    RecordedFile,
    RemovedFile,
    VolumeStatus,
)
from vms.domain.errors import Failure


class MemoryFiles:
    """Satisfies `vms.contracts.files.ArchiveFiles`; the bytes of a file are its name."""

    def __init__(self, volumes: Iterable[VolumeStatus] = ()) -> None:
        self.volume_states = {volume.name: volume for volume in volumes}
        self.files: dict[tuple[str, str], RecordedFile] = {}
        self.reader: ObjectReader | None = None
        self._revisions: dict[tuple[str, str], int] = {}
        self._revision = 0
        self._lock = threading.Lock()

    def put(self, file: RecordedFile) -> None:
        """A file begins, or is another now."""
        with self._lock:
            self._note(file)

    def file_changes(self, after_revision: int) -> FileChanges:
        with self._lock:
            changed = [key for key, revision in self._revisions.items() if revision > after_revision]
            return FileChanges(
                revision=self._revision,
                whole=after_revision == 0,
                files=[self.files[key] for key in changed if key in self.files],
                removed=[
                    RemovedFile(camera_id=camera_id, name=name)
                    for camera_id, name in changed
                    if (camera_id, name) not in self.files and after_revision > 0
                ],
            )

    def remove_file(self, camera_id: str, name: str) -> int:
        with self._lock:
            file = self._sealed(camera_id, name)
            del self.files[camera_id, name]
            self._revision += 1
            self._revisions[camera_id, name] = self._revision
            self._change_size(file.volume, -file.size_bytes)
            return file.size_bytes

    def move_file(self, camera_id: str, name: str, volume: str, max_bytes_per_s: int | None) -> None:
        with self._lock:
            file = self._sealed(camera_id, name)
            target = self.volume_states.get(volume)
            if target is None:
                raise Failure("not_found", f"there is no volume {volume}")
            if target.free_bytes < file.size_bytes + target.reserve_bytes:
                raise Failure("exhausted", f"the volume {volume} is full")
            self._change_size(file.volume, -file.size_bytes)
            self._change_size(volume, file.size_bytes)
            self._note(file.model_copy(update={"volume": volume}))

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None) -> str:
        with self._lock:
            self._known(camera_id, name)
            return hashlib.sha256(name.encode()).hexdigest()

    def use_object(self, camera_id: str, name: str, object_key: str) -> int:
        with self._lock:
            file = self._sealed(camera_id, name)
            if self.reader is None:
                raise Failure("conflict", "no object storage is set up")
            self._change_size(file.volume, -file.size_bytes)
            self._note(file.model_copy(update={"object_key": object_key}))
            return file.size_bytes

    def read_objects_with(self, reader: ObjectReader) -> None:
        self.reader = reader

    def rebuild_index(self, camera_id: str, name: str) -> FileReport:
        with self._lock:
            file = self._sealed(camera_id, name)
            return FileReport(records=1, records_rebuilt=0, bytes_read=file.size_bytes)

    def volumes(self) -> list[VolumeStatus]:
        with self._lock:
            return list(self.volume_states.values())

    def _note(self, file: RecordedFile) -> None:
        self._revision += 1
        self.files[file.camera_id, file.name] = file
        self._revisions[file.camera_id, file.name] = self._revision

    def _known(self, camera_id: str, name: str) -> RecordedFile:
        file = self.files.get((camera_id, name))
        if file is None:
            raise Failure("not_found", f"camera {camera_id}: there is no file {name}", code="file-not-found")
        return file

    def _sealed(self, camera_id: str, name: str) -> RecordedFile:
        file = self._known(camera_id, name)
        if not file.sealed:
            raise Failure("conflict", f"camera {camera_id}: {name} is being recorded", code="file-open")
        return file

    def _change_size(self, volume: str, by_bytes: int) -> None:
        state = self.volume_states.get(volume)
        if state is not None:
            self.volume_states[volume] = state.model_copy(
                update={
                    "free_bytes": state.free_bytes - by_bytes,
                    "recorded_bytes": max(0, state.recorded_bytes + by_bytes),
                }
            )
