"""What is motion, on pictures that are made for it and on real footage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vms.adapters.motion.detector import WIDTH_PX, Detector, allowed_cells, height_for
from vms.domain.motion import (
    Box,
    MotionEnded,
    MotionEvents,
    MotionSettings,
    MotionStarted,
    Sighting,
    needs_server,
    records_on_motion,
)
from vms.domain.recording_policy import RecordingPolicy

FOOTAGE = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
HEIGHT_PX = 184
T0_US = 1_700_000_000_000_000
STEP_US = 500_000
Grey = NDArray[np.uint8]
SLOT = {"from": "08:00", "to": "09:00", "mode": "motion"}
HOLIDAY = {"date": "12-25", "slots": [SLOT]}


def scene(seed: int = 1) -> NDArray[np.float32]:
    """A still picture with structure."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 200, (HEIGHT_PX // 8, WIDTH_PX // 8)).astype(np.float32)
    return np.kron(coarse, np.ones((8, 8), np.float32))


def noisy(picture: NDArray[np.float32], rng: np.random.Generator, sigma: float) -> Grey:
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def sightings(detector: Detector, pictures: Iterator[Grey]) -> list[Sighting]:
    return [detector.see(picture, T0_US + number * STEP_US) for number, picture in enumerate(pictures)]


def with_square(x: int, y: int, side: int = 32) -> NDArray[np.float32]:
    picture = scene()
    picture[y : y + side, x : x + side] = 255 - picture[y : y + side, x : x + side]
    return picture


def walk(steps: int = 30, still: int = 20) -> Iterator[Grey]:
    """Nothing for a while, then a square that crosses the picture."""
    rng = np.random.default_rng(2)
    for _ in range(still):
        yield noisy(scene(), rng, 3)
    for step in range(steps):
        yield noisy(with_square(step * 8, 80), rng, 3)


@pytest.mark.parametrize("sensitivity", [35, 50, 100])
def test_a_moving_square_is_found_where_it_is(sensitivity: int) -> None:
    found = sightings(Detector(MotionSettings(sensitivity=sensitivity)), walk())
    assert all(sighting.box is None for sighting in found[:20])
    moving = [sighting for sighting in found[21:] if sighting.box is not None]
    assert len(moving) >= 24
    for sighting in moving:
        step = (sighting.at_us - T0_US) // STEP_US - 20
        assert sighting.box is not None
        assert sighting.box.left <= (step * 8 + 16) / WIDTH_PX <= sighting.box.right
        assert sighting.box.top <= 96 / HEIGHT_PX <= sighting.box.bottom
        assert 0 < sighting.score < 0.2


@pytest.mark.parametrize("sensitivity", [1, 50, 100])
@pytest.mark.parametrize("sigma", [0, 2, 6, 15])
def test_noise_is_not_motion(sensitivity: int, sigma: float) -> None:
    rng = np.random.default_rng(3)
    detector = Detector(MotionSettings(sensitivity=sensitivity))
    found = sightings(detector, (noisy(scene(), rng, sigma) for _ in range(60)))
    assert sum(sighting.box is not None for sighting in found) <= 1
    assert detector.light_changes <= 12


def test_what_moves_behind_a_mask_is_not_seen() -> None:
    behind = MotionSettings(mask=(((0.0, 0.3), (1.0, 0.3), (1.0, 0.75), (0.0, 0.75)),))
    assert all(sighting.box is None for sighting in sightings(Detector(behind), walk()))
    beside = MotionSettings(mask=(((0.0, 0.8), (1.0, 0.8), (1.0, 1.0), (0.0, 1.0)),))
    assert any(sighting.box is not None for sighting in sightings(Detector(beside), walk()))


def test_a_mask_may_have_any_shape() -> None:
    triangle = allowed_cells([[(0.0, 0.0), (1.02, 0.0), (0.0, 1.02)]], 10, 10)
    assert triangle.sum() == 45, "the cells under the diagonal"
    assert not triangle[0, 0]
    assert triangle[9, 9]
    assert allowed_cells([], 4, 5).all()
    everything = MotionSettings(mask=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),))
    assert all(sighting.box is None for sighting in sightings(Detector(everything), walk()))


def test_a_lamp_switched_on_is_learned_and_not_motion() -> None:
    rng = np.random.default_rng(4)
    light = np.linspace(30, 90, WIDTH_PX, dtype=np.float32)[np.newaxis, :]

    def pictures() -> Iterator[Grey]:
        for _ in range(20):
            yield noisy(scene() * 0.4, rng, 2)
        for _ in range(20):
            yield noisy(scene() * 0.4 + light, rng, 2)

    detector = Detector(MotionSettings())
    assert all(sighting.box is None for sighting in sightings(detector, pictures()))
    assert detector.light_changes >= 1


def test_dusk_is_not_motion() -> None:
    rng = np.random.default_rng(5)
    pictures = (noisy(scene() * (1 - step / 500), rng, 3) for step in range(400))
    assert all(sighting.box is None for sighting in sightings(Detector(MotionSettings(sensitivity=80)), pictures))


def test_what_stops_becomes_part_of_the_picture() -> None:
    def pictures() -> Iterator[Grey]:
        rng = np.random.default_rng(6)
        for _ in range(20):
            yield noisy(scene(), rng, 2)
        for _ in range(800):
            yield noisy(with_square(100, 80), rng, 2)

    found = sightings(Detector(MotionSettings()), pictures())
    assert found[22].box is not None
    assert all(sighting.box is None for sighting in found[-100:])


