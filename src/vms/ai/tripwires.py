"""Lines that are crossed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vms.ai.geometry import crossing, distance_to_segment, margin
from vms.ai.watching import FORGET_US
from vms.domain.analysis import Tripwire
from vms.domain.shapes import Place
from vms.domain.vision import Occurrence, Scene

# Nothing is concluded from where somebody was longer ago.
_LONGEST_GAP_US = 2_000_000


@dataclass(slots=True)
class _Walk:
    since_us: int
    at_us: int
    known_us: int
    foot: Place
    # Crossings from left to right less those from right to left, since it was last well off the line.
    net: int = 0


class LineCrossings:
    """A tripwire at work.

    Crossings of a foot's way, from sighting to sighting, are summed, one way against the other; what is left of them
    counts once the foot is well off the line (by `margin`). So whoever dithers on the line crosses it once or not at
    all, and whoever comes back crosses it twice. Nothing is concluded over guessed places, over more than two seconds
    unseen, or from one track to another.
    """

    def __init__(self, rule: Tripwire) -> None:
        self._rule = rule
        self._labels = frozenset(rule.labels)
        self._segments = tuple(pairwise(rule.line))
        self._walks: dict[int, _Walk] = {}

    def see(self, scene: Scene) -> list[Occurrence]:
        now = scene.at_us
        found: list[Occurrence] = []
        for track in scene.tracks:
            if self._labels and track.label not in self._labels:
                continue
            walk = self._walks.get(track.number)
            if not track.seen:
                if walk is not None:
                    walk.known_us = now
                continue
            foot = ((track.box.left + track.box.right) / 2, track.box.bottom)
            if walk is None or now - walk.at_us > _LONGEST_GAP_US or walk.since_us != track.since_us:
                self._walks[track.number] = _Walk(track.since_us, now, now, foot)
                continue
            for a, b in self._segments:
                walk.net += crossing(a, b, walk.foot, foot)
            walk.foot, walk.at_us, walk.known_us = foot, now, now
            if walk.net and self._distance(foot, scene.aspect) >= margin(track.box):
                direction = "right" if walk.net > 0 else "left"
                walk.net = 0
                if self._rule.direction in ("both", direction):
                    found.append(
                        Occurrence(
                            self._rule.id,
                            str(track.number),
                            "line.crossed",
                            "instant",
                            now,
                            score=track.score,
                            box=track.box,
                            label=track.label,
                            track=track.number,
                            details={"direction": direction},
                        )
                    )
        gone = [number for number, walk in self._walks.items() if now - walk.known_us > FORGET_US]
        for number in gone:
            del self._walks[number]
        return found

    def end(self, at_us: int) -> list[Occurrence]:  # noqa: ARG002 (nothing of it lasts)
        self._walks.clear()
        return []

    def _distance(self, foot: Place, aspect: float) -> float:
        return min(distance_to_segment(*foot, a, b, aspect) for a, b in self._segments)
