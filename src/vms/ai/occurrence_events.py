"""Occurrences that rules find become events: what is open, what is to be written, what is tried again."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from vms.contracts.clock import Clock
from vms.contracts.events import EventLog, EventPosition, EventQuery
from vms.domain.errors import Failure
from vms.domain.events import LONGEST_EVENT_US, Event, EventAmendment
from vms.domain.ids import make_id
from vms.domain.recordings import Span
from vms.domain.vision import Occurrence

log = structlog.get_logger(__name__)
SOURCE = "ai"
# What an event lasted at least that a crash left open.
LEFT_OPEN_US = 60_000_000
_PAGE = 500
# Events that the event log refused, kept to try again.
_MOST_UNWRITTEN = 10_000
_PLACES = 4


@dataclass(frozen=True)
class Writing:
    """An event to be added, or one that has ended. `event` is all of it."""

    event: Event
    is_new: bool


class EventBook:
    """The events that go on, by camera, rule and key. Pure but for the identifiers."""

    def __init__(self, make_event_id: Callable[[], str]) -> None:
        self._make_event_id = make_event_id
        self._open: dict[tuple[str, str, str], Event] = {}

    def write(self, camera_id: str, occurrence: Occurrence, rule_name: str, now_us: int) -> list[Writing]:
        """What an occurrence writes. One that begins twice ends in between; one that ends without having begun is
        nothing."""
        key = (camera_id, occurrence.rule_id, occurrence.key)
        if occurrence.phase == "instant":
            event = self._event(camera_id, occurrence, rule_name, now_us)
            return [Writing(event.model_copy(update={"end_us": event.start_us}), is_new=True)]
        began = self._open.pop(key, None)
        ended = [] if began is None else [Writing(_ended(began, occurrence), is_new=False)]
        if occurrence.phase == "began":
            event = self._event(camera_id, occurrence, rule_name, now_us)
            self._open[key] = event
            return [*ended, Writing(event, is_new=True)]
        return ended

    def open_events(self, camera_id: str) -> list[Event]:
        """Of a camera, those that go on."""
        return [event for (of, _, _), event in self._open.items() if of == camera_id]

    def _event(self, camera_id: str, occurrence: Occurrence, rule_name: str, now_us: int) -> Event:
        box = occurrence.box
        data = {
            **occurrence.details,
            "rule": occurrence.rule_id,
            "rule_name": rule_name,
            "label": occurrence.label,
            "track": occurrence.track,
            "box": None
            if box is None
            else [round(value, _PLACES) for value in (box.left, box.top, box.right, box.bottom)],
        }
        return Event(
            id=self._make_event_id(),
            camera_id=camera_id,
            type=occurrence.type,
            start_us=occurrence.at_us,
            source=SOURCE,
            score=round(min(1.0, max(0.0, occurrence.score)), _PLACES),
            text=rule_name,
            data=data,
            created_us=now_us,
        )


def _ended(began: Event, occurrence: Occurrence) -> Event:
    end_us = min(max(began.start_us, occurrence.at_us), began.start_us + LONGEST_EVENT_US)
    score = round(min(1.0, max(began.score or 0.0, occurrence.score)), _PLACES)
    # How long, how many, how fast is known at the end only.
    return began.model_copy(update={"end_us": end_us, "score": score, "data": {**began.data, **occurrence.details}})


class EventWriter:
    """Writes to the event log, which takes as long as a disk does: one at a time, in order."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        # An end that came between would be written over by the beginning that is tried again.
        self._writing = threading.RLock()
        self._lock = threading.Lock()
        # By identifier, the oldest first: of an event that could not be added, all of it.
        self._unwritten: dict[str, Writing] = {}

    def write(self, writing: Writing) -> bool:
        """Whether the event is safe now; what is refused for now is kept for `retry`."""
        with self._writing:
            return self._write(writing)

    def _write(self, writing: Writing) -> bool:
        event = writing.event
        with self._lock:
            is_new = writing.is_new or (event.id in self._unwritten and self._unwritten[event.id].is_new)
        try:
            if is_new:
                self._events.add(event, fresh=writing.is_new)
            else:
                self._events.amend(event.id, EventAmendment(end_us=event.end_us, score=event.score, data=event.data))
        except Failure as failure:
            log.warning("what was found is not kept", camera_id=event.camera_id, type=event.type, reason=failure.detail)
            self._keep_for_later(Writing(event, is_new), failure)
            return False
        with self._lock:
            self._unwritten.pop(event.id, None)
        return True

    def retry(self) -> None:
        """Writes what was refused, until it is refused again."""
        with self._lock:
            waiting = list(self._unwritten.values())
        for writing in waiting:
            with self._writing:
                with self._lock:
                    is_newest = self._unwritten.get(writing.event.id) is writing
                if is_newest and not self._write(writing):
                    return

    def _keep_for_later(self, writing: Writing, failure: Failure) -> None:
        with self._lock:
            if failure.kind not in {"unavailable", "exhausted"}:
                self._unwritten.pop(writing.event.id, None)
            elif writing.event.id in self._unwritten or len(self._unwritten) < _MOST_UNWRITTEN:
                self._unwritten[writing.event.id] = writing


def end_left_open(
    events: EventLog, clock: Clock, recorded_until_us: Callable[[str, Span], int | None]
) -> Sequence[Event]:
    """Ends what an earlier run left open: nobody knows how long it went on, so up to the crash, as far as there is a
    recording. Raises Failure."""
    now_us = clock.now_us()
    query = EventQuery(start_us=now_us - LONGEST_EVENT_US, end_us=now_us + 1, is_open=True)
    left_open: list[Event] = []
    before: EventPosition | None = None
    while page := events.page(query, before, _PAGE):
        left_open += [event for event in page if event.source == SOURCE and event.end_us is None]
        if len(page) < _PAGE:
            break
        before = EventPosition(page[-1].start_us, page[-1].id)
    for event in left_open:
        span = Span(start_us=event.start_us, end_us=max(now_us, event.start_us + 1))
        until_us = max(event.start_us + LEFT_OPEN_US, recorded_until_us(event.camera_id, span) or 0)
        end_us = min(max(event.start_us, now_us), until_us)
        events.amend(event.id, EventAmendment(end_us=end_us))
    return left_open


def event_ids(clock: Clock) -> Callable[[], str]:
    """Identifiers for events of now."""
    return lambda: make_id(clock.now_us(), secrets.token_bytes(8))
