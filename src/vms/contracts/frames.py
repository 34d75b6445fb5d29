"""Pictures of cameras in shared memory, decoded outside the server's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from vms.domain.vision import Look


class FramePlace(NamedTuple):
    """Where a frame's bytes are: a file that any process of this user can map, and an offset in it.

    A path stays the same file as long as its source is there, but the file may grow: whoever keeps it mapped maps it
    anew when an offset lies beyond."""

    path: str
    offset: int


@dataclass(frozen=True)
class Frame:
    """A picture: `height` rows of `width` × 3 bytes RGB without padding, which stay as they are until it is released.

    `at_us` is the server time of its access unit, `pts` its stamp in ticks of `clock_rate`, as live players get it.
    """

    camera_id: str
    stream: str
    at_us: int
    pts: int
    clock_rate: int
    width: int
    height: int
    place: FramePlace
    look: Look
    # Of the picture as the camera sent it.
    sent_width: int
    sent_height: int

    @property
    def size_bytes(self) -> int:
        return self.width * self.height * 3


class Sampling(BaseModel):
    """How often a camera's pictures are wanted: `least_fps` while nothing changes in them, up to `most_fps`.

    Where nothing changes, and units are so small that nothing can, decoding rests: then only key frames are given, or a
    picture every `longest_rest_s` where they are further apart. It wakes within a second. 0: it never rests.
    """

    model_config = ConfigDict(frozen=True)

    stream: str = "sub"
    least_fps: Annotated[float, Field(gt=0, le=30)] = 1.0
    most_fps: Annotated[float, Field(gt=0, le=30)] = 5.0
    key_frames_only: bool = False
    longest_rest_s: Annotated[float, Field(ge=0, le=60)] = 10.0


class FrameFigures(BaseModel):
    """What became of one camera's units since its worker took it up."""

    model_config = ConfigDict(frozen=True)

    decoded: int = 0
    given: int = 0
    # Units that could not be decoded; units missed because the worker was busy; frames for which no memory was free.
    broken: int = 0
    missed: int = 0
    dropped: int = 0
    codec: str = ""
    # Decoding on hardware: its name; or "software" with why what there is does not do it.
    hardware: str = ""
    # Why there are none right now; it is tried again.
    lost: str | None = None


FrameListener = Callable[[Frame], None]


class FrameSource(Protocol):
    """Cameras whose pictures are wanted. A camera that cannot be decoded is tried again, less and less often."""

    def watch(self, camera_id: str, sampling: Sampling) -> None:
        """Begins, or goes on with other settings. Returns at once, whatever the camera does."""
        ...

    def forget(self, camera_id: str) -> None: ...

    def figures(self) -> dict[str, FrameFigures]: ...

    def start(self, listener: FrameListener) -> None:
        """Frames come on threads of the source's, in order for each camera. Each is released by whoever got it; where
        none is released the source drops new ones (counted), and never waits."""
        ...

    def release(self, frame: Frame) -> None:
        """Its memory may be used again. Once for each frame; of a worker that is gone, it does nothing."""
        ...

    def pixels(self, frame: Frame) -> memoryview:
        """Its bytes, until it is released."""
        ...

    def close(self) -> None: ...
