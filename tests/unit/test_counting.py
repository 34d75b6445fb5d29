"""Counts by the minute, heat, and unusual scenes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenes import SECOND_US, START_US, ZONE, assert_paired, over, rule_of, run, scene, settings_of, told, track
from vms.ai.anomalies import UnusualScenes
from vms.ai.counting import MINUTE_US, Counter
from vms.ai.heat import Heat
from vms.ai.rules import Rules
from vms.contracts.analysis import Count
from vms.domain.analysis import Anomaly
from vms.domain.motion import Box
from vms.domain.vision import Finding, Scene, Track

_OCCUPANCY = {"id": "room", "kind": "occupancy", "zone": ZONE}
_WIRE = {"id": "door", "kind": "tripwire", "line": ((0.5, 0.9), (0.5, 0.1))}


def _count(counter: Counter, rules: Rules, scenes: list[Scene]) -> list[Count]:
    found: list[Count] = []
    for each in scenes:
        occurrences = rules.see(each)
        found += counter.see(rules.scene, occurrences)
    return found


def test_a_minute_is_counted_and_told_once() -> None:
    settings = settings_of(_OCCUPANCY, _WIRE)
    counter, rules = Counter("camera", settings), Rules(settings)

    def people(s: float) -> list[Track]:
        # One crosses every ten seconds; two stand in the room for the first half of each minute.
        walker = track(0.3 + 0.4 * (s % 10) / 10, 0.95, number=100 + int(s // 10))
        room = [track(0.4, 0.6, number=1000 + int(s // 60)), track(0.6, 0.6, number=2000 + int(s // 60))]
        return [walker] if s % 60 >= 30 else [walker, *room]

    # The line does not reach so far down.
    wire = {**_WIRE, "line": ((0.5, 1.0), (0.5, 0.1))}
    settings = settings_of(_OCCUPANCY, wire)
    counter, rules = Counter("camera", settings), Rules(settings)
    start_us = START_US - START_US % MINUTE_US
    found = _count(counter, rules, over(125, people))
    assert {count.start_us for count in found} == {start_us, start_us + MINUTE_US}
    first = {(count.kind, count.label, count.rule_id, count.direction): count for count in found[: len(found) // 2]}
    assert first["seen", "person", "", ""].count == 8
    assert first["crossed", "person", "door", "right"].count == 6
    inside = first["inside", "person", "room", ""]
    assert inside.peak == 2
    # They stand for half of it; who is lost while standing is kept for ten seconds more, and two until he has left.
    assert inside.mean == pytest.approx(2 * 42 / 60, abs=0.1)
    assert {count.kind for count in counter.end()} == {"seen", "inside"}
    assert counter.end() == []


def test_an_empty_room_is_counted_as_empty() -> None:
    settings = settings_of(_OCCUPANCY)
    counter = Counter("camera", settings)
    found = [count for each in over(70, lambda _: [], fps=1) for count in counter.see(each, [])]
    assert [(count.kind, count.mean, count.peak) for count in found] == [("inside", 0.0, 0)]


def test_several_labels_are_counted_as_one_row() -> None:
    settings = settings_of({**_OCCUPANCY, "labels": ["person", "car"]})
    counter = Counter("camera", settings)
    found = [
        count
        for each in over(70, lambda _: [track(0.5, 0.5), track(0.6, 0.6, number=2, label="car")], fps=1)
        for count in counter.see(each, [])
        if count.kind == "inside"
    ]
    assert [(count.label, count.peak) for count in found] == [("", 2)]


def test_other_rules_go_on_from_what_was_counted() -> None:
    settings = settings_of(_OCCUPANCY)
    counter = Counter("camera", settings)
    for each in over(10, lambda _: [track(0.5, 0.5)], fps=2):
        counter.see(each, [])
    early = counter.change(settings_of(_OCCUPANCY, _WIRE))
    assert [(count.kind, count.count) for count in early] == [("seen", 1), ("inside", 0)]
    late = [
        count for each in over(60, lambda _: [track(0.5, 0.5)], fps=2, from_s=10) for count in counter.see(each, [])
    ]
    # It is not seen anew, and was in the room from the start.
    assert [(count.kind, count.mean) for count in late] == [("inside", 1.0)]


def test_a_guess_is_not_seen() -> None:
    counter = Counter("camera", settings_of())
    for each in over(10, lambda _: [track(0.5, 0.5, seen=False)]):
        counter.see(each, [])
    assert counter.end() == []


def test_what_was_counted_is_forgotten() -> None:
    counter = Counter("camera", settings_of())
    for nth in range(5000):
        counter.see(scene(nth * 0.1, track(0.5, 0.5, number=nth)), [])
    assert len(counter._known) <= 102


def test_heat_is_seconds_of_feet() -> None:
    heat = Heat(4, 2)
    for each in over(10.2, lambda s: [track(0.1, 0.9, height=0.1), track(1.0, 0.0, number=2, seen=s < 5)]):
        heat.see(each.at_us, each.tracks)
    seconds = heat.map().seconds
    assert seconds[4] == pytest.approx(10)
    # On the border, while it was seen.
    assert seconds[3] == pytest.approx(5, abs=0.3)
    assert sum(seconds) == pytest.approx(seconds[3] + seconds[4])


def test_heat_does_not_bridge_a_pause() -> None:
    heat = Heat(1, 1)
    for at_s in (0.0, 1.0, 3600.0, 3599.0):
        heat.see(START_US + round(at_s * SECOND_US), [track(0.5, 0.5)])
    assert heat.map().seconds == (3.0,)


def _looked(at_s: float, score: float | None) -> Scene:
    box = Box(0.1, 0.1, 0.2, 0.2)
    return replace(scene(at_s), unusual=None if score is None else Finding("unusual", score, box))


def _unusual() -> UnusualScenes:
    rule = rule_of(kind="anomaly", after_s=2)
    assert isinstance(rule, Anomaly)
    return UnusualScenes(rule)


def test_an_unusual_scene_has_to_last() -> None:
    watch = _unusual()
    assert run(watch, [_looked(nth * 0.5, 0.9 if nth % 8 == 0 else 0.2) for nth in range(40)]) == []
    found = run(watch, [_looked(20 + nth * 0.5, 0.6 + 0.01 * nth) for nth in range(10)])
    assert told(found) == [("scene.unusual", "began")]
    assert found[0].box == Box(0.1, 0.1, 0.2, 0.2)
    found += run(watch, [_looked(25 + nth * 0.5, 0.1) for nth in range(10)])
    assert_paired(found)
    assert found[-1].details["highest"] == 0.69


def test_pictures_that_are_not_looked_at_change_nothing_for_a_while() -> None:
    watch = _unusual()
    found = run(watch, [_looked(nth * 0.5, None if nth % 3 else 0.8) for nth in range(30)])
    assert told(found) == [("scene.unusual", "began")]
    found += run(watch, [_looked(15 + nth, None) for nth in range(20)])
    assert_paired(found)
    assert_paired([*run(watch, [_looked(60 + nth, 0.9) for nth in range(5)]), *watch.end(START_US)])
