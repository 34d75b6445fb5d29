"""What a camera's owner says of motion, and when moving cells become an event."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vms.domain.recording_policy import MOTION, RecordingMode, RecordingPolicy, StreamName

# auto: by the server where a stream is recorded on motion, else not at all. camera: the camera's own detector, whose
# events others bring in.
MotionSource = Literal["auto", "server", "camera", "off"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=3, max_length=64)]


class MotionSettings(BaseModel):
    """How motion is found in a camera's pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: MotionSource = "auto"
    # 1: only what is large and stands out, 100: whatever moves at all.
    sensitivity: Annotated[int, Field(ge=1, le=100)] = 50
    # Areas that do not count: corners as (x, y) from the upper left, 0–1.
    mask: Annotated[tuple[Polygon, ...], Field(max_length=32)] = ()


def needs_server(settings: MotionSettings, *, records_on_motion: bool) -> bool:
    """Whether the server shall look for motion itself."""
    return settings.source == "server" or (settings.source == "auto" and records_on_motion)


def records_on_motion(policy: RecordingPolicy, streams: Iterable[StreamName]) -> bool:
    """Whether a stream is recorded on motion, at any time of the week."""
    modes: set[str] = {policy.mode_of(stream).value for stream in streams}
    if RecordingMode.SCHEDULE.value in modes and policy.schedule is not None:
        modes |= policy.schedule.modes()
    if RecordingMode.EVENT.value in modes and MOTION in (policy.event_types or ()):
        return True
    return RecordingMode.MOTION.value in modes


@dataclass(frozen=True)
class Box:
    """Left, top, right, bottom, 0–1 of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def with_(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


@dataclass(frozen=True)
class Sighting:
    """What one picture showed: how much of the (unmasked) picture moved, and where."""

    at_us: int
    score: float = 0.0
    box: Box | None = None


@dataclass(frozen=True)
class MotionStarted:
    """Something moves, since `start_us`."""

    start_us: int
    score: float
    box: Box


@dataclass(frozen=True)
class MotionEnded:
    """What moved last moved at `end_us`; `score` is that of the picture with the most, `box` around all of it."""

    start_us: int
    end_us: int
    score: float
    box: Box


MotionReport = MotionStarted | MotionEnded


class MotionEvents:
    """Sightings to events: an event begins when `start_count` of the last `start_window` pictures moved, and ends after
    `quiet_us` without."""

    def __init__(self, *, start_count: int = 2, start_window: int = 3, quiet_us: int = 5_000_000) -> None:
        self._start_count = start_count
        self._recent: deque[Sighting] = deque(maxlen=start_window)
        self._quiet_us = quiet_us
        self._open: MotionEnded | None = None

    def see(self, sighting: Sighting) -> MotionReport | None:
        """What a picture begins or ends; pictures come in order of time."""
        moving = sighting.box is not None
        if self._open is not None:
            if moving and sighting.box is not None:
                self._open = MotionEnded(
                    self._open.start_us,
                    max(sighting.at_us, self._open.end_us),
                    max(sighting.score, self._open.score),
                    self._open.box.with_(sighting.box),
                )
                return None
            return self.end() if sighting.at_us - self._open.end_us >= self._quiet_us else None
        self._recent.append(sighting)
        found = [recent for recent in self._recent if recent.box is not None]
        if not moving or len(found) < self._start_count:
            return None
        boxes = [recent.box for recent in found if recent.box is not None]
        box = boxes[0]
        for other in boxes[1:]:
            box = box.with_(other)
        score = max(recent.score for recent in found)
        self._recent.clear()
        self._open = MotionEnded(found[0].at_us, sighting.at_us, score, box)
        return MotionStarted(found[0].at_us, score, box)

    def end(self) -> MotionEnded | None:
        """The event that is open, which ends with what was seen of it: the pictures stop."""
        ended, self._open = self._open, None
        self._recent.clear()
        return ended
