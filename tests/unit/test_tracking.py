"""Following things at any distance in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from vms.ai.tracking import Tracker
from vms.domain.motion import Box
from vms.domain.vision import Finding, KeyPoint, Track

_START_US = 1_700_000_000_000_000
# A person as a camera on a mast sees them: a fifth of the picture high.
_WIDTH, _HEIGHT = 0.05, 0.2


def _person(x: float, y: float = 0.5, *, score: float = 0.9, label: str = "person", size: float = 1.0) -> Finding:
    half_width, half_height = _WIDTH * size / 2, _HEIGHT * size / 2
    return Finding(label, score, Box(x - half_width, y - half_height, x + half_width, y + half_height))


def _seconds(seconds: float) -> int:
    return _START_US + round(seconds * 1e6)


def _follow(
    tracker: Tracker, findings_at: Callable[[float], Sequence[Finding]], *, fps: float, start_s: float, end_s: float
) -> list[tuple[Track, ...]]:
    pictures = range(round(start_s * fps), round(end_s * fps))
    return [tracker.see(findings_at(picture / fps), _seconds(picture / fps)) for picture in pictures]


def _numbers(pictures: Sequence[tuple[Track, ...]]) -> set[int]:
    return {track.number for tracks in pictures for track in tracks}


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(least_score=0.5)


@pytest.mark.parametrize("fps", [1, 2, 5, 10, 25])
def test_two_who_pass_each_other_keep_their_numbers(tracker: Tracker, fps: float) -> None:
    """At a walk (0.7 of their height a second), at 1 and 2 pictures a second without overlapping their last boxes."""

    def findings(at_s: float) -> list[Finding]:
        moved = 0.08 * at_s
        return [_person(0.1 + moved, 0.4), _person(0.9 - moved, 0.56)]

    pictures = _follow(tracker, findings, fps=fps, start_s=0, end_s=10)
    assert _numbers(pictures) == {1, 2}
    # Who walks up in the picture goes on walking up in it.
    first = {track.number: track.box.top for track in pictures[-1]}
    second = {track.number: track.box.top for track in pictures[round(2 * fps)]}
    assert first.keys() == second.keys()
    assert all(first[number] == pytest.approx(second[number], abs=0.02) for number in first)


def test_a_walker_at_two_pictures_a_second_has_the_box_that_was_found(tracker: Tracker) -> None:
    pictures = _follow(tracker, lambda at_s: [_person(0.1 + 0.1 * at_s)], fps=2, start_s=0, end_s=6)
    (track,) = pictures[-1]
    assert track.box.left == pytest.approx(0.1 + 0.1 * 5.5 - _WIDTH / 2, abs=0.01)
    assert track.since_us == _seconds(0)
    assert track.at_us == _seconds(5.5)


def test_one_sighting_is_no_track(tracker: Tracker) -> None:
    assert tracker.see([_person(0.5)], _seconds(0)) == ()
    pictures = _follow(tracker, lambda _: [], fps=10, start_s=0.1, end_s=3)
    assert _numbers(pictures) == set()


def test_sightings_a_moment_apart_are_no_track_yet(tracker: Tracker) -> None:
    given = [tracker.see([_person(0.5)], _seconds(0.04 * picture)) for picture in range(6)]
    assert [len(tracks) for tracks in given] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("again_s", "confirmed"), [(1.0, True), (1.5, False)])
def test_a_first_sighting_waits_through_a_missed_picture_but_not_for_ever(
    tracker: Tracker, again_s: float, confirmed: bool
) -> None:
    tracker.see([_person(0.5)], _seconds(0))
    for missed in range(1, round(again_s * 2)):
        tracker.see([], _seconds(missed / 2))
    assert bool(tracker.see([_person(0.5)], _seconds(again_s))) == confirmed


def test_unsure_findings_begin_nothing_but_keep_a_track(tracker: Tracker) -> None:
    unsure = _follow(tracker, lambda _: [_person(0.5, score=0.3)], fps=5, start_s=0, end_s=2)
    assert _numbers(unsure) == set()
    sure = _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=2, end_s=3)
    kept = _follow(tracker, lambda _: [_person(0.5, score=0.3)], fps=5, start_s=3, end_s=9)
    assert _numbers(sure) == _numbers(kept) == {1}
    assert all(track.seen for tracks in kept for track in tracks)


def test_findings_below_the_unsure_score_are_nothing(tracker: Tracker) -> None:
    _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=0, end_s=1)
    after = tracker.see([_person(0.5, score=tracker.unsure_score - 0.01)], _seconds(1))
    assert [track.seen for track in after] == [False]


def test_who_is_lost_is_given_for_a_moment_where_they_should_be(tracker: Tracker) -> None:
    _follow(tracker, lambda at_s: [_person(0.2 + 0.08 * at_s)], fps=5, start_s=0, end_s=3)
    lost = _follow(tracker, lambda _: [], fps=5, start_s=3, end_s=6)
    seen = [tracks[0] for tracks in lost if tracks]
    assert len(seen) == 7
    assert not any(track.seen for track in seen)
    middle = (seen[4].box.left + seen[4].box.right) / 2
    assert middle == pytest.approx(0.2 + 0.08 * 3.8, abs=0.01)


def test_who_walks_behind_something_has_their_number_when_they_come_out(tracker: Tracker) -> None:
    def findings(at_s: float) -> list[Finding]:
        return [] if 3 < at_s < 4.5 else [_person(0.2 + 0.08 * at_s)]

    assert _numbers(_follow(tracker, findings, fps=5, start_s=0, end_s=8)) == {1}


def test_somebody_else_elsewhere_gets_a_number_of_their_own(tracker: Tracker) -> None:
    _follow(tracker, lambda _: [_person(0.2)], fps=5, start_s=0, end_s=4)
    after = _follow(tracker, lambda _: [_person(0.7)], fps=5, start_s=4, end_s=8)
    assert [track.number for track in after[-1]] == [2]


def test_what_stands_keeps_its_number_through_flicker(tracker: Tracker) -> None:
    """A parked car that is found for one second of every eight."""

    def findings(at_s: float) -> list[Finding]:
        return [_person(0.5, label="car")] if at_s < 12 or at_s % 8 < 1 else []

    pictures = _follow(tracker, findings, fps=5, start_s=0, end_s=60)
    assert _numbers(pictures) == {1}
    assert len([tracks for tracks in pictures if tracks]) < len(pictures)


def test_who_stood_and_left_is_forgotten_after_as_long_as_they_stood(tracker: Tracker) -> None:
    _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=0, end_s=5)
    after = _follow(tracker, lambda at_s: [_person(0.5)] if at_s > 11 else [], fps=5, start_s=5, end_s=13)
    assert [track.number for track in after[-1]] == [2]


def test_the_label_is_what_most_sightings_say(tracker: Tracker) -> None:
    def findings(at_s: float) -> list[Finding]:
        return [_person(0.5, label="truck" if round(at_s * 5) % 3 == 1 else "car")]

    pictures = _follow(tracker, findings, fps=5, start_s=0, end_s=6)
    assert _numbers(pictures) == {1}
    assert {track.label for tracks in pictures[5:] for track in tracks} == {"car"}


def test_a_person_never_becomes_a_dog(tracker: Tracker) -> None:
    _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=0, end_s=2)
    pictures = _follow(tracker, lambda _: [_person(0.5, label="dog")], fps=5, start_s=2, end_s=4)
    assert {(track.number, track.label) for track in pictures[-1]} == {(2, "dog")} | {
        (track.number, track.label) for track in pictures[-1] if not track.seen
    }


def test_one_thing_with_two_labels_is_one_track(tracker: Tracker) -> None:
    def findings(_: float) -> list[Finding]:
        return [_person(0.5, label="car", score=0.8), _person(0.505, label="truck", score=0.7)]

    pictures = _follow(tracker, findings, fps=5, start_s=0, end_s=3)
    assert [(track.number, track.label) for track in pictures[-1]] == [(1, "car")]


def test_numbers_go_on_when_time_goes_back(tracker: Tracker) -> None:
    _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=100, end_s=102)
    pictures = _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=0, end_s=2)
    assert _numbers(pictures) == {2}
    assert pictures[0] == ()


def test_pictures_seconds_apart_are_followed_too(tracker: Tracker) -> None:
    """Key frames alone: every four seconds, of somebody who hardly moves."""
    pictures = _follow(tracker, lambda at_s: [_person(0.3 + 0.005 * at_s)], fps=0.25, start_s=0, end_s=60)
    assert _numbers(pictures) == {1}


def test_a_picture_twice_at_the_same_time_is_no_harm(tracker: Tracker) -> None:
    _follow(tracker, lambda _: [_person(0.5)], fps=5, start_s=0, end_s=1)
    assert [track.number for track in tracker.see([_person(0.5)], _seconds(0.8))] == [1]


@pytest.mark.parametrize(
    "box",
    [
        Box(0.5, 0.5, 0.5, 0.7),
        Box(0.6, 0.5, 0.5, 0.7),
        Box(float("nan"), 0.5, 0.6, 0.7),
        Box(0.1, 0.1, float("inf"), 0.7),
    ],
)
def test_boxes_that_are_none_are_left_out(tracker: Tracker, box: Box) -> None:
    pictures = _follow(tracker, lambda _: [Finding("person", 0.9, box), _person(0.2)], fps=5, start_s=0, end_s=2)
    assert [track.number for track in pictures[-1]] == [1]
    assert pictures[-1][0].box.left == pytest.approx(0.2 - _WIDTH / 2, abs=0.01)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_none_is_left_out(tracker: Tracker, score: float) -> None:
    pictures = _follow(tracker, lambda _: [_person(0.5, score=score)], fps=5, start_s=0, end_s=2)
    assert _numbers(pictures) == set()


def test_boxes_stay_within_the_picture(tracker: Tracker) -> None:
    pictures = _follow(tracker, lambda at_s: [_person(0.8 + 0.05 * at_s)], fps=5, start_s=0, end_s=4)
    pictures += _follow(tracker, lambda _: [], fps=5, start_s=4, end_s=6)
    boxes = [track.box for tracks in pictures for track in tracks]
    assert all(0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1 for box in boxes)


def test_key_points_are_of_this_picture(tracker: Tracker) -> None:
    points = (KeyPoint(0.5, 0.5, 0.9),)
    posed = Finding("person", 0.9, _person(0.5).box, points=points)
    pictures = _follow(tracker, lambda _: [posed], fps=5, start_s=0, end_s=1)
    assert pictures[-1][0].points == points
    assert tracker.see([], _seconds(1))[0].points == ()


def test_tracks_are_bounded_by_what_was_found_lately(tracker: Tracker) -> None:
    """A detector that sees something else somewhere else in every picture."""
    for picture in range(400):
        findings = [_person((picture * 0.37 + n * 0.21) % 1, (picture * 0.53 + n * 0.17) % 1) for n in range(5)]
        tracker.see(findings, _seconds(picture / 5))
    assert len(tracker.see([], _seconds(100))) == 0
