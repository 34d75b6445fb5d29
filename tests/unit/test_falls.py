"""People who fall, and those who do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenes import assert_paired, over, rule_of, run, told, track
from vms.ai.falls import Falls
from vms.domain.analysis import Fall
from vms.domain.vision import KeyPoint, Track


def _falls() -> Falls:
    rule = rule_of(kind="fall", after_s=3)
    assert isinstance(rule, Fall)
    return Falls(rule)


def _standing(x: float = 0.5) -> Track:
    return track(x, 0.8, height=0.4, width=0.08)


def _lying(x: float = 0.5) -> Track:
    return track(x, 0.8, height=0.1, width=0.2)


def test_who_falls_and_stays_down_fell() -> None:
    watch = _falls()
    found = run(watch, over(20, lambda s: [_standing() if s < 5 else _lying()]))
    assert told(found) == [("person.fell", "began")]
    found += run(watch, over(5, lambda _: [_standing()], from_s=20))
    assert_paired(found)


def test_who_gets_up_again_soon_did_not() -> None:
    assert run(_falls(), over(20, lambda s: [_lying() if 5 < s < 7 else _standing()])) == []


def test_one_bad_box_is_not_getting_up() -> None:
    found = run(_falls(), over(20, lambda s: [_standing() if s < 5 or 6 < s < 6.3 else _lying()]))
    assert told(found) == [("person.fell", "began")]


def test_who_was_never_seen_standing_lies_there() -> None:
    assert run(_falls(), over(20, lambda _: [_lying()])) == []


def test_who_lies_down_slowly_did_not_fall() -> None:
    def sits_first(s: float) -> list[Track]:
        return [_standing() if s < 5 else track(0.5, 0.8, height=0.25, width=0.14) if s < 15 else _lying()]

    assert run(_falls(), over(30, sits_first)) == []


def test_who_is_half_hidden_did_not_fall() -> None:
    # Behind a counter: head and shoulders are where they were.
    hidden = track(0.5, 0.5, height=0.1, width=0.2)
    assert run(_falls(), over(20, lambda s: [_standing() if s < 5 else hidden])) == []


def test_who_is_cut_off_by_the_border_did_not_fall() -> None:
    # Below the camera: only head and shoulders are left of him.
    head = track(0.5, 1.0, height=0.1, width=0.2)
    assert run(_falls(), over(20, lambda s: [_standing() if s < 5 else head])) == []


@pytest.mark.parametrize(("aspect", "expected"), [(16 / 9, 1), (9 / 16, 0)])
def test_shapes_are_those_of_the_scene(aspect: float, expected: int) -> None:
    """0.14 × 0.16 of a wide picture is lying; of a tall one it is upright."""
    down = track(0.5, 0.8, height=0.16, width=0.14)
    scenes = over(20, lambda s: [_standing() if s < 5 else down])
    assert len(run(_falls(), [replace(each, aspect=aspect) for each in scenes])) == expected


def _with_points(shoulder: tuple[float, float], hip: tuple[float, float], *, top: float) -> Track:
    points = [KeyPoint(0, 0, 0.0)] * 17
    for at in (5, 6):
        points[at] = KeyPoint(*shoulder, 0.9)
    for at in (11, 12):
        points[at] = KeyPoint(*hip, 0.9)
    # A shape that tells nothing.
    return track(0.5, 0.8, height=0.8 - top, width=(0.8 - top) * 9 / 16, points=tuple(points))


def test_key_points_tell_where_the_box_does_not() -> None:
    upright = _with_points((0.5, 0.5), (0.5, 0.65), top=0.4)
    fallen = _with_points((0.4, 0.74), (0.5, 0.75), top=0.65)
    found = run(_falls(), over(20, lambda s: [upright if s < 5 else fallen]))
    assert told(found) == [("person.fell", "began")]
    bends = _with_points((0.5, 0.55), (0.52, 0.65), top=0.55)
    assert run(_falls(), over(20, lambda s: [upright if s < 5 else bends])) == []
