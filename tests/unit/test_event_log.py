"""The event log's files: whatever happens to the process, the power or the disk, what was acknowledged is there."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulated_disk import SimulatedDisk, Stop
from vms.adapters.event_log import EventLogFiles, journal, parquet
from vms.adapters.event_log.crc32c import crc32c
from vms.contracts.events import AmendedEvent, EventHour, JournalEntry, NewEvent
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US, Event, EventAmendment
from vms.domain.ids import make_id

CAMERA = make_id(1, b"\1" * 8)
START_US = 1_795_428_780_000_000
HOUR = EventHour(CAMERA, START_US // HOUR_US * HOUR_US)
STORAGE = Path("/archive")
GOLDEN = Path(__file__).parents[1] / "golden"


def _event(number: int, **changes: object) -> Event:
    event = Event(
        id=make_id(START_US, bytes([number]) * 8),
        camera_id=CAMERA,
        type="motion",
        start_us=START_US + number,
        source="motion",
        created_us=START_US,
    )
    return event.model_copy(update=changes)


def _read(disk: SimulatedDisk) -> dict[str, Event]:
    """What a start after the trouble finds."""
    files = EventLogFiles(STORAGE, disk)
    assert set(files.hours(None)) <= {HOUR}
    files.files_of(HOUR)
    content = files.read(HOUR)
    assert content.problems == []
    return {event.id: event for event in content.events}


# Batches of an hour: events, one closed, a late one after the hour was moved, one closed then.
BATCHES: list[list[JournalEntry]] = [
    [NewEvent(_event(1)), NewEvent(_event(2, text="é"))],
    [AmendedEvent(_event(1), EventAmendment(end_us=START_US + 50), START_US + 50), NewEvent(_event(3))],
    [NewEvent(_event(4))],
    [AmendedEvent(_event(2), EventAmendment(end_us=START_US + 60, text="seen", data={"n": 2}), START_US + 60)],
]


def _after(batches: list[list[JournalEntry]]) -> dict[str, Event]:
    events: dict[str, Event] = {}
    for batch in batches:
        for entry in batch:
            if isinstance(entry, NewEvent):
                events[entry.event.id] = entry.event
            else:
                events[entry.event.id] = entry.amendment.apply(events[entry.event.id])
    return events


def _live(disk: SimulatedDisk, acknowledge: Callable[[int], None]) -> None:
    """Two batches, the move into Parquet, two more, the move again."""
    files = EventLogFiles(STORAGE, disk)
    for number, batch in enumerate(BATCHES):
        report = files.append(batch)
        assert report.failures == [None] * len(batch)
        acknowledge(number + 1)
        if number % 2 == 1:
            compaction = files.prepare(HOUR)
            assert compaction is not None
            assert files.finish(compaction) is not None
    files.close()


@pytest.mark.parametrize("power_cut", [False, True])
def test_nothing_acknowledged_is_lost_wherever_it_ends(power_cut: bool) -> None:
    whole = SimulatedDisk()
    _live(whole, lambda _: None)
    assert whole.calls > 40
    seen_states = set()
    for calls in range(whole.calls + 1):
        disk = SimulatedDisk(stop_after=calls)
        acknowledged = [0]
        with contextlib.suppress(Stop):
            _live(disk, acknowledged.append)
        disk.restart(power_cut=power_cut)
        found = _read(disk)
        done = acknowledged[-1]
        begun = min(done + 1, len(BATCHES))
        # Of the batch under way there may be all, some or nothing.
        for event_id, event in _after(BATCHES[:done]).items():
            assert found[event_id] in (event, _after(BATCHES[:begun])[event_id]), f"stopped after {calls} calls"
        assert set(found) <= set(_after(BATCHES[:begun]))
        seen_states.add(len(found))
        # And whatever it was, the next run goes on from there.
        files = EventLogFiles(STORAGE, disk)
        assert files.append([NewEvent(_event(9))]).failures == [None]
        assert _read(disk) == {**found, _event(9).id: _event(9)}
    assert seen_states >= {0, 2, 3, 4}


def test_a_torn_line_at_every_length_is_cut_and_the_lines_before_stay() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append(BATCHES[0])
    files.close()
    (path,) = [path for path in disk.files if path.suffix == ".journal"]
    data = bytes(disk.files[path])
    first_line = data.index(b"\n") + 1
    for length in range(len(data) + 1):
        disk.files[path] = bytearray(data[:length])
        disk.restart(power_cut=False)
        found = _read(disk)
        assert len(found) == (2 if length == len(data) else 1 if length >= first_line else 0)
        assert len(disk.files[path]) in (0, first_line, len(data))


@pytest.mark.parametrize("tail", [b"\0" * 50, b"garbage\n", b"00000000 {}\n", b"{", b"\xff\n"])
def test_what_is_no_line_at_the_end_is_cut(tail: bytes) -> None:
    disk = SimulatedDisk()
    EventLogFiles(STORAGE, disk).append(BATCHES[0])
    (path,) = [path for path in disk.files if path.suffix == ".journal"]
    whole = bytes(disk.files[path])
    disk.files[path] += tail
    assert set(_read(disk)) == set(_after(BATCHES[:1]))
    assert bytes(disk.files[path]) == whole


def test_a_damaged_line_in_the_middle_is_reported_and_the_file_is_left_alone() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append([NewEvent(_event(number)) for number in (1, 2, 3)])
    files.close()
    (path,) = [path for path in disk.files if path.suffix == ".journal"]
    second = disk.files[path].index(b"\n") + 1
    disk.files[path][second + 20] ^= 1
    damaged = bytes(disk.files[path])
    files = EventLogFiles(STORAGE, disk)
    files.files_of(HOUR)
    content = files.read(HOUR)
    assert [event.id for event in content.events] == [_event(1).id, _event(3).id]
    assert content.problems == [f"{path}: the line at byte {second} does not match its checksum"]
    assert files.prepare(HOUR) is None
    assert files.append([NewEvent(_event(4))]).failures == [None]
    assert bytes(disk.files[path]).startswith(damaged)
    assert len(files.read(HOUR).events) == 3


def test_a_line_of_a_later_version_is_reported_and_kept() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append(BATCHES[0])
    (path,) = [path for path in disk.files if path.suffix == ".journal"]
    disk.files[path] += journal.line({"op": "hide", "id": _event(1).id}) + journal.line({"op": "event"})
    content = EventLogFiles(STORAGE, disk).read(HOUR)
    assert len(content.events) == 2
    assert ["does not know" in problem or "no event" in problem for problem in content.problems] == [True, True]
    assert EventLogFiles(STORAGE, disk).prepare(HOUR) is None


@pytest.mark.parametrize("call", ["make_directories", "open", "write_at", "sync", "sync_directory"])
def test_a_disk_that_refuses_is_told_and_leaves_no_trace(call: str) -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    other = EventHour(CAMERA, HOUR.hour_us - HOUR_US)
    for number, kept in ((1, False), (2, True), (3, False), (4, True)):
        if not kept and number == 3 and call in {"make_directories", "open", "sync_directory"}:
            continue
        disk.refusing = {} if kept else {call: errno.ENOSPC}
        report = files.append([NewEvent(_event(number))])
        assert report.failures == [None if kept else "No space left on device"]
    disk.refusing = {}
    assert other not in files.hours(None)
    assert set(_read(disk)) == {_event(2).id, _event(4).id}


def test_what_was_refused_is_cut_even_when_the_disk_refuses_that_too() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append([NewEvent(_event(1))])
    disk.refusing = {"sync": errno.EIO, "truncate": errno.EIO}
    assert files.append([NewEvent(_event(2))]).failures == ["Input/output error"]
    assert files.append([NewEvent(_event(3))]).failures == ["Input/output error"]
    disk.refusing = {}
    assert files.append([NewEvent(_event(4))]).failures == [None]
    assert set(_read(disk)) == {_event(1).id, _event(4).id}


def test_one_hours_disk_trouble_is_not_the_others() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    other_camera = make_id(1, b"\2" * 8)
    disk.refusing_below = STORAGE / "cameras" / CAMERA
    report = files.append([NewEvent(_event(1)), NewEvent(_event(2, camera_id=other_camera)), NewEvent(_event(3))])
    assert [failure is None for failure in report.failures] == [False, True, False]
    assert list(report.files) == [EventHour(other_camera, HOUR.hour_us)]


def test_events_that_come_while_an_hour_is_moved_stay_in_the_journal() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append(BATCHES[0])
    compaction = files.prepare(HOUR)
    assert compaction is not None
    files.append(BATCHES[1])
    assert files.finish(compaction) is None
    assert _read(disk) == _after(BATCHES[:2])
    again = files.prepare(HOUR)
    assert again is not None
    assert files.finish(again) is not None
    assert files.prepare(HOUR) is None
    assert _read(disk) == _after(BATCHES[:2])
    assert [path.name for path in disk.files] == ["events_10.parquet"]


def test_an_event_taken_away_stays_away() -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append(BATCHES[0])
    (path,) = [path for path in disk.files if path.suffix == ".journal"]
    disk.files[path] += journal.encode_removal(_event(1).id, START_US)
    journal_bytes = bytes(disk.files[path])
    files = EventLogFiles(STORAGE, disk)
    compaction = files.prepare(HOUR)
    assert compaction is not None
    files.finish(compaction)
    assert set(_read(disk)) == {_event(2).id}
    # The journal came back: it was not removed before the end of the process.
    disk.files[path] = bytearray(journal_bytes)
    assert set(_read(disk)) == {_event(2).id}


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 100, b"garbage"])
def test_a_parquet_file_that_cannot_be_read_is_named_and_left_alone(data: bytes) -> None:
    disk = SimulatedDisk()
    files = EventLogFiles(STORAGE, disk)
    files.append(BATCHES[0])
    path = next(iter(disk.files)).with_suffix(".parquet")
    disk.files[path] = bytearray(data)
    for ask in (files.read, files.prepare):
        with pytest.raises(Failure, match=r"events_10\.parquet cannot be read") as refused:
            ask(HOUR)
        assert refused.value.kind == "malformed"
    assert bytes(disk.files[path]) == data


def test_every_flipped_byte_of_a_parquet_file_is_noticed_or_harmless() -> None:
    events = [_event(number, text="text", data={"k": number}) for number in range(5)]
    data = parquet.encode(events)
    for offset in range(0, len(data), 7):
        torn = bytearray(data)
        torn[offset] ^= 0x10
        try:
            found = parquet.decode(bytes(torn))
        except Failure as failure:
            assert failure.kind == "malformed"
        else:
            assert all(isinstance(event, Event) for event in found)


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720 §B.4.
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


GOLDEN_EVENTS = [
    Event(
        id="01a207e5-07e0-7020-8101-010101010101",
        camera_id="01a207e5-07e0-7000-8000-000000000001",
        type="line.crossed",
        start_us=1_795_428_780_000_001,
        end_us=1_795_428_785_500_000,
        source="api:ana",
        score=0.875,
        text="Lieferwagen über die Linie 😀",
        data={"direction": "in", "line": {"id": 3}, "plate": None, "speeds": [1, 2.5]},
        created_us=1_795_428_780_100_000,
    ),
    Event(
        id="01a207e5-07e0-7020-8202-020202020202",
        camera_id="01a207e5-07e0-7000-8000-000000000001",
        type="io.input",
        start_us=1_795_428_790_000_000,
        source="camera",
        created_us=1_795_428_790_000_000,
    ),
]


def test_the_golden_journal_is_read_and_written_as_ever() -> None:
    data = (GOLDEN / "events_10.journal").read_bytes()
    opened, other = GOLDEN_EVENTS[0].model_copy(update={"end_us": None, "score": None}), GOLDEN_EVENTS[1]
    gone = other.model_copy(update={"id": "01a207e5-07e0-7020-8303-030303030303"})
    amendment = EventAmendment(end_us=GOLDEN_EVENTS[0].end_us, score=0.875)
    written = [
        journal.encode(NewEvent(opened)),
        journal.encode(NewEvent(gone)),
        journal.encode(AmendedEvent(opened, amendment, 1_795_428_785_600_000)),
        journal.encode_removal(gone.id, 1_795_428_786_000_000),
        journal.encode(NewEvent(other)),
    ]
    assert data == b"".join(written)
    read = journal.parse(data)
    events: dict[str, Event] = {}
    assert (read.whole_bytes, read.problems, journal.replay(events, read.operations)) == (len(data), [], [])
    assert list(events.values()) == GOLDEN_EVENTS


def test_the_golden_parquet_file_is_read_as_ever() -> None:
    assert parquet.decode((GOLDEN / "events_10.parquet").read_bytes()) == GOLDEN_EVENTS


def test_the_real_disk_keeps_events(tmp_path: Path) -> None:
    files = EventLogFiles(tmp_path)
    for batch in BATCHES[:2]:
        assert files.append(batch).failures == [None] * len(batch)
    compaction = files.prepare(HOUR)
    assert compaction is not None
    assert files.finish(compaction) is not None
    for batch in BATCHES[2:]:
        assert files.append(batch).failures == [None] * len(batch)
    files.close()
    again = EventLogFiles(tmp_path)
    day = tmp_path / "cameras" / CAMERA / "2026-11-23"
    (day / "events_24.journal").touch()
    (tmp_path / "cameras" / "x").mkdir()
    (tmp_path / "cameras" / CAMERA / "2026-13-45").mkdir()
    (tmp_path / "cameras" / CAMERA / "2026-13-45" / "events_00.journal").touch()
    assert list(again.hours(None)) == list(again.hours(HOUR.hour_us)) == [HOUR]
    assert list(again.hours(HOUR.hour_us + 24 * HOUR_US)) == []
    assert {event.id: event for event in again.read(HOUR).events} == _after(BATCHES)
    assert sorted(path.name for path in day.iterdir())[:2] == ["events_10.journal", "events_10.parquet"]
