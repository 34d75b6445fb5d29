"""What stands keeps its number: a parked car that the detector loses and finds again is the same car.

Detectors miss things that stand there all day for seconds or minutes, and trackers then give them new numbers. Each
time the rules would see something new. So what has stood in a place is remembered there for a while: it stays in the
scene as a guess, and what appears in its place is taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vms.ai.geometry import overlap
from vms.ai.stillness import Stillness, same_place
from vms.domain.motion import Box
from vms.domain.vision import Scene, Track

# Still for so long, it stands.
_STANDS_US = 5_000_000
# What moves by itself is kept for so long where it was lost; things for as long as they stood, at most ten minutes.
LIVING = frozenset(["person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"])
_LIVING_KEPT_US = 10_000_000
_LEAST_KEPT_US = 30_000_000
_MOST_KEPT_US = 600_000_000
# A track that went away from a standing thing may have been torn off by what passed before it: for so long, what
# appears in the place is the thing.
_TORN_OFF_US = 10_000_000
_SAME_PLACE = 0.5
_MOST_MISSING = 256
# Detectors waver between these.
_KINDS = {
    label: kind
    for kind, labels in {
        "vehicle": ("car", "truck", "bus"),
        "two wheels": ("bicycle", "motorcycle"),
        "bag": ("backpack", "handbag", "suitcase"),
    }.items()
    for label in labels
}


@dataclass(slots=True)
class _Thing:
    number: int
    # The number of the tracker's.
    raw: int
    # Its own: what is taken for it may be called otherwise.
    label: str
    track: Track
    stillness: Stillness
    seen_us: int
    # Where it stood last, since when and until when.
    place: Box | None = None
    stood_since_us: int = 0
    stood_us: int = 0

    @property
    def kind(self) -> str:
        return _KINDS.get(self.label, self.label)

    @property
    def stands(self) -> bool:
        """Where it was last seen."""
        return self.place is self.stillness.box and self.stillness.here

    def see(self, track: Track, at_us: int) -> bool:
        """Whether it stands since now."""
        if track.number == self.number:
            self.label = track.label
        self.track, self.seen_us = track, at_us
        self.stillness.see(at_us, track.box)
        if self.stillness.still_us(at_us) < _STANDS_US:
            return False
        began = self.place is not self.stillness.box
        self.place, self.stood_since_us, self.stood_us = self.stillness.box, self.stillness.since_us, at_us
        return began

    def kept_us(self) -> int:
        """How long it is remembered once it is missing."""
        if not self.stands:
            return 0
        if self.label in LIVING:
            return _LIVING_KEPT_US
        return min(max(self.stood_us - self.stood_since_us, _LEAST_KEPT_US), _MOST_KEPT_US)


class Standing:
    """A camera's standing things."""

    def __init__(self) -> None:
        self._things: dict[int, _Thing] = {}
        self._numbers: dict[int, int] = {}

    def see(self, scene: Scene) -> Scene:
        """The scene with tracks in order of their numbers: those of standing things are what they were first, and
        standing things that are missing are in it as guesses."""
        present = {track.number: track for track in sorted(scene.tracks, key=lambda track: track.number)}
        for number, track in present.items():
            if number not in self._numbers:
                self._meet(track, present, scene.at_us)
        tracks: list[Track] = []
        for raw, track in present.items():
            thing = self._things[self._numbers[raw]]
            if track.seen and thing.see(track, scene.at_us):
                self._forget_others_at(thing, present)
            tracks.append(track if raw == thing.number else replace(track, number=thing.number, label=thing.label))
        tracks += self._missing(present, scene.at_us)
        tracks.sort(key=lambda track: track.number)
        return replace(scene, tracks=tuple(tracks))

    def clear(self) -> None:
        self._things.clear()
        self._numbers.clear()

    def _meet(self, track: Track, present: dict[int, Track], at_us: int) -> None:
        """A track that is new: a standing thing, or something else."""
        thing = self._thing_at(track, present, at_us) if track.seen else None
        if thing is None:
            number = self._free_number(track.number)
            self._things[number] = _Thing(number, track.number, track.label, track, Stillness(at_us, track.box), at_us)
            self._numbers[track.number] = number
            return
        torn_off = present.get(thing.raw)
        if torn_off is not None:
            # They change numbers.
            number = self._free_number(track.number)
            self._things[number] = _Thing(
                number, thing.raw, torn_off.label, torn_off, Stillness(at_us, torn_off.box), at_us
            )
            self._numbers[thing.raw] = number
        else:
            self._numbers.pop(thing.raw, None)
        thing.raw = track.number
        self._numbers[track.number] = thing.number
        assert thing.place is not None  # noqa: S101 (it stood)
        thing.stillness = Stillness(thing.stood_since_us, thing.place)

    def _thing_at(self, track: Track, present: dict[int, Track], at_us: int) -> _Thing | None:
        """The standing thing that appears anew in this track."""
        kind = _KINDS.get(track.label, track.label)
        best, most = None, _SAME_PLACE
        for thing in self._things.values():
            if thing.place is None or thing.kind != kind:
                continue
            own = present.get(thing.raw)
            if own is not None and own.seen and same_place(thing.place, own.box):
                continue
            if ((own is not None and own.seen) or not thing.stands) and at_us - thing.stood_us > _TORN_OFF_US:
                continue
            share = overlap(thing.place, track.box)
            if share > most or (share == most and best is not None and thing.number < best.number):
                best, most = thing, share
        return best

    def _free_number(self, raw: int) -> int:
        """The track's own number, unless a standing thing goes by it; then that under which the tracker knows the thing
        now, which nothing else goes by."""
        while raw in self._things:
            raw = self._things[raw].raw
        return raw

    def _forget_others_at(self, thing: _Thing, present: dict[int, Track]) -> None:
        """Where something stands, nothing else does that is missing."""
        for other in list(self._things.values()):
            if (
                other is not thing
                and other.raw not in present
                and other.kind == thing.kind
                and other.place is not None
                and overlap(other.place, thing.stillness.box) >= _SAME_PLACE
            ):
                self._forget(other)

    def _missing(self, present: dict[int, Track], at_us: int) -> list[Track]:
        """Guesses of the things that are missing; those that are missing for too long are forgotten."""
        missing = [thing for thing in self._things.values() if thing.raw not in present]
        missing.sort(key=lambda thing: thing.seen_us)
        guesses = []
        for nth, thing in enumerate(missing):
            if len(missing) - nth > _MOST_MISSING or at_us - thing.seen_us > thing.kept_us():
                self._forget(thing)
            else:
                guesses.append(replace(thing.track, number=thing.number, label=thing.label, at_us=at_us, seen=False))
        return guesses

    def _forget(self, thing: _Thing) -> None:
        del self._things[thing.number]
        self._numbers.pop(thing.raw, None)
