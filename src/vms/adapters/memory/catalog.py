"""Catalogues in dictionaries."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from vms.domain.cameras import Camera
from vms.domain.errors import Failure
from vms.domain.recordings import FINAL_EXPORT_STATES, Export


class MemoryCameraRepository:
    """Satisfies `vms.contracts.catalog.CameraRepository`."""

    def __init__(self) -> None:
        self._cameras: dict[str, Camera] = {}
        self._lock = threading.Lock()

    def add(self, camera: Camera) -> None:
        with self._lock:
            self._check_name(camera)
            self._cameras[camera.id] = camera

    def get(self, camera_id: str) -> Camera:
        with self._lock:
            self._check_known(camera_id)
            return self._cameras[camera_id]

    def page(self, after_id: str | None, limit: int) -> Sequence[Camera]:
        with self._lock:
            ids = sorted(camera_id for camera_id in self._cameras if after_id is None or camera_id > after_id)
            return [self._cameras[camera_id] for camera_id in ids[:limit]]

    def replace(self, camera: Camera) -> None:
        with self._lock:
            self._check_known(camera.id)
            self._check_name(camera)
            self._cameras[camera.id] = camera

    def remove(self, camera_id: str) -> None:
        with self._lock:
            self._check_known(camera_id)
            del self._cameras[camera_id]

    def _check_known(self, camera_id: str) -> None:
        if camera_id not in self._cameras:
            raise Failure("not_found", "no camera has this identifier", code="camera-not-found")

    def _check_name(self, camera: Camera) -> None:
        name = camera.name.casefold()
        if any(other.name.casefold() == name and other.id != camera.id for other in self._cameras.values()):
            raise Failure("conflict", "another camera has this name", code="camera-name-taken")


class MemoryExportRepository:
    """Satisfies `vms.contracts.catalog.ExportRepository`."""

    def __init__(self) -> None:
        self._exports: dict[str, Export] = {}
        self._lock = threading.Lock()

    def add(self, export: Export) -> None:
        with self._lock:
            self._exports[export.id] = export

    def get(self, export_id: str) -> Export:
        with self._lock:
            self._check_known(export_id)
            return self._exports[export_id]

    def page(self, before_id: str | None, limit: int) -> Sequence[Export]:
        with self._lock:
            ids = sorted((key for key in self._exports if before_id is None or key < before_id), reverse=True)
            return [self._exports[export_id] for export_id in ids[:limit]]

    def unfinished(self) -> Sequence[Export]:
        with self._lock:
            return [export for export in self._exports.values() if export.state not in FINAL_EXPORT_STATES]

    def replace(self, export: Export) -> None:
        with self._lock:
            self._check_known(export.id)
            self._exports[export.id] = export

    def remove(self, export_id: str) -> None:
        with self._lock:
            self._check_known(export_id)
            del self._exports[export_id]

    def _check_known(self, export_id: str) -> None:
        if export_id not in self._exports:
            raise Failure("not_found", "no export has this identifier", code="export-not-found")
