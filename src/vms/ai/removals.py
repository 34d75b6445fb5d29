"""Things that stood there and are gone."""

from __future__ import annotations

from dataclasses import dataclass

from vms.ai.geometry import Area, box_area, common_area
from vms.ai.standing import LIVING
from vms.ai.stillness import Stillness, same_place
from vms.ai.watching import FORGET_US
from vms.domain.analysis import Removed
from vms.domain.motion import Box
from vms.domain.vision import Occurrence, Scene, Track

# A thing is known to stand there after so long.
_KNOWN_AFTER_US = 30_000_000
# Something covers so much of where it stood: it may still be behind.
_HIDDEN_SHARE = 0.2
# A detector that found it again after a time has to miss it for so many times longer.
_LONGER = 2
# What is missing is forgotten after an hour; and of very many things, that which is missing longest.
_FORGOTTEN_US = 3_600_000_000
_MOST_THINGS = 512


@dataclass(slots=True)
class _Thing:
    track: Track
    stillness: Stillness
    known_us: int
    # Where it is known to stand, when it was last seen there, and since when its place is to be seen without it.
    place: Box | None = None
    here_us: int = 0
    gone_since_us: int | None = None
    # The longest time it was missing and came back.
    longest_us: int = 0
    reported: bool = False


class RemovedThings:
    """A thing that stood for half a minute is not found any more, for so long, while nothing stands before its place;
    or it has been elsewhere for so long. A thing that comes back was not gone: the next time has to be twice as long.
    """

    def __init__(self, rule: Removed) -> None:
        self._rule = rule
        self._labels = frozenset(rule.labels)
        self._area = Area(rule.zone)
        self._after_us = round(rule.after_s * 1e6)
        self._things: dict[int, _Thing] = {}

    def see(self, scene: Scene) -> list[Occurrence]:
        now = scene.at_us
        for track in scene.tracks:
            # Without labels it is of things: whoever stands up and goes was not removed.
            if (track.label not in self._labels) if self._labels else (track.label in LIVING):
                continue
            self._see_thing(track, now)
        found: list[Occurrence] = []
        for number, thing in list(self._things.items()):
            if thing.place is None:
                if now - thing.known_us > FORGET_US:
                    del self._things[number]
            elif now - thing.here_us > _FORGOTTEN_US:
                del self._things[number]
            elif thing.here_us < now and not thing.reported and self._is_gone(thing, scene):
                thing.reported = True
                found.append(_removed(self._rule.id, thing, now))
        for number in sorted(self._things, key=lambda number: self._things[number].known_us)[:-_MOST_THINGS]:
            del self._things[number]
        return found

    def end(self, at_us: int) -> list[Occurrence]:  # noqa: ARG002 (nothing of it lasts)
        self._things.clear()
        return []

    def _see_thing(self, track: Track, now: int) -> None:
        thing = self._things.get(track.number)
        if thing is None:
            if track.seen:
                self._things[track.number] = _Thing(track, Stillness(now, track.box), now)
            return
        thing.known_us = now
        if not track.seen:
            return
        thing.track = track
        thing.stillness.see(now, track.box)
        if thing.place is not None and same_place(thing.place, track.box):
            if thing.reported or thing.gone_since_us is not None:
                thing.longest_us = max(thing.longest_us, now - thing.here_us)
            thing.here_us, thing.gone_since_us, thing.reported = now, None, False
        elif (thing.place is None or thing.reported) and thing.stillness.still_us(now) >= _KNOWN_AFTER_US:
            box = thing.stillness.box
            if self._area.contains((box.left + box.right) / 2, box.bottom):
                thing.place, thing.here_us, thing.gone_since_us = box, now, None
                thing.longest_us, thing.reported = 0, False

    def _is_gone(self, thing: _Thing, scene: Scene) -> bool:
        place = thing.place
        assert place is not None  # noqa: S101 (asked for what stood)
        hidden = _HIDDEN_SHARE * box_area(place)
        for track in scene.tracks:
            if track.number != thing.track.number and common_area(track.box, place) >= hidden:
                thing.gone_since_us = None
                return False
        if thing.gone_since_us is None:
            thing.gone_since_us = scene.at_us
        return scene.at_us - thing.gone_since_us >= max(self._after_us, _LONGER * thing.longest_us)


def _removed(rule_id: str, thing: _Thing, at_us: int) -> Occurrence:
    return Occurrence(
        rule_id,
        str(thing.track.number),
        "object.removed",
        "instant",
        at_us,
        score=thing.track.score,
        box=thing.place,
        label=thing.track.label,
        track=thing.track.number,
        details={"missing_s": round((at_us - thing.here_us) / 1e6, 3)},
    )
