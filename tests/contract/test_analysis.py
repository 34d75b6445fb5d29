"""AnalysisLog and CountRepository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vms.adapters.analysis_log import AnalysisLogFiles
from vms.adapters.memory.analysis import MemoryAnalysisLog, MemoryCounts
from vms.adapters.sql import SqlCounts
from vms.contracts.analysis import MINUTE_US, AnalysedFrame, AnalysisLog, Count, CountRepository, EventStill
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US
from vms.domain.ids import make_id
from vms.domain.motion import Box
from vms.domain.recordings import Span
from vms.domain.vision import KeyPoint, Track

HOUR = 1_750_000_000_000_000 // HOUR_US * HOUR_US
CAMERA, OTHER = make_id(1, b"\0" * 8), make_id(2, b"\0" * 8)
EVENT = make_id(HOUR, b"\1" * 8)


def _frame(at_us: int, *labels: str, camera_id: str = CAMERA) -> AnalysedFrame:
    tracks = tuple(
        Track(
            number=number,
            label=label,
            score=0.5,
            box=Box(0.25, 0.5, 0.75, 1.0),
            since_us=at_us - 3_000_000,
            at_us=at_us,
            seen=number % 2 == 0,
            points=(KeyPoint(0.25, 0.75, 1.0),) * number,
        )
        for number, label in enumerate(labels)
    )
    return AnalysedFrame(camera_id, "sub", at_us, at_us * 9 // 100, 90_000, 640, 360, tracks)


def _close(found: AnalysedFrame, wanted: AnalysedFrame) -> bool:
    """Equal but for what 16 bits do not hold."""
    if len(found.tracks) != len(wanted.tracks):
        return False
    for one, other in zip(found.tracks, wanted.tracks, strict=True):
        assert (one.number, one.label, one.seen, one.since_us) == (
            other.number,
            other.label,
            other.seen,
            other.since_us,
        )
        assert one.box.left == pytest.approx(other.box.left, abs=1e-4)
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert len(one.points) == len(other.points)
    return (found.camera_id, found.stream, found.at_us, found.pts, found.clock_rate, found.width, found.height) == (
        wanted.camera_id,
        wanted.stream,
        wanted.at_us,
        wanted.pts,
        wanted.clock_rate,
        wanted.width,
        wanted.height,
    )


@pytest.fixture(params=["memory", "files", "flushed files"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnalysisLog]:
    if request.param == "memory":
        yield MemoryAnalysisLog()
        return
    log = AnalysisLogFiles(tmp_path, flush_s=3600.0)
    yield _Flushed(log) if request.param == "flushed files" else log
    log.close()


class _Flushed:
    """As the files, each thing on the disk at once."""

    def __init__(self, log: AnalysisLogFiles) -> None:
        self._log = log
        self.still, self.frames, self.cameras, self.remove_before = (
            log.still,
            log.frames,
            log.cameras,
            log.remove_before,
        )
        self.close = log.close

    def append(self, frame: AnalysedFrame) -> None:
        self._log.append(frame)
        self._log.flush()

    def keep_still(self, camera_id: str, event_id: str, start_us: int, still: EventStill) -> None:
        self._log.keep_still(camera_id, event_id, start_us, still)
        self._log.flush()


def test_frames_come_back_in_order_of_time(log: AnalysisLog) -> None:
    times = [HOUR + 5_000_000, HOUR + 6_000_000, HOUR + HOUR_US + 1, HOUR - 1]
    wanted = [_frame(at_us, *("person", "car", "möbel")[: index + 1]) for index, at_us in enumerate(times)]
    for frame in [*wanted, _frame(HOUR, "person", camera_id=OTHER)]:
        log.append(frame)
    found = log.frames(CAMERA, Span(start_us=HOUR - HOUR_US, end_us=HOUR + 2 * HOUR_US), 100)
    assert [frame.at_us for frame in found] == sorted(times)
    assert all(_close(one, other) for one, other in zip(found, [wanted[3], *wanted[:3]], strict=True))
    within = log.frames(CAMERA, Span(start_us=times[0], end_us=times[1]), 100)
    assert [frame.at_us for frame in within] == [times[0]]
    assert [frame.at_us for frame in log.frames(CAMERA, Span(start_us=0, end_us=2**60), 2)] == sorted(times)[:2]
    assert not log.frames(make_id(3, b"\0" * 8), Span(start_us=0, end_us=2**60), 2)


def test_the_last_still_of_an_event_counts(log: AnalysisLog) -> None:
    with pytest.raises(Failure) as none:
        log.still(CAMERA, EVENT, HOUR)
    assert none.value.kind == "not_found"
    first = EventStill(HOUR + 1, None, b"\xff\xd8first")
    best = EventStill(HOUR + HOUR_US + 1, Box(0.0, 0.25, 0.5, 1.0), b"\xff\xd8best" * 1000)
    log.keep_still(CAMERA, EVENT, HOUR + 1, first)
    assert log.still(CAMERA, EVENT, HOUR + 1) == first
    log.append(_frame(HOUR + 5, "person"))
    log.keep_still(CAMERA, EVENT, HOUR + 1, best)
    found = log.still(CAMERA, EVENT, HOUR + 1)
    assert (found.taken_us, found.jpeg) == (best.taken_us, best.jpeg)
    assert found.box is not None
    assert found.box.top == pytest.approx(0.25, abs=1e-4)
    for camera_id, event_id, start_us in ((OTHER, EVENT, HOUR), (CAMERA, CAMERA, HOUR), (CAMERA, EVENT, HOUR - 1)):
        with pytest.raises(Failure):
            log.still(camera_id, event_id, start_us)


def test_a_still_that_is_too_large_is_refused(log: AnalysisLog) -> None:
    with pytest.raises(Failure) as refused:
        log.keep_still(CAMERA, EVENT, HOUR, EventStill(HOUR, None, b"\0" * (64 * 1024 + 1)))
    assert refused.value.kind == "invalid"


def test_hours_that_are_over_can_be_removed(log: AnalysisLog) -> None:
    for at_us in (HOUR - HOUR_US, HOUR - 1, HOUR, HOUR + HOUR_US):
        log.append(_frame(at_us, "person"))
    log.append(_frame(HOUR - HOUR_US, camera_id=OTHER))
    log.keep_still(CAMERA, EVENT, HOUR - 2 * HOUR_US, EventStill(1, None, b"jpeg"))
    log.frames(CAMERA, Span(start_us=0, end_us=2**60), 100)
    if isinstance(log, AnalysisLogFiles):
        log.flush()
    assert list(log.cameras()) == [CAMERA, OTHER]
    assert log.remove_before(CAMERA, HOUR + HOUR_US - 1) == 2
    left = log.frames(CAMERA, Span(start_us=0, end_us=2**60), 100)
    assert [frame.at_us for frame in left] == [HOUR, HOUR + HOUR_US]
    assert len(log.frames(OTHER, Span(start_us=0, end_us=2**60), 100)) == 1
    with pytest.raises(Failure):
        log.still(CAMERA, EVENT, HOUR - 2 * HOUR_US)


@pytest.fixture(params=["memory", "sql"])
def counts(request: pytest.FixtureRequest) -> CountRepository:
    return MemoryCounts() if request.param == "memory" else SqlCounts(request.getfixturevalue("database"))


def _seen(minute: int, count: int, camera_id: str = CAMERA, label: str = "person") -> Count:
    return Count(camera_id=camera_id, start_us=HOUR + minute * MINUTE_US, kind="seen", label=label, count=count)


def test_counts_of_a_minute_add_up(counts: CountRepository) -> None:
    counts.add([_seen(0, 2), _seen(0, 3), _seen(1, 5), _seen(1, 7, label="car"), _seen(1, 1, camera_id=OTHER)])
    counts.add([_seen(0, 1)])
    counts.add([])
    span = Span(start_us=HOUR, end_us=HOUR + HOUR_US)
    found = [(count.start_us, count.label, count.count) for count in counts.counts([CAMERA], span, MINUTE_US)]
    assert found == [(HOUR, "person", 6), (HOUR + MINUTE_US, "car", 7), (HOUR + MINUTE_US, "person", 5)]
    by_hour = {(count.camera_id, count.label): count.count for count in counts.counts(None, span, HOUR_US)}
    assert by_hour == {(CAMERA, "person"): 11, (CAMERA, "car"): 7, (OTHER, "person"): 1}
    assert not counts.counts([CAMERA], Span(start_us=HOUR - HOUR_US, end_us=HOUR), MINUTE_US)
    assert not counts.counts([], span, MINUTE_US)


def test_steps_begin_where_the_span_does(counts: CountRepository) -> None:
    counts.add([_seen(minute, 1) for minute in range(10)])
    start_us = HOUR + 3 * MINUTE_US
    found = counts.counts(None, Span(start_us=start_us, end_us=start_us + 6 * MINUTE_US), 4 * MINUTE_US)
    assert [(count.start_us - start_us, count.count) for count in found] == [(0, 4), (4 * MINUTE_US, 2)]


def test_how_many_were_inside_has_a_mean_and_a_peak(counts: CountRepository) -> None:
    def inside(minute: int, mean: float, peak: int) -> Count:
        start_us = HOUR + minute * MINUTE_US
        return Count(camera_id=CAMERA, start_us=start_us, kind="inside", label="", rule_id="hall", mean=mean, peak=peak)

    counts.add([inside(0, 1.0, 2), inside(0, 3.0, 5), inside(1, 8.0, 9), inside(2, 0.0, 0)])
    span = Span(start_us=HOUR, end_us=HOUR + HOUR_US)
    by_minute = [(count.mean, count.peak) for count in counts.counts(None, span, MINUTE_US)]
    assert by_minute == [(2.0, 5), (8.0, 9), (0.0, 0)]
    (hour,) = counts.counts(None, span, HOUR_US)
    assert hour.mean == pytest.approx(10 / 3)
    assert (hour.peak, hour.rule_id) == (9, "hall")


def test_old_counts_are_dropped(counts: CountRepository) -> None:
    counts.add([_seen(0, 1), _seen(1, 1), _seen(0, 1, camera_id=OTHER)])
    counts.drop(CAMERA, HOUR + MINUTE_US)
    found = counts.counts(None, Span(start_us=HOUR, end_us=HOUR + HOUR_US), MINUTE_US)
    assert sorted((count.camera_id, count.start_us) for count in found) == [
        (CAMERA, HOUR + MINUTE_US),
        (OTHER, HOUR),
    ]


def test_old_counts_of_all_cameras_are_dropped(counts: CountRepository) -> None:
    counts.add([_seen(0, 1), _seen(1, 1), _seen(0, 1, camera_id=OTHER)])
    counts.drop(None, HOUR + MINUTE_US)
    found = counts.counts(None, Span(start_us=HOUR, end_us=HOUR + HOUR_US), MINUTE_US)
    assert [(count.camera_id, count.start_us) for count in found] == [(CAMERA, HOUR + MINUTE_US)]


def test_more_counts_than_anybody_reads_are_refused(counts: CountRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("memory", "sql"):
        monkeypatch.setattr(f"vms.adapters.{module}.analysis.MOST_COUNTS", 3)
    span = Span(start_us=HOUR, end_us=HOUR + HOUR_US)
    counts.add([_seen(minute, 1) for minute in range(3)])
    assert len(counts.counts(None, span, MINUTE_US)) == 3
    counts.add([_seen(3, 1)])
    with pytest.raises(Failure) as refused:
        counts.counts(None, span, MINUTE_US)
    assert (refused.value.kind, refused.value.code) == ("invalid", "too-many-counts")
    assert len(counts.counts(None, span, HOUR_US)) == 1
