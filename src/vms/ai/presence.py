"""Who is in a zone, without the jitter at its border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vms.ai.geometry import Area, margin
from vms.ai.watching import FORGET_US
from vms.domain.shapes import Place
from vms.domain.vision import Scene, Track

# In so many sightings the foot is in the zone before it counts; and so long it is well outside before it does not.
_SIGHTINGS = 2
_OUTSIDE_US = 1_000_000


@dataclass(slots=True)
class Stay:
    """A track's time in a zone."""

    # As it was last seen in the zone.
    track: Track
    since_us: int
    seen_us: int
    # When something was last known of it: also a guess keeps it.
    known_us: int
    sightings: int = 1
    # Well outside, since when.
    outside_us: int | None = None

    def see(self, track: Track, at_us: int) -> int:
        """Once more in the zone; how many times by now."""
        self.outside_us = None
        self.track, self.seen_us, self.known_us = track, at_us, at_us
        self.sightings += 1
        return self.sightings

    @property
    def counts(self) -> bool:
        return self.sightings >= _SIGHTINGS

    @property
    def until_us(self) -> int:
        """Its end, once it is over."""
        return self.outside_us if self.outside_us is not None else self.seen_us

    def dwell_s(self, until_us: int) -> float:
        return round((until_us - self.since_us) / 1e6, 3)


class Presence:
    """Whose foot is in a zone.

    In: two sightings there. Out: a second well outside (by `margin`; what stays at the border stays as it is), or gone
    from the scenes for two. Guessed places change nothing.
    """

    def __init__(self, zone: Sequence[Place], labels: Iterable[str]) -> None:
        self._area = Area(zone)
        self._labels = frozenset(labels)
        self._stays: dict[int, Stay] = {}

    def see(self, scene: Scene) -> tuple[list[Stay], list[Stay]]:
        """Who came in and who left."""
        now = scene.at_us
        came: list[Stay] = []
        left: list[Stay] = []
        for track in scene.tracks:
            if self._labels and track.label not in self._labels:
                continue
            stay = self._stays.get(track.number)
            if not track.seen:
                if stay is not None:
                    stay.known_us = now
                continue
            x, y = (track.box.left + track.box.right) / 2, track.box.bottom
            if self._area.contains(x, y):
                if stay is None:
                    self._stays[track.number] = Stay(track, now, now, now)
                elif stay.see(track, now) == _SIGHTINGS:
                    came.append(stay)
            elif stay is not None and self._is_over(stay, track, scene):
                del self._stays[track.number]
                if stay.counts:
                    left.append(stay)
        for number in [number for number, stay in self._stays.items() if now - stay.known_us > FORGET_US]:
            stay = self._stays.pop(number)
            if stay.counts:
                left.append(stay)
        return came, left

    def inside(self) -> list[Stay]:
        """Who is in the zone."""
        return [stay for stay in self._stays.values() if stay.counts]

    def clear(self) -> None:
        self._stays.clear()

    def _is_over(self, stay: Stay, track: Track, scene: Scene) -> bool:
        """Whether a stay has ended with a track that is outside."""
        stay.known_us = scene.at_us
        if not stay.counts:
            return True
        if self._area.distance(*track.foot, scene.aspect) <= margin(track.box):
            stay.outside_us = None
            stay.track, stay.seen_us = track, scene.at_us
            return False
        if stay.outside_us is None:
            stay.outside_us = scene.at_us
        return scene.at_us - stay.outside_us >= _OUTSIDE_US
