"""What of a buffer is kept: the pure decision, and the keeper that acts on it."""

from __future__ import annotations

import threading
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.keeping_site import MINUTE_US, Site, recorded_file
from tests.memory_installation import MemoryInstallation
from vms.contracts.keeping import ManualRecording, RecordingSpan
from vms.domain.recording_policy import Wanted
from vms.domain.recordings import Span
from vms.domain.time import format_time
from vms.storage import keeping

SECOND_US = 1_000_000
NOW_US = 1_795_428_780 * SECOND_US


class Event(NamedTuple):
    type: str
    start_us: int
    end_us: int | None


def _buffered(start_us: int, end_us: int | None = None, pre_s: int = 60, **changes: object) -> RecordingSpan:
    span = RecordingSpan(
        id=f"b{start_us}",
        camera_id="c",
        stream="main",
        kind="buffered",
        start_us=start_us,
        end_us=end_us,
        wanted=Wanted(pre_event_s=pre_s, post_event_s=30, event_types=("motion",)),
    )
    return span.model_copy(update=changes)


def _continuous(start_us: int, end_us: int | None = None) -> RecordingSpan:
    return RecordingSpan(
        id=f"c{start_us}", camera_id="c", stream="main", kind="continuous", start_us=start_us, end_us=end_us
    )


def test_spans_around_events_are_merged() -> None:
    wanted = Wanted(pre_event_s=10, post_event_s=5, event_types=("motion",))
    events = [
        Event("motion", 100 * SECOND_US, 110 * SECOND_US),
        Event("motion", 120 * SECOND_US, 121 * SECOND_US),
        Event("motion", 300 * SECOND_US, 300 * SECOND_US),
        Event("door", 500 * SECOND_US, 501 * SECOND_US),
    ]
    manual = [ManualRecording(id="m", camera_id="c", start_us=315 * SECOND_US, end_us=400 * SECOND_US, started_by="o")]
    assert keeping.wanted_spans(wanted, events, manual) == [
        Span(start_us=90 * SECOND_US, end_us=126 * SECOND_US),
        Span(start_us=290 * SECOND_US, end_us=400 * SECOND_US),
    ]


def test_what_goes_on_is_wanted_without_an_end() -> None:
    wanted = Wanted(pre_event_s=10, post_event_s=5)
    (span,) = keeping.wanted_spans(wanted, [Event("door", 100, None), Event("door", 500, 600)], [])
    assert span.end_us > NOW_US * 1000


def test_which_files_are_judged() -> None:
    old = recorded_file("c", NOW_US - 10 * MINUTE_US, MINUTE_US)
    span = _buffered(NOW_US - 60 * MINUTE_US)
    assert keeping.ripe(old, [span], NOW_US) == [span]
    # Being recorded; too young; longer than a buffer's file ever is.
    assert keeping.ripe(old.model_copy(update={"sealed": False}), [span], NOW_US) == []
    assert keeping.ripe(recorded_file("c", NOW_US - 4 * MINUTE_US, MINUTE_US), [span], NOW_US) == []
    assert keeping.ripe(recorded_file("c", NOW_US - 50 * MINUTE_US, 20 * MINUTE_US), [span], NOW_US) == []
    # Of a time that nobody remembers, recorded continuously before and after, judged already.
    assert keeping.ripe(old, [_buffered(NOW_US - MINUTE_US)], NOW_US) == []
    before = _continuous(NOW_US - 100 * MINUTE_US, old.start_us + 1)
    after = _continuous(old.end_us - 1)
    assert keeping.ripe(old, [before, span], NOW_US) == []
    assert keeping.ripe(old, [span, after], NOW_US) == []
    assert keeping.ripe(old, [span.model_copy(update={"judged_us": old.end_us})], NOW_US) == []
    # With a longer time before events it is too young.
    assert keeping.ripe(old, [_buffered(NOW_US - 60 * MINUTE_US, pre_s=600)], NOW_US) == []


@settings(max_examples=60, deadline=None)
@given(
    pre_s=st.integers(0, 600),
    post_s=st.integers(0, 120),
    length_s=st.integers(20, 90),
    events=st.lists(
        # start, length, how late it is told after its start (two minutes at most)
        st.tuples(st.integers(0, 1800), st.integers(0, 400), st.integers(0, 120)),
        max_size=8,
    ),
    turn_s=st.integers(5, 60),
)
def test_an_event_told_in_time_finds_its_whole_buffer(
    pre_s: int, post_s: int, length_s: int, events: list[tuple[int, int, int]], turn_s: int
) -> None:
    """Time passes in turns; at every turn what is old and unwanted goes. Nothing that an event wants ever does, and
    in the end nothing else is left."""
    span = _buffered(0, pre_s=pre_s)
    span = span.model_copy(update={"wanted": Wanted(pre_event_s=pre_s, post_event_s=post_s, event_types=("motion",))})
    files = [
        recorded_file("c", start_s * SECOND_US, length_s * SECOND_US, name=str(start_s))
        for start_s in range(0, 1800, length_s)
    ]
    left = {file.name for file in files}
    for now_s in range(0, 3000, turn_s):
        told = [
            # Open until its end, however late that is told.
            Event("motion", start * SECOND_US, (start + length) * SECOND_US if now_s >= start + length else None)
            for start, length, late in events
            if start + late <= now_s
        ]
        wanted = {span.id: keeping.wanted_spans(span.wanted, told, [])} if span.wanted else {}
        for file in files:
            if file.name not in left or file.end_us > now_s * SECOND_US:
                continue
            judged_by = keeping.ripe(file, [span], now_s * SECOND_US)
            if judged_by and not keeping.is_wanted(file, wanted, judged_by):
                left.discard(file.name)
        # The buffer is never shorter than the time before an event.
        young = {file.name for file in files if file.end_us > (now_s - pre_s) * SECOND_US}
        assert young <= left
    kept_by_right = {
        file.name
        for file in files
        for start, length, _ in events
        if file.start_us <= (start + length + post_s) * SECOND_US and (start - pre_s) * SECOND_US <= file.end_us
    }
    assert kept_by_right <= left
    assert left == kept_by_right


