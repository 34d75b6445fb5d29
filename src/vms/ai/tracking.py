"""Following things from picture to picture, at any distance in time: ByteTrack's method (Zhang et al., 2022: sure
findings are paired with tracks first, unsure ones with what is left) for pictures that come when they come.

docs/adr/0011-tracker.md says why and how it compares. Pure: time comes in with the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vms.ai.assignment import assign
from vms.ai.kalman import MovingBox
from vms.domain.motion import Box
from vms.domain.vision import Finding, KeyPoint, Track

# Findings that are less sure than `least_score`, down to this share of it, keep a track alive but never begin one.
UNSURE_SHARE = 0.4
# A track is one from its second sighting on, when so much time lies between its first and its last.
_CONFIRMED_US = 200_000
# A first sighting waits for so long for a second one.
_TENTATIVE_US = 750_000
# What is lost is given for so long, with `seen` false.
_GIVEN_US = 1_500_000
# It can be found again for so long, and in the next picture where that comes within:
_LOST_US = 2_000_000
_LONGEST_STEP_US = 10_000_000
# What stayed within this share of its longer side for so long stands. It can be found again at its place for as long as
# it stood, but no longer than:
_STANDING_DISTANCE = 0.25
_STANDING_US = 2_000_000
_LOST_STANDING_US = 60_000_000
# A sighting is a track's where it is within so many σ of its expected place, at most so many of its longer sides; or
# where the boxes overlap so much.
_REACH_SIGMA = 3.0
_LARGEST_REACH = 2.0
_OVERLAP = 0.3
# … and the boxes' sizes (√area) differ by no more than this factor.
_LARGEST_GROWTH = 2.0
# Unsure sightings, and what stood still and comes back, must overlap.
_UNSURE_OVERLAP = 0.2
_STANDING_OVERLAP = 0.5
# A finding that overlaps so much with a surer one of its kind is the same thing.
_SAME_OVERLAP = 0.7
# What pairing costs, where 0 is the very box and 1 is just within reach: another label of the same kind, and each
# second for which the track was not seen.
_OTHER_LABEL = 0.2
_LOST_COST = 0.2
_MOST_GAIN = 2.0

# Labels that detectors take for each other.
_KINDS = (
    frozenset({"car", "truck", "bus", "train"}),
    frozenset({"bicycle", "motorcycle"}),
    frozenset({"backpack", "handbag", "suitcase"}),
    frozenset({"cat", "dog", "horse", "sheep", "cow", "bear"}),
)
_KIND_OF = {label: min(kind) for kind in _KINDS for label in kind}


@dataclass(frozen=True)
class _Sighting:
    """A finding in the tracker's units: picture heights."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    finding: Finding


class _Followed:
    """A track in the making, or made."""

    def __init__(self, sighting: _Sighting, at_us: int) -> None:
        self.number = 0
        self.kind = sighting.kind
        self.since_us = self.seen_us = self.at_us = at_us
        self.place = MovingBox(sighting.x, sighting.y, sighting.width, sighting.height)
        self.score = sighting.finding.score
        self.points: tuple[KeyPoint, ...] = sighting.finding.points
        # Where it was when it last moved on, and when.
        self._stood_x, self._stood_y, self._stood_since_us = sighting.x, sighting.y, at_us
        self._votes = {sighting.finding.label: sighting.finding.score}

    @property
    def label(self) -> str:
        """What most of its sightings were called, sure ones counting more."""
        return max(self._votes, key=lambda label: self._votes[label])

    def wait(self, at_us: int) -> None:
        # What stands and is lost is expected where it stood, not where the noise of its last boxes drives it.
        if not (self.lost_us > 0 and self._stood_us >= _STANDING_US):
            self.place.wait((at_us - self.at_us) / 1e6)
        self.at_us = at_us

    def see(self, sighting: _Sighting) -> None:
        self.place.see(sighting.x, sighting.y, sighting.width, sighting.height)
        self.seen_us = self.at_us
        self.score = sighting.finding.score
        self.points = sighting.finding.points
        label = sighting.finding.label
        self._votes[label] = self._votes.get(label, 0.0) + sighting.finding.score
        moved = math.hypot(self.place.x - self._stood_x, self.place.y - self._stood_y)
        if moved > _STANDING_DISTANCE * self.place.scale:
            self._stood_x, self._stood_y, self._stood_since_us = self.place.x, self.place.y, self.at_us

    @property
    def lost_us(self) -> int:
        return self.at_us - self.seen_us

    @property
    def stands(self) -> bool:
        """It stood for longer than it is lost, so it may still be there."""
        return self._stood_us >= _STANDING_US and self.lost_us <= min(_LOST_STANDING_US, self._stood_us)

    @property
    def _stood_us(self) -> int:
        return self.seen_us - self._stood_since_us


