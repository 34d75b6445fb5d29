"""Rules under any walk: what is moved, mirrored or listed otherwise is judged alike, and all that begins ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.scenes import SECOND_US, START_US, assert_paired, run, scene, settings_of, track
from vms.ai.geometry import Area, crossing
from vms.ai.presence import Presence
from vms.ai.rules import Rules
from vms.ai.tripwires import LineCrossings
from vms.ai.zones import ZoneEntries
from vms.domain.analysis import AnalysisSettings, Tripwire, ZoneEntry
from vms.domain.vision import Occurrence, Scene, Track

_place = st.tuples(st.integers(20, 80), st.integers(40, 80)).map(lambda place: (place[0] / 100, place[1] / 100))
_walks = st.lists(_place, min_size=2, max_size=30)
# Over the whole height: whoever gets from one side to the other crosses it.
_WALL = ((0.5, 1.0), (0.5, 0.0))
_ZONE = ((0.4, 0.5), (0.6, 0.5), (0.6, 0.7), (0.4, 0.7))


def _tripwire(line: Sequence[tuple[float, float]]) -> LineCrossings:
    return LineCrossings(Tripwire(id="r", line=tuple(line)))


def _scenes(walk: Sequence[tuple[float, float]], move: tuple[float, float] = (0.0, 0.0)) -> list[Scene]:
    return [scene(nth * 0.2, track(x + move[0], y + move[1])) for nth, (x, y) in enumerate(walk)]


def _directions(found: Sequence[Occurrence]) -> list[str]:
    return [occurrence.details["direction"] for occurrence in found]


@settings(deadline=None)
@given(_walks)
def test_crossings_one_way_less_the_other_are_the_change_of_side(walk: list[tuple[float, float]]) -> None:
    # It begins and ends well off the line.
    assume(abs(walk[0][0] - 0.5) > 0.05 and abs(walk[-1][0] - 0.5) > 0.05)
    found = _directions(run(_tripwire(_WALL), _scenes(walk)))
    assert found.count("right") - found.count("left") == (walk[-1][0] > 0.5) - (walk[0][0] > 0.5)
    # One way, then the other.
    assert all(one != other for one, other in pairwise(found))


@settings(deadline=None)
@given(_walks)
def test_a_mirrored_walk_crosses_the_other_way(walk: list[tuple[float, float]]) -> None:
    # What lies on the line itself has no mirror image.
    assume(all(x != 0.5 for x, _ in walk))
    mirrored = [(1 - x, y) for x, y in walk]
    other = {"left": "right", "right": "left"}
    found = _directions(run(_tripwire(_WALL), _scenes(walk)))
    assert _directions(run(_tripwire(_WALL), _scenes(mirrored))) == [other[direction] for direction in found]


@settings(deadline=None)
@given(_walks)
def test_a_line_drawn_from_its_other_end_is_crossed_the_other_way(walk: list[tuple[float, float]]) -> None:
    assume(all(x != 0.5 for x, _ in walk))
    other = {"left": "right", "right": "left"}
    found = _directions(run(_tripwire(_WALL), _scenes(walk)))
    assert _directions(run(_tripwire(_WALL[::-1]), _scenes(walk))) == [other[direction] for direction in found]


@settings(deadline=None)
@given(_walks, st.integers(-8, 8), st.integers(-8, 8))
def test_a_line_and_a_walk_that_are_moved_together_cross_as_before(
    walk: list[tuple[float, float]], right: int, down: int
) -> None:
    # By powers of two, so that no sum is rounded to the other side of a line.
    move = (right / 64, down / 64)
    walk = [(round(x * 64) / 64, round(y * 64) / 64) for x, y in walk]
    line = ((0.5, 0.25), (0.5, 0.75), (0.625, 0.8125))
    moved = [(x + move[0], y + move[1]) for x, y in line]
    found = _directions(run(_tripwire(line), _scenes(walk)))
    assert _directions(run(_tripwire(moved), _scenes(walk, move))) == found


@settings(deadline=None)
@given(_walks, st.integers(-8, 8), st.integers(-8, 8))
def test_a_zone_and_a_walk_that_are_moved_together_meet_as_before(
    walk: list[tuple[float, float]], right: int, down: int
) -> None:
    move = (right / 64, down / 64)
    walk = [(round(x * 64) / 64, round(y * 64) / 64) for x, y in walk]
    zone = tuple((round(x * 64) / 64, round(y * 64) / 64) for x, y in _ZONE)

    def visits(zone: Sequence[tuple[float, float]], scenes: list[Scene]) -> list[tuple[str, int]]:
        watch = ZoneEntries(ZoneEntry(id="r", zone=tuple(zone)))
        return [(occurrence.phase, occurrence.at_us) for occurrence in run(watch, scenes)]

    moved = tuple((x + move[0], y + move[1]) for x, y in zone)
    assert visits(moved, _scenes(walk, move)) == visits(zone, _scenes(walk))


@settings(deadline=None)
@given(st.lists(st.floats(-0.0079, 0.0079), min_size=1, max_size=100), st.booleans())
def test_jitter_is_never_more_than_one_event(shakes: list[float], through: bool) -> None:
    walk = [(0.4, 0.6), *((0.5 + shake, 0.6) for shake in shakes), (0.6 if through else 0.4, 0.6)]
    assert len(run(_tripwire(_WALL), _scenes(walk))) == (1 if through else 0)
    border = [(0.4 + shake, 0.6) for shake in shakes]
    watch = ZoneEntries(ZoneEntry(id="r", zone=_ZONE))
    assert len(run(watch, _scenes(border))) <= 1


@settings(deadline=None)
@given(_place, _place, _place, _place)
def test_the_way_back_crosses_back(
    a: tuple[float, float], b: tuple[float, float], before: tuple[float, float], now: tuple[float, float]
) -> None:
    assert crossing(a, b, now, before) == -crossing(a, b, before, now)


@settings(deadline=None)
@given(st.integers(0, 996), st.integers(0, 996))
def test_every_place_is_in_one_of_the_parts_of_the_picture(column: int, row: int) -> None:
    # None of them lies on an edge.
    x, y = (column + 0.5) / 997, (row + 0.5) / 997
    upper = Area(((0, 0), (1, 0), (0.7, 0.6), (0.2, 0.3), (0, 0.5)))
    lower = Area(((0, 0.5), (0.2, 0.3), (0.7, 0.6), (1, 0), (1, 1), (0, 1)))
    assert upper.contains(x, y) != lower.contains(x, y)


_KINDS = ("person", "car", "backpack")


@st.composite
def _busy(draw: st.DrawFn) -> list[Scene]:
    """Some tracks that come, wander, stand, are guessed at and vanish; pictures at uneven times."""
    count = draw(st.integers(1, 5))
    labels = [draw(st.sampled_from(_KINDS)) for _ in range(count)]
    scenes = []
    at_s = 0.0
    places = [draw(_place) for _ in range(count)]
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(st.sampled_from([0.1, 0.2, 1.0, 5.0, 40.0]))
        tracks: list[Track] = []
        for number in range(count):
            there = draw(st.sampled_from(["stands", "stands", "walks", "guessed", "gone"]))
            if there == "walks":
                places[number] = draw(_place)
            if there != "gone":
                tracks.append(track(*places[number], number=number, label=labels[number], seen=there != "guessed"))
        scenes.append(scene(at_s, *tracks))
    return scenes


_RULES: list[dict[str, object]] = [
    {"id": "wire", "kind": "tripwire", "line": _WALL, "labels": []},
    {"id": "zone", "kind": "zone", "zone": _ZONE, "labels": []},
    {"id": "loitering", "kind": "loitering", "zone": _ZONE, "after_s": 2},
    {"id": "crowding", "kind": "crowding", "zone": _ZONE, "count": 2, "after_s": 1, "labels": []},
    {"id": "occupancy", "kind": "occupancy", "zone": _ZONE, "most": 1, "labels": []},
    {"id": "wrong", "kind": "wrong_way", "zone": _ZONE, "arrow": ((0.2, 0.5), (0.8, 0.5)), "labels": []},
    {"id": "abandoned", "kind": "abandoned", "zone": _ZONE, "after_s": 2},
    {"id": "removed", "kind": "removed", "zone": _ZONE, "after_s": 2},
    {"id": "parked", "kind": "parked", "zone": _ZONE, "after_s": 5},
    {"id": "fall", "kind": "fall"},
]
_SETTINGS: AnalysisSettings = settings_of(*_RULES)


def _all_of(scenes: Sequence[Scene]) -> list[Occurrence]:
    rules = Rules(_SETTINGS)
    return [*run(rules, scenes), *rules.end(scenes[-1].at_us + 1)]


@settings(max_examples=150, deadline=None)
@given(_busy())
def test_all_that_begins_ends_once(scenes: list[Scene]) -> None:
    assert_paired(_all_of(scenes))


@settings(max_examples=75, deadline=None)
@given(_busy(), st.randoms(use_true_random=False))
def test_the_order_of_tracks_does_not_matter(scenes: list[Scene], chance: Random) -> None:
    shuffled = []
    for each in scenes:
        tracks = list(each.tracks)
        chance.shuffle(tracks)
        shuffled.append(replace(each, tracks=tuple(tracks)))
    assert _all_of(shuffled) == _all_of(scenes)


@settings(max_examples=75, deadline=None)
@given(_busy(), st.integers(0, 39))
def test_rules_that_change_midway_leave_nothing_open(scenes: list[Scene], at: int) -> None:
    rules = Rules(_SETTINGS)
    found = run(rules, scenes[:at])
    found += rules.change(settings_of(*_RULES[::2]), scenes[min(at, len(scenes) - 1)].at_us)
    found += run(rules, scenes[at:])
    assert_paired([*found, *rules.end(scenes[-1].at_us + 1)])


@settings(max_examples=30, deadline=None)
@given(st.lists(_place, min_size=1, max_size=5))
def test_memory_is_bounded_by_what_is_there(places: list[tuple[float, float]]) -> None:
    presence, wire = Presence(_ZONE, ()), _tripwire(_WALL)
    for nth in range(300):
        seen = scene(nth * 0.5, *(track(x, y, number=nth * 10 + at) for at, (x, y) in enumerate(places)))
        presence.see(seen)
        wire.see(seen)
    # Whoever was there in the last two seconds and a bit.
    assert len(presence._stays) <= 6 * len(places)
    assert len(wire._walks) <= 6 * len(places)
    later = Scene(START_US + 600 * SECOND_US)
    presence.see(later)
    wire.see(later)
    assert not presence._stays and not wire._walks