def test_the_keeper_drops_the_buffer_and_keeps_around_events() -> None:
    site = Site()
    camera = site.add_camera(recording={"mode": "motion", "pre_event_s": 60, "post_event_s": 30})
    start_us = site.clock.now_us()
    for minute in range(20):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    site.events.append((camera, Event("motion", start_us + 600 * SECOND_US, start_us + 610 * SECOND_US)))
    site.events.append((camera, Event("door", start_us + 900 * SECOND_US, start_us + 910 * SECOND_US)))
    site.clock.advance(20 * 60)
    site.turn()
    # 9:00 to 10:40 is wanted; files end where the next begins, so 8 touches too; the last four are not judged yet.
    assert site.minutes(camera, start_us) == [8, 9, 10, 16, 17, 18, 19]
    site.clock.advance(600)
    site.turn()
    assert site.minutes(camera, start_us) == [8, 9, 10]
    assert site.keeper.report().removed["unwanted"].files == 17
    # What was judged is kept, whatever becomes of the events.
    site.events.clear()
    site.turn()
    site.restart()
    site.turn()
    assert site.minutes(camera, start_us) == [8, 9, 10]


def test_after_a_restart_the_decision_is_the_same() -> None:
    site = Site()
    camera = site.add_camera(recording={"mode": "motion"})
    start_us = site.clock.now_us()
    for minute in range(10):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    site.events.append((camera, Event("motion", start_us + 300 * SECOND_US, None)))
    site.clock.advance(3600)
    site.restart()
    site.turn()
    assert site.minutes(camera, start_us) == [3, 4, 5, 6, 7, 8, 9]


def test_what_was_recorded_continuously_stays_when_the_mode_changes() -> None:
    site = Site()
    camera = site.add_camera()
    start_us = site.clock.now_us()
    for minute in range(5):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    site.clock.advance(300)
    site.patch(camera, {"recording": {"mode": "motion"}})
    for minute in range(6, 10):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US + 1000))
    site.clock.advance(300)
    site.patch(camera, {"recording": {"mode": "continuous"}})
    for minute in range(11, 15):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    site.clock.advance(3600)
    site.turn()
    assert site.minutes(camera, start_us) == [0, 1, 2, 3, 4, 9, 11, 12, 13, 14]


def test_an_operators_recording_keeps_the_buffer() -> None:
    site = Site()
    camera = site.add_camera(recording={"mode": "motion", "pre_event_s": 0})
    start_us = site.clock.now_us()
    site.clock.advance(330)
    site.ingest.start_recording(camera, 60, "ona")
    for minute in range(10):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    site.clock.advance(3600)
    site.turn()
    assert site.minutes(camera, start_us) == [5, 6]


def test_a_buffer_is_left_alone_while_events_cannot_be_read() -> None:
    site = Site()
    camera = site.add_camera(recording={"mode": "motion"})
    start_us = site.clock.now_us()
    site.files.put(recorded_file(camera, start_us, MINUTE_US))
    site.events_fail = True
    site.clock.advance(3600)
    site.turn(fails=True)
    assert site.minutes(camera, start_us) == [0]
    site.events_fail = False
    site.turn()
    assert site.minutes(camera, start_us) == []


def test_a_file_that_cannot_be_removed_is_tried_again() -> None:
    site = Site()
    camera = site.add_camera(recording={"mode": "motion"})
    start_us = site.clock.now_us()
    site.files.put(recorded_file(camera, start_us, MINUTE_US))
    site.files.refuse_removals = True
    site.clock.advance(3600)
    site.turn()
    site.files.refuse_removals = False
    site.turn()
    assert site.minutes(camera, start_us) == [0]
    site.clock.advance(61)
    site.turn()
    assert site.minutes(camera, start_us) == []


def test_a_locked_buffer_stays() -> None:
    site = Site()
    camera = site.add_camera(recording={"mode": "motion"})
    start_us = site.clock.now_us()
    for minute in range(3):
        site.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    site.lock(camera, start_us + MINUTE_US + 1, start_us + MINUTE_US + 2)
    site.clock.advance(3600)
    site.turn()
    assert site.minutes(camera, start_us) == [1]


def test_an_event_that_is_posted_keeps_the_buffer(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(recording={"mode": "event", "pre_event_s": 60})["id"]
    start_us = vms.clock.now_us()
    for minute in range(10):
        vms.files.put(recorded_file(camera, start_us + minute * MINUTE_US, MINUTE_US))
    vms.clock.advance(330)
    posted = vms.client.post(
        "/api/v1/events",
        json={
            "camera_id": camera,
            "type": "door.opened",
            "start": format_time(start_us + 5 * MINUTE_US),
            "end": format_time(start_us + 5 * MINUTE_US + 1),
        },
    )
    assert posted.status_code == 201, posted.text
    vms.clock.advance(3600)
    assert vms.rooms.keeper is not None
    vms.rooms.keeper.turn(threading.Event())
    assert sorted((file.start_us - start_us) // MINUTE_US for file in vms.files.files.values()) == [3, 4, 5]
