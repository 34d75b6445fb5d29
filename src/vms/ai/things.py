"""Things that stand: left behind, parked."""

from __future__ import annotations

import math

from vms.ai.presence import Presence
from vms.ai.stillness import Stillness
from vms.ai.watching import Spells
from vms.domain.analysis import Abandoned, Parked
from vms.domain.motion import Box
from vms.domain.vision import Occurrence, Scene

# Nobody within so many of the thing's heights: it is alone. Who only passes, for less than so long, is nobody's owner.
_NEAR_HEIGHTS = 1.5
_PASSES_US = 2_000_000


class _Stands(Stillness):
    """A thing in the zone, and whether it is attended."""

    __slots__ = ("alone_since_us", "began_us", "near_since_us", "stood_since_us")

    def __init__(self, at_us: int, box: Box) -> None:
        super().__init__(at_us, box)
        # Of its occurrence: when it began, and since when it stood by then.
        self.began_us = 0
        self.stood_since_us = at_us
        self.alone_since_us = at_us
        self.near_since_us: int | None = None

    def see_people(self, at_us: int, *, near: bool) -> None:
        if not near:
            self.near_since_us = None
        elif self.near_since_us is None:
            self.near_since_us = at_us
        elif at_us - self.near_since_us >= _PASSES_US:
            self.alone_since_us = at_us


class _StandingThings:
    """One occurrence per thing, from when it has stood for long enough until it moves or is gone."""

    def __init__(self, rule: Abandoned | Parked, type_: str, *, alone: bool) -> None:
        self._presence = Presence(rule.zone, rule.labels)
        self._spells = Spells(rule.id)
        self._things: dict[int, _Stands] = {}
        self._after_us = round(rule.after_s * 1e6)
        self._type = type_
        # Only what nobody is near to.
        self._alone = alone

    def see(self, scene: Scene) -> list[Occurrence]:
        now = scene.at_us
        found: list[Occurrence] = []
        _, left = self._presence.see(scene)
        for stay in left:
            found += self._end(stay.track.number, stay.until_us)
        for stay in self._presence.inside():
            if stay.seen_us != now:
                continue
            track = stay.track
            thing = self._things.get(track.number)
            if thing is None:
                thing = self._things[track.number] = _Stands(stay.since_us, track.box)
            thing.see(now, track.box)
            if self._alone:
                thing.see_people(now, near=_somebody_near(track.box, scene))
            key = str(track.number)
            if key in self._spells and thing.since_us > thing.began_us:
                # It is driven or carried on, within the zone.
                found += self._spell_end(track.number, now)
            since_us = max(thing.since_us, thing.alone_since_us) if self._alone else thing.since_us
            long_enough = thing.here and thing.near_since_us is None and now - since_us >= self._after_us
            if long_enough and key not in self._spells:
                thing.began_us, thing.stood_since_us = now, thing.since_us
                stood_s = round((now - thing.since_us) / 1e6, 3)
                found.append(self._spells.begin(key, self._type, now, track=track, stood_s=stood_s))
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        found = [occurrence for number in sorted(self._things) for occurrence in self._spell_end(number, at_us)]
        self._things.clear()
        self._presence.clear()
        return found

    def _end(self, number: int, at_us: int) -> list[Occurrence]:
        found = self._spell_end(number, at_us)
        self._things.pop(number, None)
        return found

    def _spell_end(self, number: int, at_us: int) -> list[Occurrence]:
        thing = self._things.get(number)
        if thing is None:
            return []
        return self._spells.end(str(number), at_us, stood_s=round((at_us - thing.stood_since_us) / 1e6, 3))


class AbandonedThings(_StandingThings):
    """What was left behind."""

    def __init__(self, rule: Abandoned) -> None:
        super().__init__(rule, "object.abandoned", alone=True)


class ParkedThings(_StandingThings):
    """Vehicles that stand."""

    def __init__(self, rule: Parked) -> None:
        super().__init__(rule, "object.parked", alone=False)


def _somebody_near(box: Box, scene: Scene) -> bool:
    """Whether a person stands next to a thing, on the ground."""
    reach = _NEAR_HEIGHTS * (box.bottom - box.top)
    for track in scene.tracks:
        if track.label != "person":
            continue
        x = (track.box.left + track.box.right) / 2
        aside = max(box.left - x, x - box.right, 0.0) * scene.aspect
        if math.hypot(aside, track.box.bottom - box.bottom) <= reach:
            return True
    return False
