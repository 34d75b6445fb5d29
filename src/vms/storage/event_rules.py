"""Decisions about events that were posted before, and about hours that are over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vms.contracts.events import EventHour, HourFiles
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US, Event, EventAmendment
from vms.domain.time import SECOND_US

# How long after an hour its journal is left as it is: most of what comes late comes by then.
SETTLE_US = 10 * 60 * SECOND_US


def second_posting(known: Event, posted: Event) -> EventAmendment | None:
    """What a posting with the identifier of a known event changes: its end when that was open; None for nothing.

    Raises Failure(conflict, event-exists) when it is another event.
    """
    same = posted.model_copy(update={"created_us": known.created_us})
    if same == known:
        return None
    if same.model_copy(update={"end_us": None}) == known.model_copy(update={"end_us": None}):
        if known.end_us is None and posted.end_us is not None:
            return EventAmendment(end_us=posted.end_us)
        if posted.end_us is None:
            # The first posting once more, after the event was closed: its sender missed our answer.
            return None
    raise Failure("conflict", "another event has this identifier", code="event-exists")


def settled(hours: Mapping[EventHour, HourFiles], now_us: int) -> Iterable[EventHour]:
    """The hours that are over and have a journal."""
    return [
        hour
        for hour, files in sorted(hours.items())
        if files.journal_bytes > 0 and hour.hour_us + HOUR_US + SETTLE_US <= now_us
    ]
