"""The event service over real files and a real database: what a start finds, what a turn of the chore does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from vms.adapters.event_log import EventLogFiles
from vms.adapters.memory.accounts import ManualClock
from vms.adapters.sql import SqlEventRepository, open_database
from vms.contracts.events import EventQuery, NewEvent
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US, Event, EventAmendment
from vms.domain.ids import make_id
from vms.domain.recordings import Span
from vms.storage.events import EventService
from vms.storage.happenings import happenings_of

CAMERA = make_id(1, b"\1" * 8)
DAY_US = 24 * HOUR_US


class Installation:
    """A data directory that services are opened on, one after another."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.storage = directory / "storage"
        self.storage.mkdir()
        self.database: Engine = open_database(f"sqlite:///{directory / 'vms.sqlite3'}")
        self.opened: list[EventService] = []

    def start(self) -> EventService:
        service = EventService(EventLogFiles(self.storage), SqlEventRepository(self.database), self.clock)
        service.start()
        self.opened.append(service)
        return service

    def event(self, number: int, *, ago_us: int = 0) -> Event:
        now_us = self.clock.now_us()
        return Event(
            id=make_id(now_us, bytes([number]) * 8),
            camera_id=CAMERA,
            type="motion",
            start_us=now_us - ago_us,
            source="motion",
            created_us=now_us,
        )


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    for service in made.opened:
        service.stop(5.0)
    made.database.dispose()


def _ids(service: EventService) -> list[str]:
    return [event.id for event in service.page(EventQuery(), None, 100)]


def test_a_start_reads_what_a_kill_kept_from_the_database(installation: Installation) -> None:
    known = installation.event(1)
    service = installation.start()
    service.add(known)
    service.stop(5.0)
    # Journal lines that the database never saw: of this hour, and of one a month ago.
    recent, old = installation.event(2), installation.event(3, ago_us=30 * DAY_US)
    files = EventLogFiles(installation.storage)
    assert files.append([NewEvent(recent), NewEvent(old)]).failures == [None, None]
    files.close()
    service = installation.start()
    assert _ids(service) == [recent.id, known.id]
    assert service.add(recent) == (recent, None)
    # What is older is looked through by the chore.
    service.tidy(threading.Event())
    assert _ids(service) == [recent.id, known.id, old.id]
    assert [path.name[-8:] for path in sorted(installation.storage.rglob("events_*"))] == [".parquet", ".journal"]


def test_the_keeper_is_told_nothing_before_all_files_were_looked_through(installation: Installation) -> None:
    # A database from before the event: restored, or made anew.
    old = installation.event(1, ago_us=30 * DAY_US)
    files = EventLogFiles(installation.storage)
    files.append([NewEvent(old)])
    files.close()
    service = installation.start()
    ask = happenings_of(service)
    span = Span(start_us=old.start_us - 1, end_us=old.start_us + 1)
    with pytest.raises(Failure, match="read again"):
        list(ask(CAMERA, span))
    service.tidy(threading.Event())
    assert list(ask(CAMERA, span)) == [old]


def test_the_keeper_is_told_nothing_while_the_database_lacks_events(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = installation.start()
    service.tidy(threading.Event())
    event = installation.event(1)
    span = Span(start_us=event.start_us - 1, end_us=event.start_us + 1)

    def refuses(*_: object) -> None:
        raise Failure("unavailable", "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(SqlEventRepository, "put", refuses)
        patch.setattr(SqlEventRepository, "put_hour", refuses)
        service.add(event)
        assert not service.finds_all(CAMERA, span)
        service.tidy(threading.Event())
        assert not service.finds_all(CAMERA, span)
        assert service.finds_all(make_id(1, b"\2" * 8), span)
    service.tidy(threading.Event())
    assert list(happenings_of(service)(CAMERA, span)) == [event]


def test_hours_whose_files_are_gone_are_forgotten(installation: Installation) -> None:
    service = installation.start()
    service.add(installation.event(1, ago_us=3 * DAY_US))
    service.add(installation.event(2))
    service.stop(5.0)
    for path in sorted(installation.storage.rglob("events_*"))[:1]:
        path.unlink()
    service = installation.start()
    service.tidy(threading.Event())
    assert len(_ids(service)) == 1
    assert service.rebuild_events().events == 1


def test_many_at_once_are_all_kept_and_one_identifier_once(installation: Installation) -> None:
    service = installation.start()
    event = installation.event(1)
    outcomes: list[bool] = []

    def add() -> None:
        outcomes.append(service.add(event)[1] is not None)

    threads = [threading.Thread(target=add) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == [False] * 15 + [True]
    end_us = installation.clock.now_us()
    threads = [threading.Thread(target=service.amend, args=(event.id, EventAmendment(end_us=end_us))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    (journal,) = installation.storage.rglob("events_*.journal")
    assert len(journal.read_bytes().splitlines()) == 2


def test_a_damaged_journal_is_tried_once_and_left_alone(installation: Installation) -> None:
    service = installation.start()
    for number in (1, 2, 3):
        service.add(installation.event(number))
    service.stop(5.0)
    (path,) = installation.storage.rglob("events_*.journal")
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    installation.clock.advance(7200.0)
    service = installation.start()
    assert len(service.rebuild_events().problems) == 1
    for _ in range(2):
        service.tidy(threading.Event())
        assert path.read_bytes() == data
    assert not list(installation.storage.rglob("*.parquet*"))
    assert len(_ids(service)) == 2
