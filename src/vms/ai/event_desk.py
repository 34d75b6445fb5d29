"""Where events are handed in on their way to the disk, which nobody waits for."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

import structlog

from vms.ai.delays import Delays
from vms.ai.occurrence_events import EventWriter, Writing
from vms.contracts.clock import Clock
from vms.contracts.events import EventLog

log = structlog.get_logger(__name__)
_MOST_WAITING = 10_000


@dataclass(frozen=True)
class _Due:
    """An event to be written, and when the picture was taken that showed it."""

    writing: Writing
    at_us: int | None


class EventDesk:
    """Writes what is handed in, in order, on a thread of its own."""

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._clock = clock
        self._due: queue.Queue[_Due | None] = queue.Queue(_MOST_WAITING)
        self._writer = EventWriter(events)
        self._thread = threading.Thread(target=self._run, name="analysis events", daemon=True)
        self._lock = threading.Lock()
        self._delays = Delays()

    def start(self) -> None:
        self._thread.start()

    def hand_in(self, writing: Writing, at_us: int | None) -> None:
        """Returns at once; what is too much is told and left out."""
        try:
            self._due.put_nowait(_Due(writing, at_us))
        except queue.Full:
            log.error("what was found is not kept: too much of it", camera_id=writing.event.camera_id)

    def end(self) -> None:
        """Nothing follows what was handed in so far."""
        self._due.put(None)

    def join(self, timeout_s: float) -> None:
        """Waits until all of it is written, or was tried; also where it was never started."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def retry(self) -> None:
        """Writes what was refused, until it is refused again."""
        self._writer.retry()

    def delay_ms(self, share: float, now_us: int) -> float:
        """From a picture to its event on the disk, over the last minute."""
        with self._lock:
            return self._delays.percentile_ms(share, now_us)

    def _run(self) -> None:
        while (due := self._due.get()) is not None:
            try:
                is_safe = self._writer.write(due.writing)
            except Exception:
                # The supervisor of what is written: the next event may be a better one.
                log.exception("what was found is not kept", camera_id=due.writing.event.camera_id)
                continue
            if is_safe and due.at_us is not None and due.writing.is_new:
                with self._lock:
                    now_us = round(self._clock.monotonic_s() * 1e6)
                    self._delays.add(max(0, self._clock.now_us() - due.at_us), now_us)
