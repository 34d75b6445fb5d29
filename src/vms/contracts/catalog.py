"""Where cameras and exports are kept between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vms.domain.cameras import Camera
from vms.domain.recordings import Export


class CameraRepository(Protocol):
    """The catalogue of cameras. Names are unique without regard to case."""

    def add(self, camera: Camera) -> None:
        """Raises Failure(conflict, camera-name-taken)."""
        ...

    def get(self, camera_id: str) -> Camera:
        """Raises Failure(not_found, camera-not-found)."""
        ...

    def page(self, after_id: str | None, limit: int) -> Sequence[Camera]:
        """At most `limit` cameras in the order of their identifiers, from the first one past `after_id`."""
        ...

    def replace(self, camera: Camera) -> None:
        """Raises Failure(not_found, camera-not-found) or Failure(conflict, camera-name-taken)."""
        ...

    def remove(self, camera_id: str) -> None:
        """Raises Failure(not_found, camera-not-found)."""
        ...


class ExportRepository(Protocol):
    """The exports ordered so far."""

    def add(self, export: Export) -> None: ...

    def get(self, export_id: str) -> Export:
        """Raises Failure(not_found, export-not-found)."""
        ...

    def page(self, before_id: str | None, limit: int) -> Sequence[Export]:
        """At most `limit` exports, newest first, from the first one older than `before_id`."""
        ...

    def unfinished(self) -> Sequence[Export]:
        """Those neither done nor failed nor cancelled."""
        ...

    def replace(self, export: Export) -> None:
        """Raises Failure(not_found, export-not-found)."""
        ...

    def remove(self, export_id: str) -> None:
        """Raises Failure(not_found, export-not-found)."""
        ...
