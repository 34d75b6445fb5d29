"""Events, as the keeper asks for them."""

from __future__ import annotations

from collections.abc import Iterator

from vms.contracts.events import EventLog, EventPosition, EventQuery
from vms.domain.events import Event
from vms.domain.recordings import Span
from vms.storage.keeper import Happenings

_PAGE = 500


def happenings_of(events: EventLog) -> Happenings:
    """The keeper's question, asked of the event log page by page."""

    def ask(camera_id: str, span: Span) -> Iterator[Event]:
        query = EventQuery(camera_ids=(camera_id,), start_us=span.start_us, end_us=span.end_us)
        before: EventPosition | None = None
        while page := events.page(query, before, _PAGE):
            yield from page
            if len(page) < _PAGE:
                return
            before = EventPosition(page[-1].start_us, page[-1].id)

    return ask
