"""Left behind, removed, parked; and things that stand keep their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.scenes import (
    SECOND_US,
    START_US,
    ZONE,
    assert_paired,
    chance,
    over,
    rule_of,
    run,
    scene,
    settings_of,
    told,
    track,
)
from vms.ai.rules import Rules, watch_for
from vms.ai.standing import Standing
from vms.ai.watching import Watch
from vms.domain.vision import Occurrence, Scene, Track


def _watch(kind: str, **fields: object) -> Watch:
    watch = watch_for(rule_of(kind=kind, zone=ZONE, **fields))
    assert watch is not None
    return watch


def _bag(x: float = 0.5, *, seen: bool = True) -> Track:
    return track(x, 0.6, number=9, label="backpack", height=0.06, width=0.04, seen=seen)


def _owner(x: float) -> Track:
    return track(x, 0.6, number=1, height=0.25)


def test_a_bag_is_abandoned_once_its_owner_has_gone() -> None:
    # He puts it down, stands by it for ten seconds and goes.
    scenes = over(60, lambda s: [_bag(), _owner(0.53 if s < 10 else 0.53 + 0.1 * (s - 10))] if s < 14 else [_bag()])
    found = run(_watch("abandoned", after_s=20), scenes)
    assert told(found) == [("object.abandoned", "began")]
    assert (found[0].at_us - START_US) / SECOND_US == pytest.approx(30.5, abs=1)
    assert found[0].label == "backpack"


def test_a_bag_beside_its_owner_is_not_abandoned() -> None:
    assert run(_watch("abandoned", after_s=20), over(60, lambda _: [_bag(), _owner(0.53)])) == []


def test_whoever_passes_is_not_the_owner() -> None:
    scenes = over(60, lambda s: [_bag(), *([_owner(0.5)] if s % 8 < 1 else [])])
    assert told(run(_watch("abandoned", after_s=20), scenes)) == [("object.abandoned", "began")]


def test_it_ends_when_it_is_taken() -> None:
    watch = _watch("abandoned", after_s=20)
    found = run(watch, over(30, lambda _: [_bag()]))
    # It is carried about within the zone.
    found += run(watch, over(4, lambda s: [_bag(0.5 - 0.05 * s), _owner(0.5 - 0.05 * s)], from_s=30))
    assert told(found) == [("object.abandoned", "began"), ("object.abandoned", "ended")]
    assert_paired(found)


def test_a_bag_that_is_carried_is_not_abandoned() -> None:
    assert run(_watch("abandoned", after_s=5), over(20, lambda s: [_bag(0.35 + 0.015 * s)])) == []


def _removals(tracks_at: Callable[[float], Sequence[Track]], seconds: float, **fields: object) -> list[Occurrence]:
    return run(_watch("removed", **fields), over(seconds, tracks_at, fps=2))


def test_a_thing_that_stood_and_is_gone_was_removed() -> None:
    found = _removals(lambda s: [_bag()] if s < 60 else [], 120)
    assert told(found) == [("object.removed", "instant")]
    assert (found[0].at_us - START_US) / SECOND_US == pytest.approx(70, abs=1)
    assert found[0].details["missing_s"] == pytest.approx(10.5, abs=1)


def test_what_did_not_stand_there_for_long_was_not_removed() -> None:
    assert _removals(lambda s: [_bag()] if s < 20 else [], 60) == []


def test_what_is_hidden_may_still_be_there() -> None:
    before_it = track(0.5, 0.65, number=2, height=0.3)
    assert _removals(lambda s: [_bag()] if s < 60 else [before_it], 200) == []
    found = _removals(lambda s: [_bag()] if s < 60 else [before_it] if s < 100 else [], 140)
    assert (found[0].at_us - START_US) / SECOND_US == pytest.approx(110, abs=1)


def test_a_thing_that_is_carried_away_was_removed_though_it_is_still_seen() -> None:
    found = _removals(lambda s: [_bag(0.5 if s < 60 else min(0.9, 0.5 + 0.1 * (s - 60)))], 90)
    assert told(found) == [("object.removed", "instant")]


def test_a_detector_that_wavers_is_believed_less_and_less() -> None:
    # For ever: 40 s found, 15 s not.
    found = _removals(lambda s: [_bag(seen=s % 55 < 40)], 3600)
    assert len(found) <= 1


def test_whoever_stands_up_was_not_removed_unless_it_is_asked_for() -> None:
    def sits(s: float) -> list[Track]:
        return [track(0.5, 0.6)] if s < 60 else []

    assert _removals(sits, 120) == []
    assert len(_removals(sits, 120, labels=("person",))) == 1


def test_what_stood_outside_the_zone_does_not_matter() -> None:
    assert _removals(lambda s: [_bag(0.1)] if s < 60 else [], 120) == []


def _car(number: int = 1, x: float = 0.5, *, seen: bool = True, label: str = "car", born_s: float = 0.0) -> Track:
    since_us = START_US + round(born_s * SECOND_US)
    return track(x, 0.6, number=number, label=label, height=0.1, width=0.1, seen=seen, since_us=since_us)


_PARKED = {"id": "parked", "kind": "parked", "zone": ZONE, "after_s": 60}
_ENTRY = {"id": "entry", "kind": "zone", "zone": ZONE, "labels": ["car"]}
_LOITERING = {"id": "loitering", "kind": "loitering", "zone": ZONE, "labels": ["car"], "after_s": 30}


def _see(rules: Rules, scenes: Sequence[Scene]) -> list[Occurrence]:
    return [occurrence for each in scenes for occurrence in rules.see(each)]


def test_a_parked_car_is_one_event() -> None:
    rules = Rules(settings_of(_PARKED))
    shake = chance(4)
    found = _see(rules, over(1200, lambda _: [_car(x=0.5 + shake.uniform(-0.005, 0.005))], fps=1))
    assert told(found) == [("object.parked", "began")]
    found += _see(rules, over(20, lambda s: [_car(x=0.5 + 0.05 * s)], fps=5, from_s=1200))
    assert told(found)[1:] == [("object.parked", "ended")]
    assert found[1].details["stood_s"] == pytest.approx(1200, abs=10)


def test_a_parked_car_that_flickers_is_one_event_of_every_kind() -> None:
    """Lost for up to a minute and found again under another number, for two hours."""
    rules = Rules(settings_of(_PARKED, _ENTRY, _LOITERING))

    def flickers(s: float) -> list[Track]:
        turn, within = divmod(s, 150)
        if within >= 90:
            return []
        return [_car(number=1 + int(turn), label="truck" if turn % 3 == 2 else "car", born_s=turn * 150)]

    found = _see(rules, over(7200, flickers, fps=1))
    assert sorted(told(found)) == [("object.parked", "began"), ("zone.entered", "began"), ("zone.loitering", "began")]
    # It has gone; the rules take ten minutes to be sure, and say when it was seen last.
    found += _see(rules, over(700, lambda _: [], fps=1, from_s=7200))
    assert_paired(found)
    assert {(occurrence.at_us - START_US) // SECOND_US for occurrence in found if occurrence.phase == "ended"} == {7139}


def test_a_parked_car_stays_itself_when_its_track_goes_away_with_another() -> None:
    rules = Rules(settings_of(_PARKED, _ENTRY))
    found = _see(rules, over(100, lambda _: [_car()], fps=2))
    # Another car passes before it and takes the track along; a second later the parked one has a new track.
    found += _see(
        rules,
        over(
            5,
            lambda s: [_car(1, 0.5 - 0.1 * s), *([_car(2, 0.5, born_s=101)] if s >= 1.5 else [])],
            fps=5,
            from_s=100,
        ),
    )
    found += _see(rules, over(200, lambda _: [_car(2, 0.5, born_s=101)], fps=2, from_s=105))
    assert [occurrence.type for occurrence in found].count("object.parked") == 1
    assert [(seen.number, round(seen.foot.x, 2)) for seen in rules.scene.tracks] == [(1, 0.5)]


def test_two_cars_that_stand_side_by_side_are_two() -> None:
    rules = Rules(settings_of(_PARKED))
    found = _see(rules, over(100, lambda _: [_car(1, 0.4), _car(2, 0.52)], fps=1))
    assert [occurrence.track for occurrence in found] == [1, 2]


def test_a_car_that_takes_the_place_of_one_that_left_unseen_is_another() -> None:
    rules = Rules(settings_of(_PARKED))
    found = _see(rules, over(100, lambda _: [_car(1)], fps=1))
    found += _see(rules, over(60, lambda _: [], fps=1, from_s=100))
    drives_in = over(100, lambda s: [_car(2, min(0.5, 0.1 + 0.05 * s), born_s=160)], fps=2, from_s=160)
    found += _see(rules, drives_in)
    assert told(found) == [("object.parked", "began"), ("object.parked", "ended"), ("object.parked", "began")]
    assert_paired([*found, *rules.end(START_US + 300 * SECOND_US)])


def test_where_something_stands_nothing_else_is_missing() -> None:
    standing = Standing()
    for each in over(1000, lambda _: [_car(1)], fps=1):
        standing.see(each)
    assert [seen.number for seen in standing.see(scene(1001)).tracks] == [1]
    for each in over(20, lambda s: [_car(2, min(0.5, 0.1 + 0.05 * s))], fps=2, from_s=1002):
        last = standing.see(each)
    assert [seen.number for seen in last.tracks] == [2]


def test_what_is_found_in_the_place_of_something_that_is_seen_is_something_else() -> None:
    standing = Standing()
    for each in over(20, lambda _: [_car(1)], fps=2):
        standing.see(each)
    # A detector finds it twice.
    twice = standing.see(scene(20, _car(1), _car(2, 0.51))).tracks
    assert [(seen.number, round(seen.foot.x, 3)) for seen in twice] == [(1, 0.5), (2, 0.51)]


def test_of_very_many_things_not_all_are_remembered() -> None:
    standing = Standing()
    bags = [
        track(0.03 * (nth % 30), 0.1 + 0.05 * (nth // 30), number=nth, label="suitcase", height=0.02, width=0.02)
        for nth in range(400)
    ]
    for each in over(60, lambda _: bags, fps=1):
        standing.see(each)
    assert len(standing.see(scene(61)).tracks) == 256


def test_a_thing_that_went_away_is_not_kept_where_it_stood() -> None:
    standing = Standing()
    for each in over(20, lambda _: [_car()], fps=2):
        standing.see(each)
    for each in over(6, lambda s: [_car(x=0.5 + 0.08 * s)], fps=5, from_s=20):
        standing.see(each)
    assert standing.see(scene(27)).tracks == ()


def test_a_number_that_comes_back_is_not_given_twice() -> None:
    standing = Standing()
    for each in over(20, lambda _: [_car(1)], fps=2):
        standing.see(each)
    for each in over(10, lambda _: [_car(2)], fps=2, from_s=21):
        standing.see(each)
    # The tracker finds its first track again, elsewhere.
    numbers = [track.number for track in standing.see(scene(32, _car(1, 0.9), _car(2))).tracks]
    assert numbers == [1, 2]


def test_standing_things_are_forgotten_in_the_end() -> None:
    standing = Standing()
    for nth in range(3000):
        standing.see(scene(nth * 3, *[_car(nth * 10 + at, 0.05 + 0.2 * (at % 5)) for at in range(5)]))
    assert len(standing._things) <= 256 + 5
    assert len(standing._numbers) <= len(standing._things)
    for each in over(1300, lambda _: [], fps=0.5, from_s=9001):
        standing.see(each)
    assert not standing._things and not standing._numbers
