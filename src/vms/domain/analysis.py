"""What a camera's owner wants understood: how often its pictures are looked at, by which models, and the rules."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from vms.domain.motion import Fraction, Polygon
from vms.domain.shapes import Place, area, crosses_itself, is_convex

# Smaller than the click that was meant to begin a shape: shares of the picture's area, and of its sides.
_LEAST_AREA = 0.0001
_LEAST_LENGTH = 0.01
# Of what is measured out on the ground, in m² and m.
_LEAST_GROUND_M2 = 0.1
_FARTHEST_M = 10_000.0


def _check_zone(zone: tuple[Place, ...]) -> tuple[Place, ...]:
    if crosses_itself(zone, closed=True):
        raise ValueError("the outline crosses itself")
    if area(zone) < _LEAST_AREA:
        raise ValueError("the area is next to nothing")
    return zone


def _check_line(line: tuple[Place, ...]) -> tuple[Place, ...]:
    if any(a == b for a, b in pairwise(line)):
        raise ValueError("two points that follow one another are the same")
    if crosses_itself(line, closed=False):
        raise ValueError("the line crosses itself: it has no sides")
    if max(_length(line[0], point) for point in line) < _LEAST_LENGTH:
        raise ValueError("the line is next to nothing")
    return line


def _check_arrow(arrow: tuple[Place, Place]) -> tuple[Place, Place]:
    if _length(*arrow) < _LEAST_LENGTH:
        raise ValueError("the arrow has no direction: its ends are the same")
    return arrow


def _check_corners(corners: tuple[Place, Place, Place, Place]) -> tuple[Place, Place, Place, Place]:
    if not is_convex(corners) or area(corners) < _LEAST_AREA:
        raise ValueError("the corners, one after the other, are not those of a convex quadrangle")
    return corners


def _check_metres(metres: tuple[Place, Place, Place, Place]) -> tuple[Place, Place, Place, Place]:
    if not is_convex(metres) or area(metres) < _LEAST_GROUND_M2:
        raise ValueError("the places, one after the other, are not those of a convex quadrangle on the ground")
    return metres


def _length(a: Place, b: Place) -> float:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]))


Corner = tuple[Fraction, Fraction]
Line = Annotated[tuple[Corner, ...], Field(min_length=2, max_length=16), AfterValidator(_check_line)]
Zone = Annotated[Polygon, AfterValidator(_check_zone)]
Arrow = Annotated[tuple[Corner, Corner], AfterValidator(_check_arrow)]
Quadrangle = Annotated[tuple[Corner, Corner, Corner, Corner], AfterValidator(_check_corners)]
Metre = Annotated[float, Field(ge=-_FARTHEST_M, le=_FARTHEST_M)]
_OnGround = tuple[Metre, Metre]
Ground = Annotated[tuple[_OnGround, _OnGround, _OnGround, _OnGround], AfterValidator(_check_metres)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Labels = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=64)]
RuleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Rule(_Settings):
    id: RuleId
    name: Annotated[str, Field(max_length=128)] = ""
    enabled: bool = True


class _TrackRule(_Rule):
    # Of what it holds; none: of everything that is found.
    labels: Labels = ("person",)


class _ZoneRule(_TrackRule):
    zone: Zone


class Tripwire(_TrackRule):
    """line.crossed: a track's foot goes over the line. Seen from its first point to its last, things cross from left to
    right (`right`) or from right to left (`left`)."""

    kind: Literal["tripwire"] = "tripwire"
    line: Line
    direction: Literal["both", "left", "right"] = "both"


class ZoneEntry(_ZoneRule):
    """zone.entered: a track is in the zone, from when to when."""

    kind: Literal["zone"] = "zone"


class Loitering(_ZoneRule):
    """zone.loitering: a track stays in the zone for longer."""

    kind: Literal["loitering"] = "loitering"
    after_s: Seconds = 30.0


class Crowding(_ZoneRule):
    """zone.crowded: at least so many are in the zone, for so long."""

    kind: Literal["crowding"] = "crowding"
    count: Annotated[int, Field(ge=2, le=1000)] = 5
    after_s: Seconds = 3.0


class Occupancy(_ZoneRule):
    """zone.occupancy: how many are in the zone, counted every minute; an event where a limit is passed."""

    kind: Literal["occupancy"] = "occupancy"
    most: Annotated[int, Field(ge=1, le=10_000)] | None = None


class WrongWay(_ZoneRule):
    """way.wrong: a track moves through the zone against the arrow."""

    kind: Literal["wrong_way"] = "wrong_way"
    labels: Labels = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
    arrow: Arrow
    tolerance_degrees: Annotated[float, Field(gt=0, lt=180)] = 60.0


class Speed(_ZoneRule):
    """speed.exceeded: a track is faster than the limit on a plane known by four corners: picture ↔ metres."""

    kind: Literal["speed"] = "speed"
    labels: Labels = ("bicycle", "car", "motorcycle", "bus", "truck")
    limit_kmh: Annotated[float, Field(gt=0, le=500)]
    corners: Quadrangle
    # Of the corners, in metres on the ground.
    metres: Ground


class Abandoned(_ZoneRule):
    """object.abandoned: a thing stands still in the zone with nobody near it."""

    kind: Literal["abandoned"] = "abandoned"
    labels: Labels = ("backpack", "handbag", "suitcase")
    after_s: Seconds = 30.0


class Removed(_ZoneRule):
    """object.removed: a thing that stood in the zone is gone."""

    kind: Literal["removed"] = "removed"
    labels: Labels = ()
    after_s: Seconds = 10.0


class Parked(_ZoneRule):
    """object.parked: a vehicle stands still in the zone for longer."""

    kind: Literal["parked"] = "parked"
    labels: Labels = ("bicycle", "car", "motorcycle", "bus", "truck")
    after_s: Seconds = 60.0


class Fall(_TrackRule):
    """person.fell: somebody who stood lies, and stays down; by key points where a pose model runs, else by the box."""

    kind: Literal["fall"] = "fall"
    after_s: Seconds = 3.0


class Tampering(_Rule):
    """camera.covered, camera.moved, camera.defocused, camera.frozen: from when to when."""

    kind: Literal["tampering"] = "tampering"
    after_s: Seconds = 5.0


class Anomaly(_Rule):
    """scene.unusual: the picture is unlike what the camera's auto-encoder was trained on."""

    kind: Literal["anomaly"] = "anomaly"
    after_s: Seconds = 2.0


