"""What the ingest service offers: the cameras and their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.keeping import ManualRecording
from vms.domain.camera_drafts import CameraDraft
from vms.domain.cameras import Camera, CameraStatus
from vms.domain.recording_policy import RecordingPlan


class RecordingState(BaseModel):
    """What a camera records at this moment, and what an operator started."""

    model_config = ConfigDict(frozen=True)

    plan: RecordingPlan
    started: ManualRecording | None = None


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
        """Ends the connection and forgets the camera; its recordings stay under the limits that it had last."""
        ...

    def replan(self, camera_id: str) -> bool:
        """Records what is to be recorded now; whether that is something else. Raises Failure(not_found)."""
        ...

    def replan_due(self) -> int:
        """Replans the cameras whose time to change has come; how many changed."""
        ...

    def start_recording(self, camera_id: str, seconds: int | None, started_by: str) -> RecordingState:
        """An operator records until `seconds` have passed, or until it is stopped.

        Raises Failure(not_found), or Failure(conflict, recording-off).
        """
        ...

    def stop_recording(self, camera_id: str) -> RecordingState:
        """Raises Failure(not_found)."""
        ...

    def recording_state(self, camera_id: str) -> RecordingState:
        """Raises Failure(not_found)."""
        ...

    def status(self, camera_id: str) -> CameraStatus:
        """Raises Failure(not_found)."""
        ...

    def statuses(self) -> Mapping[str, CameraStatus]: ...
