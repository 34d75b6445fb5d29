"""What is seen in pictures: findings of a model, tracks of what moves through a scene, occurrences that rules find in
them. Boxes are `vms.domain.motion.Box`: fractions of the picture; times are µs since the Unix epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from vms.domain.motion import Box

Region = Box


class Point(NamedTuple):
    """A place in the picture, 0–1 from the upper left."""

    x: float
    y: float


class KeyPoint(NamedTuple):
    """A joint of a body or a mark of a face; its place is its index (the model's manifest names it)."""

    x: float
    y: float
    score: float


@dataclass(frozen=True)
class Finding:
    """One thing that a model found in a picture. `box` is of the whole picture, also where a region was looked at."""

    label: str
    score: float
    box: Box
    # Of a pose or a face.
    points: tuple[KeyPoint, ...] = ()
    # Of an embedding; of unit length.
    vector: tuple[float, ...] = ()
    # Of what was read.
    text: str = ""


@dataclass(frozen=True)
class Track:
    """Something that is followed from picture to picture, as it is at `at_us`. Numbers are never used twice for a
    camera while the server runs."""

    number: int
    label: str
    score: float
    box: Box
    since_us: int
    at_us: int
    # The picture at `at_us` showed it; else its place is a guess, for a second or two.
    seen: bool = True
    points: tuple[KeyPoint, ...] = ()

    @property
    def foot(self) -> Point:
        """Where it stands: the middle of the lower edge."""
        return Point((self.box.left + self.box.right) / 2, self.box.bottom)


@dataclass(frozen=True)
class Look:
    """What is known of a picture as a whole, for tampering: all cheap to take where it is decoded."""

    # Mean and deviation of the brightness, 0–1; mean size of the gradient, 0–1; a mean brightness per cell, row by row.
    brightness: float
    contrast: float
    sharpness: float
    cells: tuple[float, ...] = ()
    # Share of the picture that changed since the last one that was looked at.
    activity: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A camera's picture with what is followed in it. `aspect` is width over height."""

    at_us: int
    tracks: tuple[Track, ...] = ()
    aspect: float = 16 / 9
    look: Look | None = None
    # What the camera's auto-encoder says of the picture, where it looked at it: 0.5 and more is unlike what it learned.
    unusual: Finding | None = None


Phase = Literal["instant", "began", "ended"]


@dataclass(frozen=True)
class Occurrence:
    """Something that a rule found. What began ends with another of the same rule and `key`."""

    rule_id: str
    # Which of the rule's occurrences: a track's number, "left", …
    key: str
    # The event's type: line.crossed, zone.entered, …
    type: str
    phase: Phase
    at_us: int
    score: float = 1.0
    box: Box | None = None
    label: str = ""
    track: int | None = None
    # For the event's data: small, JSON.
    details: dict[str, Any] = field(default_factory=dict)
