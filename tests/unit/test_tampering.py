"""Tampering, and the many things that look like it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest

from tests.scenes import SECOND_US, START_US, assert_paired, chance, rule_of, scene, told
from vms.ai.tampering import TamperWatch, likeness, pattern
from vms.domain.analysis import Tampering
from vms.domain.vision import Look, Occurrence

_COLUMNS, _ROWS = 12, 8


@dataclass(frozen=True)
class _View:
    """What a camera sees: cells of a place, brighter towards the sky."""

    seed: int

    def look(self, noise: Random, *, light: float = 1.0, sharp: float = 1.0, sun: float = 0.0) -> Look:
        """In some light, with the sun from the left (over 0) or the right, and the noise of a sensor."""
        place = chance(self.seed)
        cells = []
        for row in range(_ROWS):
            for column in range(_COLUMNS):
                sky = 0.2 * (1 - row / _ROWS)
                side = 1 + sun * (0.5 - column / _COLUMNS)
                cell = light * side * (0.15 + sky + 0.4 * place.random())
                cells.append(min(1.0, cell) + noise.gauss(0, 0.0005))
        mean = sum(cells) / len(cells)
        contrast = math.sqrt(sum((cell - mean) ** 2 for cell in cells) / len(cells)) + abs(noise.gauss(0.002, 0.0005))
        sharpness = 0.2 * contrast * sharp + abs(noise.gauss(0.0005, 0.0001))
        return Look(mean, contrast, sharpness, tuple(cells), activity=0.0)


_STREET = _View(1)


class _Camera:
    def __init__(self, after_s: float = 5.0) -> None:
        rule = rule_of(kind="tampering", after_s=after_s)
        assert isinstance(rule, Tampering)
        self.watch = TamperWatch(rule)
        self.noise = chance(9)
        self.now_s = 0.0

    def shows(self, seconds: float, look_at: Callable[[float], Look], fps: float = 2.0) -> list[Occurrence]:
        found = []
        for nth in range(round(seconds * fps)):
            found += self.watch.see(scene(self.now_s, look=look_at(nth / fps)))
            self.now_s += 1 / fps
        return found

    def shows_street(self, seconds: float, **light: float) -> list[Occurrence]:
        return self.shows(seconds, lambda _: _STREET.look(self.noise, **light))


@pytest.fixture
def camera() -> _Camera:
    camera = _Camera()
    assert camera.shows_street(120) == []
    return camera


def _covered(noise: Random, level: float) -> Look:
    cells = tuple(level + noise.gauss(0, 0.001) for _ in range(_COLUMNS * _ROWS))
    return Look(level, 0.008, 0.0008, cells)


@pytest.mark.parametrize("level", [0.02, 0.4, 0.95])
def test_a_covered_lens_is_found_dark_or_bright_until_it_is_free(camera: _Camera, level: float) -> None:
    found = camera.shows(30, lambda _: _covered(camera.noise, level))
    assert told(found) == [("camera.covered", "began")]
    assert (found[0].at_us - START_US) / SECOND_US == pytest.approx(125, abs=1)
    # For hours: it is not how the camera is from now on.
    assert camera.shows(7200, lambda _: _covered(camera.noise, level), fps=0.5) == []
    found += camera.shows_street(10)
    assert_paired(found)
    assert camera.shows_street(60) == []


def test_a_hand_that_passes_is_nothing(camera: _Camera) -> None:
    assert camera.shows(4, lambda _: _covered(camera.noise, 0.1)) == []
    assert camera.shows_street(60) == []


@pytest.mark.parametrize("light", [0.05, 0.1, 0.3, 0.6, 1.4])
def test_lights_off_and_on_are_nothing(camera: _Camera, light: float) -> None:
    for _ in range(3):
        assert camera.shows_street(300, light=light) == []
        assert camera.shows_street(60) == []


def test_day_and_night_are_nothing(camera: _Camera) -> None:
    """A day in which the sun wanders from one side to the other, at a picture every ten seconds."""

    def day(s: float) -> Look:
        hour = s / 3600 % 24
        height = math.sin((hour - 6) / 12 * math.pi)
        return _STREET.look(camera.noise, light=0.04 + 0.96 * max(0.0, height), sun=math.cos(hour / 12 * math.pi))

    assert camera.shows(24 * 3600, day, fps=0.1) == []


def test_an_infrared_lamp_that_comes_on_is_nothing(camera: _Camera) -> None:
    assert camera.shows_street(60, light=0.08) == []
    # From beside the lens: it lights the middle, and all is grey.
    assert camera.shows_street(300, light=0.7, sun=0.9) == []


def test_a_flash_is_nothing(camera: _Camera) -> None:
    assert camera.shows(1, lambda _: _covered(camera.noise, 1.0)) == []
    assert camera.shows_street(20) == []


def test_a_camera_that_is_turned_away_is_found_and_gets_used_to_it(camera: _Camera) -> None:
    other = _View(2)
    found = camera.shows(120, lambda _: other.look(camera.noise))
    assert told(found) == [("camera.moved", "began"), ("camera.moved", "ended")]
    # Turned back is turned.
    assert told(camera.shows_street(20)) == [("camera.moved", "began")]


def test_turned_back_at_once_ends_it(camera: _Camera) -> None:
    other = _View(2)
    found = camera.shows(15, lambda _: other.look(camera.noise)) + camera.shows_street(10)
    assert_paired(found)
    assert told(found) == [("camera.moved", "began"), ("camera.moved", "ended")]


def test_a_camera_that_keeps_turning_has_not_been_turned_away_yet(camera: _Camera) -> None:
    assert camera.shows(20, lambda s: _View(100 + int(s)).look(camera.noise)) == []


def test_a_lens_out_of_focus_is_found(camera: _Camera) -> None:
    found = camera.shows_street(30, sharp=0.25)
    assert told(found) == [("camera.defocused", "began")]
    found += camera.shows_street(30)
    assert_paired(found)


def test_a_soft_picture_that_stays_is_how_it_is(camera: _Camera) -> None:
    found = camera.shows(5000, lambda _: _STREET.look(camera.noise, sharp=0.25), fps=0.5)
    assert told(found) == [("camera.defocused", "began"), ("camera.defocused", "ended")]


def test_somewhat_softer_in_rain_is_nothing(camera: _Camera) -> None:
    assert camera.shows_street(300, sharp=0.65, light=0.8) == []


def test_the_same_picture_for_a_minute_is_frozen() -> None:
    camera = _Camera()
    camera.shows_street(60)
    last = _STREET.look(camera.noise)
    found = camera.shows(100, lambda _: last)
    assert told(found) == [("camera.frozen", "began")]
    found += camera.shows_street(5)
    assert_paired(found)


def test_an_encoder_that_repeats_a_still_scene_between_key_frames_is_not_frozen() -> None:
    camera = _Camera()
    still = [_STREET.look(camera.noise) for _ in range(40)]
    # A key frame every 30 s.
    assert camera.shows(1200, lambda s: still[int(s // 30)]) == []


def test_equal_cells_with_movement_elsewhere_are_not_frozen() -> None:
    camera = _Camera()
    last = replace(_STREET.look(camera.noise), activity=0.01)
    assert camera.shows(300, lambda _: last) == []


def test_night_in_which_nothing_is_seen_is_not_judged() -> None:
    camera = _Camera()
    dark = camera.shows(600, lambda _: _covered(camera.noise, 0.01))
    assert dark == []
    assert camera.shows_street(600) == []


def test_another_resolution_is_learned_anew(camera: _Camera) -> None:
    def small(_: float) -> Look:
        look = _View(3).look(camera.noise)
        return replace(look, cells=look.cells[: _COLUMNS * 4])

    assert camera.shows(60, small) == []


@pytest.mark.parametrize(
    "look",
    [
        None,
        Look(0.5, 0.2, 0.02),
        replace(_STREET.look(chance(1)), contrast=float("nan")),
        Look(0.5, 0.2, 0.0, (0.5,) * 96),
    ],
)
def test_looks_that_tell_nothing_do_no_harm(camera: _Camera, look: Look | None) -> None:
    camera.watch.see(scene(camera.now_s, look=look))
    camera.now_s += 0.5
    assert camera.shows_street(60) == []
    assert told(camera.shows(10, lambda _: _covered(camera.noise, 0.1))) == [("camera.covered", "began")]


def test_end_leaves_nothing_open(camera: _Camera) -> None:
    found = camera.shows(30, lambda _: _covered(camera.noise, 0.1))
    assert_paired([*found, *camera.watch.end(START_US + 200 * SECOND_US)])


def _cells(values: Sequence[float]) -> tuple[float, ...]:
    return pattern(tuple(values))


def test_patterns() -> None:
    noise = chance(1)
    one, other = _STREET.look(noise).cells, _View(2).look(noise).cells
    assert likeness(_cells(one), _cells([0.1 * cell for cell in one])) == pytest.approx(1)
    assert abs(likeness(_cells(one), _cells(other))) < 0.25
    assert likeness(_cells([0.5] * 9), _cells([0.5] * 9)) == 0
    assert likeness((), ()) == 0
