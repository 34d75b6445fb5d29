"""Wrong ways and speeds."""

from __future__ import annotations

import pytest

from tests.scenes import ZONE, assert_paired, chance, over, rule_of, run, scene, told, track
from vms.ai.geometry import Plane
from vms.ai.rules import watch_for
from vms.ai.watching import Watch
from vms.domain.vision import Track

_WIDE = ((0.0, 0.2), (1.0, 0.2), (1.0, 1.0), (0.0, 1.0))


def _wrong_way(**fields: object) -> Watch:
    watch = watch_for(rule_of(kind="wrong_way", zone=_WIDE, arrow=((0.2, 0.5), (0.8, 0.5)), **fields))
    assert watch is not None
    return watch


def test_against_the_arrow_is_said_once_and_until_it_leaves() -> None:
    watch = _wrong_way()
    found = run(watch, over(6, lambda s: [track(0.9 - 0.1 * s, 0.6, label="car", height=0.1)]))
    assert told(found) == [("way.wrong", "began")]
    assert found[0].details["degrees"] == pytest.approx(180, abs=1)
    found += run(watch, over(5, lambda _: [], from_s=6))
    assert_paired(found)


@pytest.mark.parametrize("fps", [1.0, 2.0, 10.0])
def test_it_is_found_at_any_rate(fps: float) -> None:
    found = run(_wrong_way(), over(8, lambda s: [track(0.9 - 0.1 * s, 0.6)], fps=fps))
    assert told(found) == [("way.wrong", "began")]


def test_with_the_arrow_across_it_or_standing_is_nothing() -> None:
    sway = chance(1)
    people = over(
        8,
        lambda s: [
            track(0.1 + 0.1 * s, 0.5, number=1),
            track(0.5, 0.3 + 0.08 * s, number=2),
            track(0.5 + sway.uniform(-0.01, 0.01), 0.5 + sway.uniform(-0.01, 0.01), number=3),
        ],
    )
    assert run(_wrong_way(), people) == []


def test_the_tolerance_is_an_angle_in_the_picture() -> None:
    # Up and to the left, 45 degrees in a picture of 16:9.
    def walk(s: float) -> list[Track]:
        return [track(0.9 - 0.05 * s, 0.95 - 0.05 * 16 / 9 * s)]

    assert len(run(_wrong_way(tolerance_degrees=50), over(6, walk))) == 1
    assert run(_wrong_way(tolerance_degrees=40), over(6, walk)) == []


def test_one_jump_of_a_box_is_no_way() -> None:
    scenes = over(6, lambda s: [track(0.7 if s < 3 else 0.5, 0.6)])
    assert run(_wrong_way(), scenes) == []


# A street of 10 m by 40 m that leads away from the camera.
_CORNERS = ((0.4, 0.3), (0.6, 0.3), (0.9, 0.9), (0.1, 0.9))
_METRES = ((0.0, 40.0), (10.0, 40.0), (10.0, 0.0), (0.0, 0.0))


def _speed(limit_kmh: float) -> Watch:
    zone = ((0.0, 0.2), (1.0, 0.2), (1.0, 1.0), (0.0, 1.0))
    rule = rule_of(kind="speed", zone=zone, corners=_CORNERS, metres=_METRES, limit_kmh=limit_kmh)
    watch = watch_for(rule)
    assert watch is not None
    return watch


def _on_street(east_m: float, north_m: float) -> tuple[float, float]:
    place = Plane(_METRES, _CORNERS).place(east_m, north_m)
    assert place is not None
    return place


def _drive(kmh: float, seconds: float = 4.0, jitter: float = 0.0, fps: float = 10.0) -> list[float]:
    """What speeds above 5 km/h are told."""
    shake = chance(3)

    def car(s: float) -> list[Track]:
        x, y = _on_street(5, 2 + kmh / 3.6 * s)
        return [
            track(
                x + shake.uniform(-jitter, jitter),
                y + shake.uniform(-jitter, jitter),
                label="car",
                height=0.1,
                width=0.1,
            )
        ]

    watch = _speed(5)
    found = run(watch, over(seconds, car, fps=fps))
    found += run(watch, over(4, lambda _: [], from_s=seconds))
    assert_paired(found)
    return [occurrence.details["kmh"] for occurrence in found]


def test_a_plane_knows_its_corners() -> None:
    plane = Plane(_CORNERS, _METRES)
    for corner, metres in zip(_CORNERS, _METRES, strict=True):
        assert plane.place(*corner) == pytest.approx(metres, abs=1e-6)


def test_nothing_is_above_the_horizon() -> None:
    # The sides of the street meet at about 0.1 of the height.
    assert Plane(_CORNERS, _METRES).place(0.5, 0.02) is None


@pytest.mark.parametrize("kmh", [18.0, 30.0])
@pytest.mark.parametrize("fps", [2.0, 10.0])
def test_a_speed_is_measured(kmh: float, fps: float) -> None:
    for told_kmh in _drive(kmh, fps=fps):
        assert told_kmh == pytest.approx(kmh, rel=0.03)


def test_jitter_does_not_make_it_much_faster() -> None:
    for told_kmh in _drive(18.0, jitter=0.003):
        assert told_kmh == pytest.approx(18.0, rel=0.35)


def test_who_keeps_to_the_limit_is_left_alone() -> None:
    def car(s: float) -> list[Track]:
        return [track(*_on_street(5, 2 + 10 * s), label="car", height=0.1)]

    assert run(_speed(37), over(3.5, car)) == []
    assert told(run(_speed(35), over(3.5, car))) == [("speed.exceeded", "began")]


def test_a_parked_car_that_jitters_does_not_drive() -> None:
    shake = chance(2)

    def parked(_: float) -> list[Track]:
        x, y = _on_street(5, 30)
        return [track(x, y + shake.uniform(-0.003, 0.003), label="car", height=0.1)]

    assert run(_speed(5), over(60, parked)) == []


def test_outside_the_zone_nothing_is_measured() -> None:
    watch = watch_for(rule_of(kind="speed", zone=ZONE, corners=_CORNERS, metres=_METRES, limit_kmh=5))
    assert watch is not None
    assert run(watch, [scene(nth * 0.2, track(0.1, 0.95 - 0.05 * nth, label="car")) for nth in range(10)]) == []