class _Rectangle(Protocol):
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def width(self) -> float: ...
    @property
    def height(self) -> float: ...


_Gain = Callable[[_Followed, _Sighting], float]


class Tracker:
    """What moves through one camera's picture.

    `least_score` is what a finding needs to begin a track; findings of `unsure_score` and more are worth handing in.
    `aspect` is the picture's width over its height. Tracks are
    numbered from `after` + 1 on.
    """

    def __init__(self, *, least_score: float, aspect: float = 16 / 9, after: int = 0) -> None:
        self._least_score = least_score
        self._aspect = aspect
        self._at_us: int | None = None
        self._tracks: list[_Followed] = []
        self._tentative: list[_Followed] = []
        self._last_number = after

    @property
    def last_number(self) -> int:
        """That of the newest track."""
        return self._last_number

    @property
    def unsure_score(self) -> float:
        """Findings below it are of no use to the tracker."""
        return self._least_score * UNSURE_SHARE

    def see(self, findings: Sequence[Finding], at_us: int) -> tuple[Track, ...]:
        """The tracks as of this picture: those that it shows, and those that it should show but were lost lately.

        Boxes of no size or with numbers that are none are left out. Where time goes back, everything begins anew but
        the numbers, which never come twice.
        """
        step_us = 0 if self._at_us is None else at_us - self._at_us
        if step_us < 0:
            self._tracks, self._tentative = [], []
        self._at_us = at_us
        for followed in (*self._tracks, *self._tentative):
            followed.wait(at_us)
        lost_us = max(_LOST_US, min(step_us, _LONGEST_STEP_US))
        self._tracks = [track for track in self._tracks if track.lost_us <= lost_us or track.stands]
        sightings = self._sightings(findings)
        sure = [sighting for sighting in sightings if sighting.finding.score >= self._least_score]
        unsure = [sighting for sighting in sightings if sighting.finding.score < self._least_score]

        moving = [track for track in self._tracks if track.lost_us <= lost_us]
        sure, missed = self._pair(sure, moving, _gain)
        _, missed = self._pair(unsure, missed, _gain_of_unsure)
        standing = [track for track in self._tracks if track.lost_us > 0 and track.stands]
        sure, _ = self._pair(sure, standing, _gain_of_standing)
        sure, missed = self._pair(sure, self._tentative, _gain)
        self._confirm(gone=[track for track in missed if track.lost_us > _TENTATIVE_US])
        self._tentative += [_Followed(sighting, at_us) for sighting in sure if not self._known(sighting)]
        return tuple(self._given())

    def _sightings(self, findings: Iterable[Finding]) -> list[_Sighting]:
        sightings: list[_Sighting] = []
        for finding in sorted(findings, key=lambda finding: -finding.score):
            box = finding.box
            width, height = (box.right - box.left) * self._aspect, box.bottom - box.top
            x, y = (box.left + box.right) / 2 * self._aspect, (box.top + box.bottom) / 2
            if not all(map(math.isfinite, (x, y, width, height, finding.score))) or width <= 0 or height <= 0:
                continue
            if finding.score < self.unsure_score:
                continue
            sighting = _Sighting(x, y, width, height, _KIND_OF.get(finding.label, finding.label), finding)
            if not any(
                other.kind == sighting.kind and _overlap(other, sighting) >= _SAME_OVERLAP for other in sightings
            ):
                sightings.append(sighting)
        return sightings

    def _pair(
        self, sightings: list[_Sighting], tracks: list[_Followed], gain: _Gain
    ) -> tuple[list[_Sighting], list[_Followed]]:
        """Gives tracks the sightings that are theirs; those of both that have no other."""
        gains: dict[tuple[int, int], float] = {}
        for row, track in enumerate(tracks):
            for column, sighting in enumerate(sightings):
                if track.kind == sighting.kind:
                    gained = gain(track, sighting)
                    if gained > 0:
                        gains[row, column] = gained
        pairs = assign(gains)
        for row, column in pairs:
            tracks[row].see(sightings[column])
        rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
        return (
            [sighting for column, sighting in enumerate(sightings) if column not in columns],
            [track for row, track in enumerate(tracks) if row not in rows],
        )

    def _confirm(self, gone: list[_Followed]) -> None:
        """First sightings become tracks, wait, or are forgotten."""
        waiting = []
        for track in self._tentative:
            if track.seen_us - track.since_us >= _CONFIRMED_US:
                self._last_number += 1
                track.number = self._last_number
                self._tracks.append(track)
            elif track not in gone:
                waiting.append(track)
        self._tentative = waiting

    def _known(self, sighting: _Sighting) -> bool:
        """It is the same thing as a track that this picture shows."""
        return any(
            track.lost_us == 0 and track.kind == sighting.kind and _overlap(track.place, sighting) >= _SAME_OVERLAP
            for track in self._tracks
        )

    def _given(self) -> Iterable[Track]:
        for track in self._tracks:
            if track.lost_us > _GIVEN_US:
                continue
            box = self._box(track.place)
            if box.right - box.left <= 0 or box.bottom - box.top <= 0:
                continue
            yield Track(
                number=track.number,
                label=track.label,
                score=track.score,
                box=box,
                since_us=track.since_us,
                at_us=track.at_us,
                seen=track.lost_us == 0,
                points=track.points if track.lost_us == 0 else (),
            )

    def _box(self, place: MovingBox) -> Box:
        x, half_width, half_height = place.x / self._aspect, place.width / self._aspect / 2, place.height / 2
        return Box(
            _within(x - half_width),
            _within(place.y - half_height),
            _within(x + half_width),
            _within(place.y + half_height),
        )


