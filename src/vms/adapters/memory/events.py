"""The catalogue of events in a dictionary."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from vms.contracts.events import EventHour, EventPosition, EventQuery, FilesChange, HourFiles
from vms.domain.events import LONGEST_EVENT_US, Event, EventMark, search_key


class MemoryEventRepository:
    """Satisfies `vms.contracts.events.EventRepository`."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._hours: dict[EventHour, HourFiles] = {}
        self._lock = threading.Lock()

    def put(self, changed: Sequence[Event], files: Mapping[EventHour, FilesChange]) -> None:
        with self._lock:
            self._events.update({event.id: event for event in changed})
            for hour, change in files.items():
                if self._hours.get(hour, HourFiles()) == change.before:
                    self._hours[hour] = change.after

    def put_hour(self, hour: EventHour, found: Sequence[Event], files: HourFiles | None) -> None:
        with self._lock:
            self._events = {
                event_id: event
                for event_id, event in self._events.items()
                if EventHour(event.camera_id, event.hour_us) != hour
            }
            self._events.update({event.id: event for event in found})
            self._hours.pop(hour, None)
            if files is not None:
                self._hours[hour] = files

    def hours(self) -> dict[EventHour, HourFiles]:
        with self._lock:
            return dict(self._hours)

    def find(self, event_id: str) -> Event | None:
        with self._lock:
            return self._events.get(event_id)

    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> Sequence[Event]:
        with self._lock:
            found = [event for event in self._events.values() if _matches(event, query)]
        found.sort(key=lambda event: (event.start_us, event.id), reverse=True)
        if before is not None:
            found = [event for event in found if (event.start_us, event.id) < before]
        return found[:limit]

    def marks(self, camera_id: str, start_us: int, end_us: int, limit: int) -> Sequence[EventMark]:
        query = EventQuery(camera_ids=(camera_id,), start_us=start_us, end_us=end_us)
        found = self.page(query, None, limit)
        return [EventMark(event.id, event.type, event.start_us, event.end_us) for event in found]


def _matches(event: Event, query: EventQuery) -> bool:
    start_us = query.start_us
    begins_in_time = query.end_us is None or event.start_us < query.end_us
    if start_us is not None and event.start_us < start_us:
        is_long_ago = event.start_us < start_us - LONGEST_EVENT_US
        begins_in_time &= not is_long_ago and (event.end_us is None or event.end_us > start_us)
    return (
        begins_in_time
        and (not query.is_open or event.end_us is None)
        and (not query.camera_ids or event.camera_id in query.camera_ids)
        and (not query.types or event.type in query.types)
        and all(word in search_key(event) for word in query.words)
    )
