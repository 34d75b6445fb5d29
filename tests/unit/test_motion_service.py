"""From cameras' settings to the watcher, and from its reports to events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from vms.adapters.memory.accounts import ManualClock
from vms.contracts.events import EventChange, EventPosition, EventQuery, RebuildReport
from vms.contracts.motion import MotionFigures, MotionListener
from vms.domain.errors import Failure
from vms.domain.events import Event, EventAmendment, EventMark, check_event
from vms.domain.motion import Box, MotionEnded, MotionSettings, MotionStarted
from vms.storage.motion import LEFT_OPEN_US, MotionService

BOX = Box(0.1, 0.2, 0.3, 0.4)
NEVER = threading.Event()


class Watcher:
    def __init__(self) -> None:
        self.watched: dict[str, MotionSettings] = {}
        self.calls = 0

    def watch(self, camera_id: str, settings: MotionSettings) -> None:
        self.calls += 1
        self.watched[camera_id] = settings

    def forget(self, camera_id: str) -> None:
        self.calls += 1
        del self.watched[camera_id]

    def figures(self) -> dict[str, MotionFigures]:
        return {}

    def start(self, listener: MotionListener) -> None:
        self.listener = listener

    def close(self) -> None:
        pass


class Events:
    def __init__(self, clock: ManualClock) -> None:
        self.kept: dict[str, Event] = {}
        self.refuses: Failure | None = None
        self._clock = clock

    def _write(self, event: Event) -> Event:
        if self.refuses is not None:
            raise self.refuses
        check_event(event, self._clock.now_us())
        self.kept[event.id] = event
        return event

    def add(self, event: Event, *, fresh: bool = False) -> tuple[Event, EventChange | None]:
        return self._write(event), None

    def amend(self, event_id: str, amendment: EventAmendment) -> Event:
        return self._write(amendment.apply(self.kept[event_id]))

    def get(self, event_id: str) -> Event:
        return self.kept[event_id]

    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> Sequence[Event]:
        return [event for event in self.kept.values() if event.type in query.types]

    def marks(self, camera_id: str, start_us: int, end_us: int, limit: int) -> Sequence[EventMark]:
        raise NotImplementedError

    def subscribe(self, callback: Callable[[EventChange], None]) -> Callable[[], None]:
        raise NotImplementedError

    def rebuild_events(self) -> RebuildReport:
        raise NotImplementedError


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.watcher = Watcher()
        self.events = Events(self.clock)
        self.cameras: dict[str, MotionSettings] = {}
        self.service = MotionService(self.watcher, self.events, lambda: self.cameras, self.clock)

    def only(self) -> Event:
        (event,) = self.events.kept.values()
        return event


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_watcher_follows_the_cameras(bench: Bench) -> None:
    bench.cameras = {"a": MotionSettings(), "b": MotionSettings()}
    bench.service.refresh(NEVER)
    assert bench.watcher.watched == bench.cameras
    bench.service.refresh(NEVER)
    assert bench.watcher.calls == 2, "nothing has changed"
    bench.cameras = {"b": MotionSettings(sensitivity=9)}
    bench.service.refresh(NEVER)
    assert bench.watcher.watched == bench.cameras


def test_an_event_is_open_from_the_start_and_closed_at_the_end(bench: Bench) -> None:
    bench.service.start()
    start_us = bench.clock.now_us()
    bench.watcher.listener("a", MotionStarted(start_us, 0.1, BOX))
    event = bench.only()
    assert (event.camera_id, event.type, event.source, event.end_us) == ("a", "motion", "motion", None)
    assert event.data == {"box": [0.1, 0.2, 0.3, 0.4]}
    bench.watcher.listener("a", MotionEnded(start_us, start_us + 5, 0.3, BOX))
    assert (bench.only().id, bench.only().end_us, bench.only().score) == (event.id, start_us + 5, 0.3)


def test_a_disk_that_refuses_costs_no_event(bench: Bench) -> None:
    bench.service.start()
    start_us = bench.clock.now_us()
    bench.events.refuses = Failure("unavailable", "no space left on the device")
    bench.watcher.listener("a", MotionStarted(start_us, 0.1, BOX))
    bench.watcher.listener("a", MotionEnded(start_us, start_us + 5, 0.3, BOX))
    bench.service.refresh(NEVER)
    assert bench.events.kept == {}
    bench.events.refuses = None
    bench.service.refresh(NEVER)
    assert (bench.only().start_us, bench.only().end_us) == (start_us, start_us + 5)
    bench.service.refresh(NEVER)
    assert len(bench.events.kept) == 1


def test_what_can_never_be_kept_is_not_tried_for_ever(bench: Bench) -> None:
    bench.service.start()
    bench.watcher.listener("a", MotionEnded(5, 6, 0.3, BOX))
    bench.clock.advance(100)
    bench.service.refresh(NEVER)
    assert bench.events.kept == {}


def test_what_a_crash_left_open_is_ended_at_the_next_start(bench: Bench) -> None:
    bench.service.start()
    start_us = bench.clock.now_us()
    bench.watcher.listener("a", MotionStarted(start_us, 0.1, BOX))
    bench.clock.advance(3600)
    again = MotionService(Watcher(), bench.events, dict, bench.clock)
    again.start()
    assert bench.only().end_us == start_us + LEFT_OPEN_US
