"""What is true of a clip: `scene.json` and `boxes.csv` of its directory in `evaluation/`.

`boxes.csv`: track,frame,left,top,width,height at key pictures, in pixels; linear in between. `METHOD.md` beside it says
how they were drawn.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vms.domain.analysis import Rule
from vms.domain.errors import Failure
from vms.domain.models import Sha256
from vms.domain.motion import Box

_COLUMNS = ["track", "frame", "left", "top", "width", "height"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Clip(_Value):
    """A file that a package of the operating system brings."""

    package: str
    path: Path
    sha256: Sha256
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    fps: Annotated[int, Field(ge=1)]
    frames: Annotated[int, Field(ge=1)]


class TrueEvent(_Value):
    """Something that a rule should find, at a picture."""

    rule: str
    frame: int
    direction: Literal["", "left", "right"] = ""
    track: str


class _Scene(_Value):
    clip: Clip
    label: str
    # Tracks that neither count when they are missed nor when they are found.
    ignored: tuple[str, ...]
    rules: tuple[Rule, ...]
    events: tuple[TrueEvent, ...]


@dataclass(frozen=True)
class Seen:
    """Something with a number in one picture. `is_ignored`: it counts neither way."""

    number: int
    box: Box
    score: float = 1.0
    is_ignored: bool = False


@dataclass(frozen=True)
class Truth:
    """Of one clip. `seen`: what is in each picture, by its number from 0; boxes as fractions of the picture."""

    clip: Clip
    label: str
    rules: tuple[Rule, ...]
    events: tuple[TrueEvent, ...]
    seen: Mapping[int, tuple[Seen, ...]]

    def at(self, frame: int) -> tuple[Seen, ...]:
        """What is in a picture."""
        return self.seen.get(frame, ())


def read_truth(directory: Path) -> Truth:
    """Raises Failure(not_found|malformed)."""
    try:
        scene = _Scene.model_validate_json((directory / "scene.json").read_bytes())
        tracks = _read_boxes(directory / "boxes.csv", scene.clip)
    except OSError as error:
        raise Failure("not_found", f"there is no ground truth in {directory}: {error.strerror}") from error
    except ValidationError as error:
        raise Failure("malformed", f"{directory / 'scene.json'}: {error.errors()[0]['msg']}") from error
    if strangers := {*scene.ignored, *(event.track for event in scene.events)} - tracks.keys():
        raise Failure("malformed", f"{directory / 'boxes.csv'} has no track {min(strangers)}")
    if strangers := {event.rule for event in scene.events} - {rule.id for rule in scene.rules}:
        raise Failure("malformed", f"{directory / 'scene.json'} has no rule {min(strangers)}")
    seen: dict[int, list[Seen]] = {}
    for number, (name, keys) in enumerate(tracks.items(), start=1):
        for frame, box in _every_frame(keys).items():
            seen.setdefault(frame, []).append(Seen(number, box, is_ignored=name in scene.ignored))
    every = {frame: tuple(found) for frame, found in sorted(seen.items())}
    return Truth(scene.clip, scene.label, scene.rules, scene.events, every)


def _read_boxes(path: Path, clip: Clip) -> dict[str, dict[int, Box]]:
    tracks: dict[str, dict[int, Box]] = {}
    with path.open(newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != _COLUMNS:
            raise Failure("malformed", f"{path} does not begin with {','.join(_COLUMNS)}")
        for row in rows:
            try:
                name, *numbers = row
                frame, left, top, width, height = map(int, numbers)
            except ValueError as error:
                raise Failure("malformed", f"{path}, line {rows.line_num}: {','.join(row)}") from error
            lies_within = 0 <= left < left + width <= clip.width and 0 <= top < top + height <= clip.height
            keys = tracks.setdefault(name, {})
            if not lies_within or not 0 <= frame < clip.frames or frame in keys:
                raise Failure("malformed", f"{path}, line {rows.line_num}: {','.join(row)} cannot be")
            keys[frame] = Box(
                left / clip.width, top / clip.height, (left + width) / clip.width, (top + height) / clip.height
            )
    return tracks


def _every_frame(keys: Mapping[int, Box]) -> dict[int, Box]:
    frames = sorted(keys)
    every = {frames[-1]: keys[frames[-1]]}
    for first, last in pairwise(frames):
        for frame in range(first, last):
            every[frame] = _between(keys[first], keys[last], (frame - first) / (last - first))
    return every


def _between(a: Box, b: Box, share: float) -> Box:
    return Box(
        a.left + (b.left - a.left) * share,
        a.top + (b.top - a.top) * share,
        a.right + (b.right - a.right) * share,
        a.bottom + (b.bottom - a.bottom) * share,
    )
