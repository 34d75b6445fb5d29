"""All rules of a camera together: changes, ends, what cannot be, and what it costs."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.scenes import SECOND_US, START_US, ZONE, assert_paired, chance, over, run, scene, settings_of, told, track
from vms.ai.rules import Rules
from vms.domain.motion import Box
from vms.domain.vision import Occurrence, Scene, Track

_ENTRY: dict[str, object] = {"id": "entry", "kind": "zone", "zone": ZONE}
_WIRE: dict[str, object] = {"id": "wire", "kind": "tripwire", "line": ((0.5, 0.9), (0.5, 0.1))}
_LOITERING: dict[str, object] = {"id": "loitering", "kind": "loitering", "zone": ZONE, "after_s": 10}
_CORNERS = ((0.4, 0.3), (0.6, 0.3), (0.9, 0.9), (0.1, 0.9))
_METRES = ((0, 40), (10, 40), (10, 0), (0, 0))
_EVERY_KIND: list[dict[str, object]] = [
    _WIRE,
    _ENTRY,
    _LOITERING,
    {"id": "crowding", "kind": "crowding", "zone": ZONE, "count": 3},
    {"id": "occupancy", "kind": "occupancy", "zone": ZONE, "most": 2, "labels": []},
    {"id": "wrong", "kind": "wrong_way", "zone": ZONE, "arrow": ((0.2, 0.5), (0.8, 0.5))},
    {"id": "speed", "kind": "speed", "zone": ZONE, "corners": _CORNERS, "metres": _METRES, "limit_kmh": 30},
    {"id": "abandoned", "kind": "abandoned", "zone": ZONE},
    {"id": "removed", "kind": "removed", "zone": ZONE},
    {"id": "parked", "kind": "parked", "zone": ZONE},
    {"id": "fall", "kind": "fall"},
    {"id": "tampering", "kind": "tampering"},
    {"id": "anomaly", "kind": "anomaly"},
]


def _stays(_: float) -> list[Track]:
    return [track(0.45, 0.6)]


def test_occurrences_name_their_rule() -> None:
    rules = Rules(settings_of(_ENTRY, {**_ENTRY, "id": "other"}))
    assert [occurrence.rule_id for occurrence in run(rules, over(2, _stays))] == ["entry", "other"]


def test_a_rule_that_is_renamed_goes_on_and_one_that_is_redrawn_begins_anew() -> None:
    rules = Rules(settings_of(_ENTRY, _LOITERING))
    found = run(rules, over(20, _stays))
    assert told(found) == [("zone.entered", "began"), ("zone.loitering", "began")]
    assert rules.change(settings_of(_LOITERING, {**_ENTRY, "name": "The yard"}), START_US + 20 * SECOND_US) == []
    assert run(rules, over(5, _stays, from_s=20)) == []
    redrawn = {**_ENTRY, "zone": ((0.2, 0.2), (0.8, 0.2), (0.2, 0.9))}
    ended = rules.change(settings_of(redrawn, _LOITERING), START_US + 25 * SECOND_US)
    assert told(ended) == [("zone.entered", "ended")]
    assert told(run(rules, over(5, _stays, from_s=25))) == [("zone.entered", "began")]


@pytest.mark.parametrize("gone", [[_ENTRY], [_ENTRY, {**_LOITERING, "enabled": False}]])
def test_a_rule_that_is_removed_or_switched_off_ends_what_is_open(gone: list[dict[str, object]]) -> None:
    rules = Rules(settings_of(_ENTRY, _LOITERING))
    found = run(rules, over(20, _stays))
    found += rules.change(settings_of(*gone), START_US + 20 * SECOND_US)
    assert told(found)[2:] == [("zone.loitering", "ended")]
    assert run(rules, over(20, _stays, from_s=20)) == []


def test_end_leaves_nothing_open_and_later_scenes_begin_anew() -> None:
    rules = Rules(settings_of(*_EVERY_KIND))
    found = run(rules, over(20, _stays))
    found += rules.end(START_US + 20 * SECOND_US)
    assert_paired(found)
    assert rules.end(START_US + 21 * SECOND_US) == []
    assert ("zone.entered", "began") in told(run(rules, over(5, _stays, from_s=30)))


def test_pictures_out_of_order_are_passed_over() -> None:
    rules = Rules(settings_of(_ENTRY))
    scenes = over(4, _stays)
    found = run(rules, scenes)
    assert run(rules, [scenes[-1], scenes[3], scenes[3]]) == []
    assert_paired([*found, *rules.end(START_US + 5 * SECOND_US)])


def test_a_clock_that_is_set_back_ends_what_is_open() -> None:
    rules = Rules(settings_of(_ENTRY))
    found = run(rules, over(4, _stays, from_s=3600))
    again = run(rules, over(4, _stays))
    assert told(found + again) == [("zone.entered", "began"), ("zone.entered", "ended"), ("zone.entered", "began")]
    assert_paired([*found, *again, *rules.end(START_US + 5 * SECOND_US)])


@pytest.mark.parametrize(
    "box",
    [
        Box(float("nan"), 0.1, 0.2, 0.3),
        Box(0.1, 0.1, float("inf"), 0.3),
        Box(0.1, 0.1, 0.2, float("nan")),
        Box(0.5, 0.5, 0.5, 0.5),
        Box(0.6, 0.5, 0.5, 0.6),
        Box(-1e9, 0.1, 0.2, 0.3),
    ],
)
def test_boxes_that_cannot_be_are_passed_over(box: Box) -> None:
    rules = Rules(settings_of(*_EVERY_KIND))
    bad = replace(track(0.5, 0.5, number=7), box=box)
    found = run(rules, over(20, lambda s: [*_stays(s), bad]))
    assert {occurrence.track for occurrence in found} <= {1, None}
    assert [seen.number for seen in rules.scene.tracks] == [1]


def _busy(count: int, seed: int, seconds: float) -> list[Scene]:
    """People, cars and bags that wander about, come and go."""
    dice = chance(seed)
    places = [[dice.random(), 0.3 + 0.7 * dice.random()] for _ in range(count)]
    labels = [dice.choice(["person", "car", "backpack"]) for _ in range(count)]
    scenes = []
    for nth in range(round(seconds * 5)):
        tracks = []
        for number, place in enumerate(places):
            for axis in (0, 1):
                place[axis] = min(0.98, max(0.05, place[axis] + dice.uniform(-0.02, 0.02)))
            if dice.random() < 0.9:
                tracks.append(track(*place, number=number, label=labels[number], height=0.15, seen=dice.random() < 0.9))
        scenes.append(scene(nth / 5, *tracks))
    return scenes


def test_every_kind_of_rule_stays_paired_in_a_busy_scene() -> None:
    rules = Rules(settings_of(*_EVERY_KIND))
    found: list[Occurrence] = []
    for each in _busy(20, 3, 120):
        found += rules.see(each)
    found += rules.end(START_US + 200 * SECOND_US)
    assert_paired(found)
    assert {"line.crossed", "zone.entered", "zone.loitering", "zone.occupancy"} <= {each.type for each in found}


def test_twenty_tracks_and_ten_rules_cost_little() -> None:
    rules = Rules(settings_of(*_EVERY_KIND[:10]))
    scenes = _busy(20, 4, 60)
    began_s = time.process_time()
    for each in scenes:
        rules.see(each)
    # Some 0.6 ms on a core of 2020; ten times that on a machine that is busy with other things.
    assert (time.process_time() - began_s) / len(scenes) < 0.006
