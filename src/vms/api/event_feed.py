"""One viewer of pushed events: what waits for it, and when it is too slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from vms.api.event_models import EventAnswer
from vms.contracts.events import EventChange, EventLog
from vms.domain.events import Event

# More than a busy site sends in a minute; a viewer that is so far behind asks for the list anew.
MOST_BEHIND = 1000


@dataclass(frozen=True)
class EventFilter:
    """Which events a viewer wants; what is empty does not limit."""

    camera_ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def admits(self, event: Event) -> bool:
        """Whether the viewer wants it."""
        if self.camera_ids and event.camera_id not in self.camera_ids:
            return False
        return not self.types or event.type in self.types


class EventFeed:
    """Takes changes from the event log's thread to the viewer's task. Make it inside the event loop."""

    def __init__(self, events: EventLog, wanted: EventFilter) -> None:
        self._loop = asyncio.get_running_loop()
        self._wanted = wanted
        self._texts: asyncio.Queue[str] = asyncio.Queue(MOST_BEHIND)
        self.overrun = asyncio.Event()
        self._end: Callable[[], None] = events.subscribe(self._take)

    def close(self) -> None:
        """Ends the subscription."""
        self._end()

    async def next(self) -> str:
        """The next event as JSON."""
        return await self._texts.get()

    def _take(self, change: EventChange) -> None:
        if self._wanted.admits(change.event):
            text = EventAnswer.of(change.event).model_dump_json()
            try:
                self._loop.call_soon_threadsafe(self._offer, text)
            except RuntimeError:
                # The loop has ended, and the viewer with it.
                self._end()

    def _offer(self, text: str) -> None:
        try:
            self._texts.put_nowait(text)
        except asyncio.QueueFull:
            self.overrun.set()
