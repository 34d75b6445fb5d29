"""What the ingest service offers: the cameras and their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vms.domain.camera_drafts import CameraDraft
from vms.domain.cameras import Camera, CameraStatus


class Cameras(Protocol):
    """The cameras, configured and connected."""

    def create(self, draft: CameraDraft) -> Camera:
        """Raises Failure(conflict) for a name in use, FieldFailure for what the configuration does not allow."""
        ...

    def get(self, camera_id: str) -> Camera:
        """Raises Failure(not_found)."""
        ...

    def page(self, after_id: str | None, limit: int) -> Sequence[Camera]: ...

    def patch(self, camera_id: str, patch: Mapping[str, Any]) -> Camera:
        """Applies a JSON merge patch (RFC 7396) to the camera's public form.

        Raises what `create` raises, Failure(not_found), and pydantic's ValidationError for an outcome that is no
        camera.
        """
        ...

    def remove(self, camera_id: str) -> None:
        """Ends the connection and forgets the camera; its recordings stay on the disk."""
        ...

    def status(self, camera_id: str) -> CameraStatus:
        """Raises Failure(not_found)."""
        ...

    def statuses(self) -> Mapping[str, CameraStatus]: ...
