"""Looking for motion in cameras' pictures, outside the server's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from vms.domain.motion import MotionReport, MotionSettings

# (camera, what began or ended)
MotionListener = Callable[[str, MotionReport], None]


class MotionFigures(BaseModel):
    """What became of one camera's pictures since its worker took it up."""

    model_config = ConfigDict(frozen=True)

    decoded: int = 0
    # Pictures that could not be decoded, light that changed as a whole, units missed because the worker was busy.
    broken: int = 0
    light_changes: int = 0
    dropped: int = 0
    # Why it is not looked at right now; it is tried again.
    lost: str | None = None


class MotionWatcher(Protocol):
    """Cameras whose pictures are looked at. A camera that cannot be is tried again, less and less often."""

    def watch(self, camera_id: str, settings: MotionSettings) -> None:
        """Begins, or goes on with other settings. Returns at once, whatever the camera does."""
        ...

    def forget(self, camera_id: str) -> None:
        """Ends; an event that is open ends too. Does nothing when the camera is not watched."""
        ...

    def figures(self) -> dict[str, MotionFigures]:
        """Of every camera that is watched."""
        ...

    def start(self, listener: MotionListener) -> None:
        """Reports come on a thread of the watcher's, in order for each camera."""
        ...

    def close(self) -> None: ...
