"""How many are in a zone: crowds, and places that are full."""

from __future__ import annotations

from vms.ai.presence import Presence, Stay
from vms.ai.watching import Lasting, Spells
from vms.domain.analysis import Crowding, Occupancy
from vms.domain.motion import Box
from vms.domain.vision import Occurrence, Scene

# Fewer for so long: the crowd is gone, the place no longer full.
_OVER_US = 2_000_000
# More for so long: the place is full, and it was not two who passed in the door.
_FULL_AFTER_US = 2_000_000


class _Gathering:
    """At least so many in a zone, for so long."""

    def __init__(self, rule: Crowding | Occupancy, least: int, after_us: int, type_: str) -> None:
        self._presence = Presence(rule.zone, rule.labels)
        self._spells = Spells(rule.id)
        self._least = least
        self._lasting = Lasting(after_us, _OVER_US)
        self._type = type_
        self._most = 0

    def see(self, scene: Scene) -> list[Occurrence]:
        self._presence.see(scene)
        inside = self._presence.inside()
        counts = self._lasting.see(scene.at_us, len(inside) >= self._least)
        if counts and not self._spells:
            self._most = len(inside)
            box = _around(inside)
            return [self._spells.begin("all", self._type, scene.at_us, box=box, count=self._most)]
        if counts:
            self._most = max(self._most, len(inside))
            return []
        return self._spells.end("all", self._lasting.held_us, most=self._most)

    def end(self, at_us: int) -> list[Occurrence]:
        self._presence.clear()
        self._lasting.reset()
        return self._spells.end_all(at_us)


class Crowds(_Gathering):
    """Many in one place."""

    def __init__(self, rule: Crowding) -> None:
        super().__init__(rule, rule.count, round(rule.after_s * 1e6), "zone.crowded")


class FullPlaces(_Gathering):
    """More in a place than it may hold."""

    def __init__(self, rule: Occupancy, most: int) -> None:
        super().__init__(rule, most + 1, _FULL_AFTER_US, "zone.occupancy")


def _around(stays: list[Stay]) -> Box | None:
    box: Box | None = None
    for stay in stays:
        box = stay.track.box if box is None else box.with_(stay.track.box)
    return box
