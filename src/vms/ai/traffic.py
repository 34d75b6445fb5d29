"""How things move through a zone: against the arrow, too fast."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from vms.ai.geometry import Plane
from vms.ai.presence import Presence, Stay
from vms.ai.trails import Trail
from vms.ai.watching import Spells
from vms.domain.analysis import Speed, WrongWay
from vms.domain.shapes import Place
from vms.domain.vision import Occurrence, Scene

# So many sightings, one after the other, show it before it counts.
_SIGHTINGS = 2
# Slower is standing: in heights of its own, and of the picture, per second.
_LEAST_OWN_HEIGHTS = 0.2
_LEAST_HEIGHTS = 0.015
_KMH = 3.6


class _Movers(ABC):
    """One occurrence per track that moves as it shall not, until it leaves the zone."""

    def __init__(self, rule: WrongWay | Speed, type_: str) -> None:
        self._presence = Presence(rule.zone, rule.labels)
        self._spells = Spells(rule.id)
        self._type = type_
        self._trails: dict[int, Trail] = {}
        self._shown: dict[int, int] = {}

    def see(self, scene: Scene) -> list[Occurrence]:
        now = scene.at_us
        found: list[Occurrence] = []
        _, left = self._presence.see(scene)
        for stay in left:
            found += self._end(stay.track.number, stay.until_us)
        for stay in self._presence.inside():
            number, track = stay.track.number, stay.track
            # At the border: as it was.
            if stay.seen_us != now or stay.outside_us is not None:
                continue
            place = self._place(stay, scene.aspect)
            if place is None:
                continue
            trail = self._trails.get(number)
            if trail is None:
                trail = self._trails[number] = Trail()
            trail.add(now, place, track.since_us)
            velocity = trail.velocity()
            details = self._wrong(number, velocity, stay, scene.aspect) if velocity is not None else None
            self._shown[number] = self._shown.get(number, 0) + 1 if details is not None else 0
            if details is not None and self._shown[number] >= _SIGHTINGS and str(number) not in self._spells:
                found.append(self._spells.begin(str(number), self._type, now, track=track, **details))
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        found = [
            occurrence
            for number in sorted(self._trails)
            for occurrence in self._spells.end(str(number), at_us, **self._last(number))
        ]
        self._presence.clear()
        self._trails.clear()
        self._shown.clear()
        return found

    def _end(self, number: int, at_us: int) -> list[Occurrence]:
        found = self._spells.end(str(number), at_us, **self._last(number))
        self._trails.pop(number, None)
        self._shown.pop(number, None)
        return found

    @abstractmethod
    def _place(self, stay: Stay, aspect: float) -> Place | None:
        """Where its foot is, in the plane that the rule is about."""

    @abstractmethod
    def _wrong(self, number: int, velocity: Place, stay: Stay, aspect: float) -> dict[str, Any] | None:
        """What the event shall say, where it moves as it shall not."""

    def _last(self, number: int) -> dict[str, Any]:  # noqa: ARG002 (for those that know more)
        """What the event shall say at its end."""
        return {}


class WrongWays(_Movers):
    """Whoever moves against the arrow, by its opposite within the tolerance."""

    def __init__(self, rule: WrongWay) -> None:
        super().__init__(rule, "way.wrong")
        self._arrow = rule.arrow
        self._least_cosine = math.cos(math.radians(rule.tolerance_degrees))

    def _place(self, stay: Stay, aspect: float) -> Place | None:
        return stay.track.foot.x * aspect, stay.track.foot.y

    def _wrong(self, number: int, velocity: Place, stay: Stay, aspect: float) -> dict[str, Any] | None:  # noqa: ARG002
        box = stay.track.box
        pace = math.hypot(*velocity)
        if pace < max(_LEAST_OWN_HEIGHTS * (box.bottom - box.top), _LEAST_HEIGHTS):
            return None
        (x0, y0), (x1, y1) = self._arrow
        along_x, along_y = (x1 - x0) * aspect, y1 - y0
        cosine = -(velocity[0] * along_x + velocity[1] * along_y) / (pace * math.hypot(along_x, along_y))
        if cosine < self._least_cosine:
            return None
        return {"degrees": round(math.degrees(math.acos(max(-1.0, -cosine))), 1)}


class Speeds(_Movers):
    """Whoever is faster than the limit; the event's end tells the highest speed."""

    def __init__(self, rule: Speed) -> None:
        super().__init__(rule, "speed.exceeded")
        self._plane = Plane(rule.corners, rule.metres)
        self._limit_kmh = rule.limit_kmh
        self._highest: dict[int, float] = {}

    def _place(self, stay: Stay, aspect: float) -> Place | None:  # noqa: ARG002 (the plane's corners know it)
        return self._plane.place(*stay.track.foot)

    def _wrong(self, number: int, velocity: Place, stay: Stay, aspect: float) -> dict[str, Any] | None:  # noqa: ARG002
        kmh = round(math.hypot(*velocity) * _KMH, 1)
        if kmh <= self._limit_kmh:
            return None
        self._highest[number] = max(kmh, self._highest.get(number, 0.0))
        return {"kmh": kmh, "limit_kmh": self._limit_kmh}

    def _last(self, number: int) -> dict[str, Any]:
        highest = self._highest.pop(number, None)
        return {} if highest is None else {"kmh": highest}
