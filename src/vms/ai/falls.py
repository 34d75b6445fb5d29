"""People who fall and stay down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vms.ai.watching import FORGET_US, Spells
from vms.domain.analysis import Fall
from vms.domain.motion import Box
from vms.domain.vision import KeyPoint, Occurrence, Scene, Track

# Left and right, as the seventeen points of COCO have them.
_SHOULDERS = (5, 6)
_HIPS = (11, 12)
_LEAST_POINT_SCORE = 0.3
# The line from shoulders to hips is farther from upright.
_LYING_DEGREES = 55.0
_UPRIGHT_DEGREES = 35.0
# Width over height of a box, of the scene's own proportions.
_LYING_SHAPE = 1.2
_UPRIGHT_SHAPE = 0.8
# So long upright: it stood. And so long from standing to lying, at most: the others lay down.
_STOOD_US = 1_000_000
_FALLS_WITHIN_US = 4_000_000
# The head is lower by so much of the height that it had: not only the legs are hidden.
_LEAST_DROP = 0.3
# A box that ends with the picture has no shape of its own.
_BORDER = 0.01

Posture = Literal["upright", "lying"]


@dataclass(slots=True)
class _Person:
    track: Track
    seen_us: int
    known_us: int
    upright_since_us: int | None = None
    # How it last stood, where it stood for long enough.
    stood: Box | None = None
    stood_us: int = 0
    down_since_us: int | None = None


class Falls:
    """From when somebody has stayed down for long enough until they are up again, or gone."""

    def __init__(self, rule: Fall) -> None:
        self._labels = frozenset(rule.labels)
        self._after_us = round(rule.after_s * 1e6)
        self._spells = Spells(rule.id)
        self._people: dict[int, _Person] = {}

    def see(self, scene: Scene) -> list[Occurrence]:
        now = scene.at_us
        found: list[Occurrence] = []
        for track in scene.tracks:
            if self._labels and track.label not in self._labels:
                continue
            person = self._people.get(track.number)
            if person is None:
                if not track.seen:
                    continue
                person = self._people[track.number] = _Person(track, now, now)
            person.known_us = now
            if track.seen:
                person.track, person.seen_us = track, now
                found += self._judge(person, posture(track, scene.aspect), now)
        for number in [number for number, person in self._people.items() if now - person.known_us > FORGET_US]:
            found += self._spells.end(str(number), self._people.pop(number).seen_us)
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        self._people.clear()
        return self._spells.end_all(at_us)

    def _judge(self, person: _Person, now_is: Posture | None, now: int) -> list[Occurrence]:
        key = str(person.track.number)
        if now_is == "upright":
            if person.upright_since_us is None:
                person.upright_since_us = now
            if now - person.upright_since_us >= _STOOD_US:
                person.stood, person.stood_us, person.down_since_us = person.track.box, now, None
                return self._spells.end(key, now)
        elif now_is == "lying":
            person.upright_since_us = None
            if person.down_since_us is None and _fell(person, now):
                person.down_since_us = now
            down_us = person.down_since_us
            if down_us is not None and now - down_us >= self._after_us and key not in self._spells:
                down_s = round((now - down_us) / 1e6, 3)
                return [self._spells.begin(key, "person.fell", now, track=person.track, down_s=down_s)]
        return []


def posture(track: Track, aspect: float) -> Posture | None:
    """None where it cannot be told."""
    middles = _middle(track.points, _SHOULDERS), _middle(track.points, _HIPS)
    if middles[0] is not None and middles[1] is not None:
        (shoulder_x, shoulder_y), (hip_x, hip_y) = middles[0], middles[1]
        aside, down = abs(hip_x - shoulder_x) * aspect, hip_y - shoulder_y
        if aside == 0 and down == 0:
            return None
        # Head over heels is lying too.
        degrees = math.degrees(math.atan2(aside, down))
        return "upright" if degrees <= _UPRIGHT_DEGREES else "lying" if degrees >= _LYING_DEGREES else None
    box = track.box
    if box.left < _BORDER or box.right > 1 - _BORDER or box.top < _BORDER or box.bottom > 1 - _BORDER:
        return None
    height = box.bottom - box.top
    if height <= 0:
        return None
    shape = (box.right - box.left) * aspect / height
    return "upright" if shape <= _UPRIGHT_SHAPE else "lying" if shape >= _LYING_SHAPE else None


def _fell(person: _Person, now: int) -> bool:
    stood = person.stood
    if stood is None or now - person.stood_us > _FALLS_WITHIN_US:
        return False
    return person.track.box.top - stood.top >= _LEAST_DROP * (stood.bottom - stood.top)


def _middle(points: tuple[KeyPoint, ...], pair: tuple[int, int]) -> tuple[float, float] | None:
    """Between two points, where at least one of them is known: the body seen from the side shows but one."""
    known = [points[index] for index in pair if index < len(points) and points[index].score >= _LEAST_POINT_SCORE]
    if not known:
        return None
    return sum(point.x for point in known) / len(known), sum(point.y for point in known) / len(known)
