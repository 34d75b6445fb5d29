"""Zones: entering, loitering, crowds, full places."""

from __future__ import annotations

import pytest

from tests.scenes import SECOND_US, START_US, ZONE, assert_paired, chance, over, rule_of, run, scene, told, track
from vms.ai.presence import Presence
from vms.ai.rules import watch_for
from vms.ai.watching import Watch
from vms.domain.vision import Track


def _watch(kind: str, **fields: object) -> Watch:
    watch = watch_for(rule_of(kind=kind, zone=ZONE, **fields))
    assert watch is not None
    return watch


def test_a_visit_begins_and_ends_with_its_dwell_time() -> None:
    scenes = over(12, lambda s: [track(0.1 + 0.08 * s, 0.5)])
    began, ended = run(_watch("zone"), scenes)
    assert (began.type, began.phase, began.label) == ("zone.entered", "began", "person")
    assert ended.phase == "ended"
    # 0.3 to 0.7 at 0.08 a second.
    assert ended.details["dwell_s"] == pytest.approx(5.0, abs=0.5)
    assert (ended.at_us - START_US) / SECOND_US == pytest.approx(7.6, abs=0.3)


def test_one_sighting_is_no_visit() -> None:
    scenes = [scene(0, track(0.1, 0.5)), scene(0.2, track(0.5, 0.5)), scene(0.4, track(0.1, 0.5))]
    assert run(_watch("zone"), scenes) == []


def test_jitter_at_the_border_is_one_visit() -> None:
    jitter = chance(5)
    scenes = over(60, lambda _: [track(0.3 + jitter.uniform(-0.009, 0.009), 0.5)])
    assert told(run(_watch("zone"), scenes)) == [("zone.entered", "began")]


def test_who_vanishes_has_left_when_last_seen() -> None:
    watch = _watch("zone")
    found = run(watch, [*over(3, lambda _: [track(0.5, 0.5)]), *over(5, lambda _: [], from_s=3)])
    assert_paired(found)
    assert found[-1].at_us == START_US + round(2.8 * SECOND_US)


def test_a_guess_keeps_a_visit_and_makes_none() -> None:
    watch = _watch("zone")
    found = run(
        watch,
        [
            *over(2, lambda _: [track(0.5, 0.5), track(0.5, 0.6, number=2, seen=False)]),
            *over(60, lambda _: [track(0.5, 0.5, seen=False)], from_s=2),
        ],
    )
    assert told(found) == [("zone.entered", "began")]


def test_a_foot_on_the_last_row_of_the_picture_is_in_a_zone_that_reaches_there() -> None:
    watch = watch_for(rule_of(kind="zone", zone=((0, 0.5), (1, 0.5), (1, 1), (0, 1))))
    assert watch is not None
    scenes = over(2, lambda _: [track(0.5, 1.0, number=1), track(1.0, 1.02, number=2), track(0.0, 0.9, number=3)])
    assert {occurrence.track for occurrence in run(watch, scenes)} == {1, 2, 3}


def test_loitering_begins_late_and_once() -> None:
    watch = _watch("loitering", after_s=10)
    found = run(watch, over(30, lambda s: [track(0.5 + 0.05 * (s % 2), 0.6)]))
    assert told(found) == [("zone.loitering", "began")]
    assert (found[0].at_us - START_US) / SECOND_US == pytest.approx(10, abs=0.3)
    (ended,) = watch.end(START_US + 31 * SECOND_US)
    assert ended.details["dwell_s"] == pytest.approx(31)


def test_whoever_passes_does_not_loiter() -> None:
    assert run(_watch("loitering", after_s=10), over(12, lambda s: [track(0.1 + 0.08 * s, 0.5)])) == []


def _people(count: int) -> list[Track]:
    return [track(0.35 + 0.05 * nth, 0.6, number=nth) for nth in range(count)]


def test_a_crowd_has_to_last() -> None:
    watch = _watch("crowding", count=4, after_s=3)
    assert run(watch, over(0.6, lambda _: _people(5))) == []
    assert run(watch, over(7, lambda _: _people(3), from_s=0.6)) == []
    found = run(watch, over(6, lambda _: _people(5), from_s=8))
    assert told(found) == [("zone.crowded", "began")]
    assert found[0].details["count"] == 5
    assert found[0].box is not None and found[0].box.right > 0.5


def test_a_crowd_is_one_though_one_of_it_is_not_found_now_and_then() -> None:
    watch = _watch("crowding", count=4, after_s=3)
    found = run(watch, over(40, lambda s: _people(4 if s % 5 < 4.5 else 3)))
    assert told(found) == [("zone.crowded", "began")]
    found += run(watch, over(10, lambda _: _people(1), from_s=40))
    assert_paired(found)
    assert found[-1].details["most"] == 4


def test_a_place_is_full_when_more_are_in_it_than_it_holds() -> None:
    watch = _watch("occupancy", most=3)
    assert run(watch, over(10, lambda _: _people(3))) == []
    found = run(watch, over(10, lambda _: _people(5), from_s=10))
    assert told(found) == [("zone.occupancy", "began")]
    found += run(watch, over(10, lambda _: _people(3), from_s=20))
    assert_paired(found)
    assert found[-1].details == {"count": 5, "most": 5}


def test_a_place_without_a_limit_is_only_counted() -> None:
    assert watch_for(rule_of(kind="occupancy", zone=ZONE)) is None


def test_what_vanishes_is_forgotten() -> None:
    presence = Presence(ZONE, ())
    for nth in range(2000):
        presence.see(scene(nth * 0.1, track(0.5, 0.5, number=nth)))
    assert len(presence._stays) <= 25
