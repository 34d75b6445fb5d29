"""Lines that are crossed, and those that are not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.scenes import rule_of, run, scene, track
from vms.ai.tripwires import LineCrossings
from vms.domain.analysis import Tripwire
from vms.domain.vision import Occurrence, Scene

# From below to above: its right is the picture's right.
_LINE = ((0.5, 0.9), (0.5, 0.1))


def _crossings(scenes: Sequence[Scene], **fields: object) -> list[str]:
    return [occurrence.details["direction"] for occurrence in _occurrences(scenes, **fields)]


def _occurrences(scenes: Sequence[Scene], **fields: object) -> list[Occurrence]:
    rule = rule_of(kind="tripwire", line=_LINE, **fields)
    assert isinstance(rule, Tripwire)
    return run(LineCrossings(rule), scenes)


def _walk(xs: Sequence[float], y: float = 0.5, step_s: float = 0.2) -> list[Scene]:
    return [scene(nth * step_s, track(x, y)) for nth, x in enumerate(xs)]


def test_each_way_is_said() -> None:
    there = [0.3, 0.4, 0.48, 0.52, 0.6, 0.7]
    assert _crossings(_walk(there)) == ["right"]
    assert _crossings(_walk(there[::-1])) == ["left"]
    assert _crossings(_walk(there + there[::-1])) == ["right", "left"]


def test_the_event_says_who_and_where() -> None:
    (occurrence,) = _occurrences(_walk([0.3, 0.7]))
    assert (occurrence.type, occurrence.phase, occurrence.track, occurrence.label) == (
        "line.crossed",
        "instant",
        1,
        "person",
    )
    assert occurrence.box is not None and occurrence.box.left > 0.6


def test_one_direction_may_be_wanted() -> None:
    there_and_back = [0.3, 0.7, 0.3, 0.7]
    assert _crossings(_walk(there_and_back), direction="left") == ["left"]
    assert _crossings(_walk(there_and_back), direction="right") == ["right", "right"]


def test_dithering_on_the_line_is_one_crossing_or_none() -> None:
    dither = [0.499, 0.501] * 20
    assert _crossings(_walk([0.4, *dither, 0.6])) == ["right"]
    assert _crossings(_walk([0.4, *dither, 0.4])) == []


def test_whoever_goes_round_the_end_of_a_line_does_not_cross_it() -> None:
    places = [(0.4, 0.5), (0.4, 0.95), (0.6, 0.95), (0.6, 0.5)]
    assert _crossings([scene(nth * 0.5, track(x, y)) for nth, (x, y) in enumerate(places)]) == []


def test_a_way_through_a_corner_of_a_line_crosses_once() -> None:
    line = ((0.5, 0.9), (0.5, 0.5), (0.5, 0.1))
    rule = rule_of(kind="tripwire", line=line)
    assert isinstance(rule, Tripwire)
    # In one step, and with a step that ends in the corner itself.
    assert len(run(LineCrossings(rule), _walk([0.3, 0.7]))) == 1
    assert len(run(LineCrossings(rule), _walk([0.3, 0.5, 0.7]))) == 1


def test_into_a_bent_line_and_out_again_is_nothing() -> None:
    rule = rule_of(kind="tripwire", line=((0.4, 0.2), (0.5, 0.8), (0.6, 0.2)))
    assert isinstance(rule, Tripwire)
    # Over both arms in one step.
    assert run(LineCrossings(rule), _walk([0.2, 0.8], y=0.5)) == []


def test_nothing_is_concluded_over_two_seconds_unseen() -> None:
    assert _crossings([scene(0, track(0.4, 0.5)), scene(1.9, track(0.6, 0.5))]) == ["right"]
    assert _crossings([scene(0, track(0.4, 0.5)), scene(2.1, track(0.6, 0.5))]) == []
    guessed = [scene(0.5 * nth, track(0.4 + 0.04 * nth, 0.5, seen=nth in (0, 6))) for nth in range(7)]
    assert _crossings(guessed) == []


def test_a_track_that_is_born_beyond_the_line_did_not_cross_it() -> None:
    assert _crossings([scene(0, track(0.49, 0.5)), scene(0.2), scene(0.4, track(0.55, 0.5, number=2))]) == []


def test_another_sighting_of_the_same_thing_is_no_way() -> None:
    """What stands got its number back from something that went away with it."""
    assert _crossings([scene(0, track(0.4, 0.5)), scene(0.2, track(0.6, 0.5, since_us=7))]) == []


@pytest.mark.parametrize("labels", [("person",), ()])
def test_only_what_the_rule_is_about_counts(labels: tuple[str, ...]) -> None:
    cars = [scene(0.2 * nth, track(x, 0.5, label="car")) for nth, x in enumerate([0.3, 0.7])]
    assert len(_crossings(cars, labels=labels)) == (0 if labels else 1)