Rule = Annotated[
    Tripwire
    | ZoneEntry
    | Loitering
    | Crowding
    | Occupancy
    | WrongWay
    | Speed
    | Abandoned
    | Removed
    | Parked
    | Fall
    | Tampering
    | Anomaly,
    Field(discriminator="kind"),
]


class AnalysisSettings(_Settings):
    """How a camera's pictures are understood."""

    enabled: bool = False
    # Pictures a second: on a still scene, and at most.
    least_fps: Annotated[float, Field(gt=0, le=30)] = 1.0
    most_fps: Annotated[float, Field(gt=0, le=30, validate_default=True)] = 5.0
    key_frames_only: bool = False
    # Of devices' time under load: cameras of a higher class come first.
    priority: Literal["low", "normal", "high"] = "normal"
    # By name in the catalogue; none: the installation's.
    detector: Annotated[str, Field(max_length=64)] | None = None
    # What more is looked at in what was found.
    extras: Annotated[tuple[Literal["faces", "pose", "text"], ...], Field(max_length=3)] = ()
    least_score: Annotated[float, Field(ge=0.05, le=1)] = 0.5
    # What is followed at all; none: everything that the detector knows.
    labels: Labels = ()
    # Areas in which nothing counts.
    mask: Annotated[tuple[Zone, ...], Field(max_length=32)] = ()
    rules: Annotated[tuple[Rule, ...], Field(max_length=64)] = ()

    @field_validator("most_fps")
    @classmethod
    def _check_rates(cls, most_fps: float, info: ValidationInfo) -> float:
        if info.data.get("least_fps", 0.0) > most_fps:
            raise ValueError("less than least_fps")
        return most_fps

    @field_validator("rules")
    @classmethod
    def _check_ids(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        ids: set[str] = set()
        for rule in rules:
            if rule.id in ids:
                raise ValueError(f"two rules have the id {rule.id!r}")
            ids.add(rule.id)
        return rules
