"""EventRepository."""

from __future__ import annotations

import pytest

from vms.adapters.memory.events import MemoryEventRepository
from vms.adapters.sql import SqlEventRepository
from vms.contracts.events import EventHour, EventPosition, EventQuery, EventRepository, FilesChange, HourFiles
from vms.domain.events import HOUR_US, LONGEST_EVENT_US, Event, EventMark
from vms.domain.ids import make_id

GATE, YARD = make_id(1, b"\1" * 8), make_id(1, b"\2" * 8)
NOW_US = 1_795_428_780_000_000


def _event(number: int, **changes: object) -> Event:
    event = Event(
        id=make_id(NOW_US, bytes([number]) * 8),
        camera_id=GATE,
        type="motion",
        start_us=NOW_US + number,
        end_us=NOW_US + number,
        source="motion",
        text="",
        created_us=NOW_US,
    )
    return event.model_copy(update=changes)


@pytest.fixture(params=["memory", "sql"])
def events(request: pytest.FixtureRequest) -> EventRepository:
    if request.param == "memory":
        return MemoryEventRepository()
    return SqlEventRepository(request.getfixturevalue("database"))


def _found(events: EventRepository, **query: object) -> list[int]:
    page = events.page(EventQuery.model_validate(query), None, 100)
    return [event.start_us - NOW_US for event in page]


def test_an_event_comes_back_as_it_was(events: EventRepository) -> None:
    whole = _event(1, score=0.25, text="é 😀", data={"b": [1, None, {"c": 2**62}], "a": 0.5}, source="api:ana")
    bare = _event(2, end_us=None)
    events.put([whole, bare], {})
    assert events.find(whole.id) == whole
    assert events.find(bare.id) == bare
    assert events.find(make_id(1, b"\0" * 8)) is None
    closed = bare.model_copy(update={"end_us": NOW_US + 99, "text": "seen"})
    events.put([bare, closed], {})
    assert events.find(bare.id) == closed
    assert _found(events) == [2, 1]


def test_pages_go_from_the_newest_start_on(events: EventRepository) -> None:
    same_start = [_event(number, start_us=NOW_US + 5) for number in (1, 2, 3)]
    events.put([_event(4), *same_start, _event(6)], {})
    pages = []
    before = None
    while page := events.page(EventQuery(), before, 2):
        pages.append([event.id for event in page])
        before = EventPosition(page[-1].start_us, page[-1].id)
    assert pages == [
        [_event(6).id, same_start[2].id],
        [same_start[1].id, same_start[0].id],
        [_event(4).id],
    ]


def test_questions(events: EventRepository) -> None:
    events.put(
        [
            _event(1, camera_id=YARD, text="Ärger AM Tor"),
            _event(2, type="line.crossed", text="100%_x"),
            _event(3, type="io.input"),
        ],
        {},
    )
    assert _found(events, camera_ids=(YARD,)) == [1]
    assert _found(events, camera_ids=(YARD, GATE)) == [3, 2, 1]
    assert _found(events, types=("motion", "io.input")) == [3, 1]
    assert _found(events, words=("ärger", "tor")) == [1]
    assert _found(events, words=("ärger", "cross")) == []
    assert _found(events, words=("crossed",)) == [2]
    assert _found(events, words=("%_",)) == [2]
    assert _found(events, words=("0_",)) == []
    assert _found(events, start_us=NOW_US + 2) == [3, 2]
    assert _found(events, end_us=NOW_US + 2) == [1]
    assert _found(events, start_us=NOW_US + 2, end_us=NOW_US + 3) == [2]


def test_what_goes_on_into_a_span_belongs_to_it(events: EventRepository) -> None:
    span = {"start_us": NOW_US, "end_us": NOW_US + 10}
    events.put([_event(1, start_us=NOW_US - 5, end_us=NOW_US)], {})
    assert _found(events, **span) == []
    events.put([_event(2, start_us=NOW_US - 4, end_us=NOW_US + 1)], {})
    events.put([_event(3, start_us=NOW_US - LONGEST_EVENT_US, end_us=None)], {})
    events.put([_event(4, start_us=NOW_US - LONGEST_EVENT_US - 1, end_us=None)], {})
    events.put([_event(5, start_us=NOW_US + 10)], {})
    assert _found(events, **span) == [-4, -LONGEST_EVENT_US]
    marks = events.marks(GATE, NOW_US, NOW_US + 10, 9)
    assert marks == [
        EventMark(_event(2).id, "motion", NOW_US - 4, NOW_US + 1),
        EventMark(_event(3).id, "motion", NOW_US - LONGEST_EVENT_US, None),
    ]
    assert events.marks(GATE, NOW_US, NOW_US + 10, 1) == marks[:1]
    assert events.marks(YARD, NOW_US, NOW_US + 10, 9) == []
    assert _found(events, **span, is_open=True) == [-LONGEST_EVENT_US]


def test_an_hours_events_are_replaced_as_a_whole(events: EventRepository) -> None:
    hour = EventHour(GATE, _event(1).hour_us)
    others = [
        _event(3, camera_id=YARD),
        _event(4, start_us=hour.hour_us + HOUR_US),
        _event(5, start_us=hour.hour_us - 1),
    ]
    events.put([_event(1), _event(2), *others], {})
    files = HourFiles(journal_bytes=2**40, parquet_bytes=7, parquet_modified_ns=2**60)
    many = [_event(1, id=make_id(NOW_US, number.to_bytes(8, "big")), start_us=hour.hour_us) for number in range(1200)]
    events.put_hour(hour, many, files)
    assert events.find(_event(2).id) is None
    assert all(events.find(event.id) == event for event in [many[0], many[-1], *others])
    assert events.hours() == {hour: files}
    events.put_hour(hour, [], None)
    assert events.hours() == {}
    assert len(events.page(EventQuery(), None, 9)) == 3


def test_files_are_noted_only_where_the_state_before_is_known(events: EventRepository) -> None:
    hour = EventHour(GATE, _event(1).hour_us)
    none, first, second = HourFiles(), HourFiles(journal_bytes=10), HourFiles(journal_bytes=20)
    events.put([], {hour: FilesChange(first, second)})
    assert events.hours() == {}
    events.put([], {hour: FilesChange(none, first)})
    assert events.hours() == {hour: first}
    events.put([], {hour: FilesChange(none, second)})
    assert events.hours() == {hour: first}
    events.put([], {hour: FilesChange(first, second)})
    assert events.hours() == {hour: second}
