"""Journals: whatever is appended is read; whatever is cut off, what lies before is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vms.adapters.event_log import journal, parquet
from vms.contracts.events import AmendedEvent, JournalEntry, NewEvent
from vms.domain.events import Event, EventAmendment, check_event
from vms.domain.ids import make_id

NOW_US = 1_795_428_780_000_000
_texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
_json = st.recursive(
    _scalars | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_events = st.builds(
    Event,
    id=st.integers(0, 5).map(lambda number: make_id(NOW_US, bytes([number]) * 8)),
    camera_id=st.just(make_id(1, b"\0" * 8)),
    type=st.sampled_from(["motion", "line.crossed"]),
    start_us=st.integers(NOW_US - 10, NOW_US),
    end_us=st.none() | st.integers(NOW_US, NOW_US + 10),
    source=st.sampled_from(["motion", "api:ana"]),
    score=st.none() | st.floats(0, 1),
    text=_texts,
    data=st.dictionaries(_texts, _json, max_size=3),
    created_us=st.just(NOW_US),
)
_amendments = st.builds(
    AmendedEvent,
    event=_events,
    amendment=st.builds(
        EventAmendment,
        end_us=st.none() | st.integers(NOW_US, NOW_US + 10),
        text=st.none() | _texts,
        score=st.none() | st.floats(0, 1),
    ),
    at_us=st.just(NOW_US),
)
_entries: st.SearchStrategy[list[JournalEntry]] = st.lists(_events.map(NewEvent) | _amendments, max_size=6)


def _expected(entries: list[JournalEntry]) -> dict[str, Event]:
    events: dict[str, Event] = {}
    for entry in entries:
        if isinstance(entry, NewEvent):
            events[entry.event.id] = entry.event
        elif entry.event.id in events:
            events[entry.event.id] = entry.amendment.apply(events[entry.event.id])
    return events


@given(_entries, st.data())
def test_any_cut_leaves_the_lines_before_it(entries: list[JournalEntry], data: st.DataObject) -> None:
    lines = [journal.encode(entry) for entry in entries]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    read = journal.parse(whole[:cut])
    kept = 0
    while kept < len(lines) and sum(map(len, lines[: kept + 1])) <= cut:
        kept += 1
    assert read.problems == []
    assert read.whole_bytes == sum(map(len, lines[:kept]))
    events: dict[str, Event] = {}
    journal.replay(events, read.operations)
    assert events == _expected(entries[:kept])
    # Once more changes nothing: a journal may be merged twice.
    journal.replay(events, read.operations)
    assert events == _expected(entries[:kept])


@given(_entries, st.data())
def test_a_flipped_bit_costs_its_line_at_most(entries: list[JournalEntry], data: st.DataObject) -> None:
    lines = [journal.encode(entry) for entry in entries]
    whole = bytearray(b"".join(lines))
    if not whole:
        return
    offset = data.draw(st.integers(0, len(whole) - 1))
    whole[offset] ^= 1 << data.draw(st.integers(0, 7))
    read = journal.parse(bytes(whole))
    # A lost line end takes the next line with it.
    assert len(read.operations) >= len(lines) - 2
    assert read.problems or read.whole_bytes < len(whole)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    read = journal.parse(data)
    assert 0 <= read.whole_bytes <= len(data)


@given(st.recursive(_scalars | _texts, lambda inner: st.lists(inner) | st.dictionaries(_texts, inner), max_leaves=6))
def test_any_json_with_a_checksum_is_read_without_an_exception(value: object) -> None:
    line = journal.line({"op": "event", "id": value, "data": value})
    assert len(journal.parse(line + line).problems) == 2


@given(st.lists(_events, unique_by=lambda event: event.id, max_size=5))
def test_parquet_gives_back_what_it_was_given(events: list[Event]) -> None:
    for event in events:
        check_event(event, NOW_US)
    ordered = sorted(events, key=lambda event: (event.start_us, event.id))
    assert parquet.decode(parquet.encode(events)) == ordered