def test_another_resolution_or_a_long_pause_begins_anew() -> None:
    detector = Detector(MotionSettings())
    rng = np.random.default_rng(7)
    assert all(sighting.box is None for sighting in sightings(detector, (noisy(scene(), rng, 2) for _ in range(20))))
    later_us = T0_US + 20 * STEP_US
    other = np.full((240, WIDTH_PX), 77, np.uint8)
    assert detector.see(other, later_us).box is None
    # An hour later everything is another place; a clock that went back, too.
    for at_us in (later_us + 3_600_000_000, later_us):
        assert detector.see(np.full((240, WIDTH_PX), 200, np.uint8), at_us).box is None
        assert detector.light_changes == 0


@pytest.mark.parametrize(("width", "height", "rows"), [(640, 360, 176), (704, 576, 264), (1, 9999, 960), (0, 5, 0)])
def test_pictures_have_whole_cells(width: int, height: int, rows: int) -> None:
    assert height_for(width, height) == rows


@pytest.mark.skipif(not FOOTAGE.is_file(), reason="needs Debian's opencv-doc")
def test_people_who_walk_are_motion_and_the_empty_place_is_not() -> None:
    detector, events = Detector(MotionSettings()), MotionEvents()
    reports, moved, still = [], 0, None
    with av.open(str(FOOTAGE)) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            if number % 5:
                continue
            grey = frame.reformat(WIDTH_PX, height_for(frame.width, frame.height), "gray").to_ndarray().astype(np.uint8)
            still = grey if still is None else still
            sighting = detector.see(grey, T0_US + number * 100_000)
            moved += sighting.box is not None
            reports.append(events.see(sighting))
    assert moved > 130, "people walk in nearly all of the 159 pictures"
    assert any(isinstance(report, MotionStarted) for report in reports)
    assert still is not None
    rng = np.random.default_rng(8)
    empty = still.astype(np.float32)
    alone = sightings(Detector(MotionSettings()), (noisy(empty, rng, 4) for _ in range(160)))
    assert all(sighting.box is None for sighting in alone)


BOX, OTHER = Box(0.1, 0.1, 0.2, 0.2), Box(0.5, 0.5, 0.6, 0.9)


def test_an_event_begins_with_the_second_of_three_and_ends_after_quiet() -> None:
    events = MotionEvents(quiet_us=2_000_000)
    seen = [None, BOX, None, None, BOX, OTHER, BOX, None, None, None, None, None]
    reports = [events.see(Sighting(at * STEP_US, 0.0 if box is None else at / 100, box)) for at, box in enumerate(seen)]
    both = Box(0.1, 0.1, 0.6, 0.9)
    assert [number for number, report in enumerate(reports) if report is not None] == [5, 10]
    assert reports[5] == MotionStarted(4 * STEP_US, 0.05, both)
    assert reports[10] == MotionEnded(4 * STEP_US, 6 * STEP_US, 0.06, both)
    assert events.end() is None


def test_an_event_ends_when_the_pictures_stop() -> None:
    events = MotionEvents()
    events.see(Sighting(0, 0.5, BOX))
    events.see(Sighting(STEP_US, 0.5, BOX))
    assert events.end() == MotionEnded(0, STEP_US, 0.5, BOX)
    # And the next begins from nothing.
    assert events.see(Sighting(2 * STEP_US, 0.5, BOX)) is None


@pytest.mark.parametrize(
    ("source", "records_on_motion", "needed"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("server", False, True),
        ("camera", True, False),
        ("off", True, False),
    ],
)
def test_the_server_looks_where_it_is_asked_to(source: str, records_on_motion: bool, needed: bool) -> None:
    settings = MotionSettings.model_validate({"source": source})
    assert needs_server(settings, records_on_motion=records_on_motion) is needed


@pytest.mark.parametrize(
    "wrong",
    [
        {"sensitivity": 0},
        {"sensitivity": 101},
        {"mask": [[[0, 0], [1, 1]]]},
        {"mask": [[[0, 0], [1, 1], [1.2, 0]]]},
        {"mask": [[[0, 0], [1, 1], [float("nan"), 0]]]},
        {"source": "magic"},
        {"other": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        MotionSettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"mode": "motion"}, True),
        ({"mode": "continuous"}, False),
        ({"mode": "continuous", "streams": {"sub": "motion"}}, False),
        ({"mode": "off", "streams": {"main": "motion"}}, True),
        ({"mode": "event"}, False),
        ({"mode": "event", "event_types": ["door", "motion"]}, True),
        ({"mode": "schedule", "schedule": {"time_zone": "UTC", "week": {"mon": [SLOT]}}}, True),
        (
            {"mode": "schedule", "schedule": {"time_zone": "UTC", "holidays": [{"date": "12-25", "slots": [SLOT]}]}},
            True,
        ),
        ({"mode": "schedule", "schedule": {"time_zone": "UTC"}}, False),
    ],
)
def test_which_policies_wait_for_motion(policy: dict[str, object], expected: bool) -> None:
    assert records_on_motion(RecordingPolicy.model_validate(policy), ["main"]) is expected
