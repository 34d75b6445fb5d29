"""The archive's files, as the media core keeps them."""

from __future__ import annotations

from pydantic import TypeAdapter
from vms_media import Engine

from vms.adapters.media.failures import translated
from vms.contracts.files import FileChanges, FileReport, ObjectReader, VolumeStatus

_VOLUMES = TypeAdapter(list[VolumeStatus])


class MediaFiles:
    """Satisfies `vms.contracts.files.ArchiveFiles`."""

    _engine: Engine

    def file_changes(self, after_revision: int) -> FileChanges:
        with translated():
            return FileChanges.model_validate_json(self._engine.file_changes(after_revision))

    def remove_file(self, camera_id: str, name: str) -> int:
        with translated():
            return self._engine.remove_file(camera_id, name)

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None) -> str:
        with translated():
            return self._engine.hash_file(camera_id, name, max_bytes_per_s)

    def rebuild_index(self, camera_id: str, name: str) -> FileReport:
        with translated():
            return FileReport.model_validate_json(self._engine.rebuild_index(camera_id, name))

    def move_file(self, camera_id: str, name: str, volume: str, max_bytes_per_s: int | None) -> None:
        with translated():
            self._engine.move_file(camera_id, name, volume, max_bytes_per_s)

    def use_object(self, camera_id: str, name: str, object_key: str) -> int:
        with translated():
            return self._engine.use_object(camera_id, name, object_key)

    def read_objects_with(self, reader: ObjectReader) -> None:
        with translated():
            self._engine.read_objects_with(reader)

    def volumes(self) -> list[VolumeStatus]:
        with translated():
            return _VOLUMES.validate_json(self._engine.volumes())