def _gain(track: _Followed, sighting: _Sighting) -> float:
    """Of a pair: 0 where it cannot be. Near is better, overlapping is better, seen lately is better."""
    place = track.place
    scale = place.scale
    distance = math.hypot(sighting.x - place.x, sighting.y - place.y)
    largest = _LARGEST_REACH * scale
    if distance > largest or not _similar_size(place, sighting):
        return 0.0
    overlap = _overlap(place, sighting)
    if overlap < _OVERLAP and distance > _REACH_SIGMA * place.spread:
        return 0.0
    cost = (1 - overlap) / 2 + distance / largest / 2 + _LOST_COST * track.lost_us / 1e6
    if track.label != sighting.finding.label:
        cost += _OTHER_LABEL
    return _MOST_GAIN - cost


def _gain_of_unsure(track: _Followed, sighting: _Sighting) -> float:
    """As `_gain`, of what overlaps."""
    return _gain(track, sighting) if _overlap(track.place, sighting) >= _UNSURE_OVERLAP else 0.0


def _gain_of_standing(track: _Followed, sighting: _Sighting) -> float:
    """As `_gain`, of what is where something stood."""
    return _overlap(track.place, sighting) if _overlap(track.place, sighting) >= _STANDING_OVERLAP else 0.0


def _similar_size(a: _Rectangle, b: _Rectangle) -> bool:
    factor = math.sqrt((a.width * a.height) / (b.width * b.height))
    return 1 / _LARGEST_GROWTH <= factor <= _LARGEST_GROWTH


def _overlap(a: _Rectangle, b: _Rectangle) -> float:
    """Intersection over union."""
    width = min(a.x + a.width / 2, b.x + b.width / 2) - max(a.x - a.width / 2, b.x - b.width / 2)
    if width <= 0:
        return 0.0
    height = min(a.y + a.height / 2, b.y + b.height / 2) - max(a.y - a.height / 2, b.y - b.height / 2)
    if height <= 0:
        return 0.0
    both = width * height
    return both / (a.width * a.height + b.width * b.height - both)


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))
