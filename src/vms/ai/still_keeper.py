"""Stills of events on their way: made on a thread of their own, the best kept until the event is over, then written."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from vms.ai.best_stills import Wanted
from vms.contracts.analysis import AnalysisLog, EventStill
from vms.contracts.stills import JpegMaker
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
WIDEST = 640
LARGEST_BYTES = 64 << 10
# Pictures that wait to be made into stills; more are left out.
_MOST_WAITING = 16
# Stills held until their event is over; the oldest is written before.
_MOST_HELD = 128


@dataclass(frozen=True)
class _Made:
    camera_id: str
    start_us: int
    still: EventStill


@dataclass(frozen=True)
class _Picture:
    camera_id: str
    wanted: tuple[Wanted, ...]
    taken_us: int
    width: int
    height: int
    pixels: bytes


class StillKeeper:
    """Begins with `start`; what was not written is when it closes."""

    def __init__(self, maker: JpegMaker, kept: AnalysisLog) -> None:
        self._maker = maker
        self._log = kept
        self._todo: queue.Queue[_Picture | None] = queue.Queue(_MOST_WAITING)
        # Of _held.
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Made] = OrderedDict()
        self._over: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="event stills", daemon=True)
        self._complained = False

    def start(self) -> None:
        """Stills are made from now on."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Writes what is held."""
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._todo.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)
        self._maker.close()

    def make(self, camera_id: str, wanted: list[Wanted], taken_us: int, width: int, height: int, pixels: bytes) -> None:
        """Stills of a picture. Never waits: where too many wait already, the events do with what they have."""
        try:
            self._todo.put_nowait(_Picture(camera_id, tuple(wanted), taken_us, width, height, pixels))
        except queue.Full:
            log.debug("still left out", camera_id=camera_id)

    def over(self, event_id: str) -> None:
        """The event's still can be written: no better one will come."""
        with self._lock:
            self._over.add(event_id)

    def held(self, event_id: str) -> EventStill | None:
        """What is not written yet."""
        with self._lock:
            made = self._held.get(event_id)
        return made.still if made is not None else None

    def _run(self) -> None:
        while True:
            try:
                item = self._todo.get(timeout=1.0)
            except queue.Empty:
                self._write_over()
                continue
            if item is None:
                break
            try:
                self._make(item)
                self._write_over()
            except Exception:
                # The supervisor of stills: one that fails takes nothing from the others.
                log.exception("no still of an event", camera_id=item.camera_id)
        with self._lock:
            self._over.update(self._held)
        self._write_over()

    def _make(self, picture: _Picture) -> None:
        try:
            jpeg = self._maker.jpeg(
                picture.pixels, picture.width, picture.height, widest=WIDEST, largest_bytes=LARGEST_BYTES
            )
        except Failure as failure:
            log.warning("no still of an event", camera_id=picture.camera_id, reason=failure.detail)
            return
        with self._lock:
            for wanted in picture.wanted:
                still = EventStill(picture.taken_us, wanted.box, jpeg)
                self._held[wanted.event_id] = _Made(picture.camera_id, wanted.start_us, still)
            while len(self._held) - len(self._over & self._held.keys()) > _MOST_HELD:
                oldest = next(event_id for event_id in self._held if event_id not in self._over)
                self._over.add(oldest)

    def _write_over(self) -> None:
        with self._lock:
            over = [(event_id, self._held[event_id]) for event_id in self._over if event_id in self._held]
            # What is over and not made yet may still wait to be made.
            if self._todo.empty():
                self._over.clear()
        for event_id, made in over:
            try:
                self._log.keep_still(made.camera_id, event_id, made.start_us, made.still)
                self._complained = False
            except Failure as failure:
                if not self._complained:
                    log.warning("stills of events are not kept", camera_id=made.camera_id, reason=failure.detail)
                self._complained = True
            with self._lock:
                if self._held.get(event_id) is made:
                    del self._held[event_id]
