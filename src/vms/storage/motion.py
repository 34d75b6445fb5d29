"""Motion that the server finds itself: which cameras are looked at, and what is seen becomes events."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from vms.contracts.clock import Clock
from vms.contracts.events import EventLog, EventQuery
from vms.contracts.motion import MotionFigures, MotionWatcher
from vms.domain.errors import Failure
from vms.domain.events import Event, EventAmendment
from vms.domain.ids import make_id
from vms.domain.motion import Box, MotionEnded, MotionReport, MotionSettings, MotionStarted

log = structlog.get_logger(__name__)
TYPE = "motion"
SOURCE = "motion"
# What an event lasted that a crash left open: at least what its pictures were kept for.
LEFT_OPEN_US = 60_000_000
_LEFT_OPEN_WITHIN_US = 2 * 86_400_000_000
# Ends that the event log refused, kept to try again.
_MOST_UNWRITTEN = 10_000
PERIOD_S = 5.0


@dataclass(frozen=True)
class _Open:
    """An event that goes on; its id is None where its beginning could not be kept."""

    start_us: int
    event_id: str | None


class MotionService:
    """Keeps the watcher to the cameras that want it, and the event log to what it sees.

    `cameras` tells the settings of each camera that the server shall look at.
    """

    def __init__(
        self,
        watcher: MotionWatcher,
        events: EventLog,
        cameras: Callable[[], Mapping[str, MotionSettings]],
        clock: Clock,
    ) -> None:
        self._watcher = watcher
        self._events = events
        self._cameras = cameras
        self._clock = clock
        self._watched: dict[str, MotionSettings] = {}
        self._open: dict[str, _Open] = {}
        self._unwritten: list[tuple[str | None, Event]] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Ends what an earlier run left open, and begins to listen."""
        try:
            self._end_left_open()
        except Failure as failure:
            log.warning("motion events of an earlier run are not ended", reason=failure.detail)
        self._watcher.start(self.take)

    def stop(self) -> None:
        """No camera is looked at any more; events that are open end."""
        self._watcher.close()

    def refresh(self, _: threading.Event) -> None:
        """A turn of the chore: follows the cameras' settings, and writes what could not be written."""
        wanted = dict(self._cameras())
        for camera_id in self._watched.keys() - wanted.keys():
            self._watcher.forget(camera_id)
        for camera_id, settings in wanted.items():
            if self._watched.get(camera_id) != settings:
                self._watcher.watch(camera_id, settings)
        self._watched = wanted
        with self._lock:
            unwritten, self._unwritten = self._unwritten, []
        for event_id, event in unwritten:
            self._end(event_id, event)

    def figures(self) -> dict[str, MotionFigures]:
        """Of every camera that is looked at."""
        return self._watcher.figures()

    def take(self, camera_id: str, report: MotionReport) -> None:
        """One report of the watcher."""
        if isinstance(report, MotionStarted):
            event = self._event(camera_id, report.start_us, report.score, report.box)
            try:
                self._events.add(event, fresh=True)
            except Failure as failure:
                # Its end brings the whole event.
                log.warning("motion is not kept yet", camera_id=camera_id, reason=failure.detail)
                self._open[camera_id] = _Open(report.start_us, None)
            else:
                self._open[camera_id] = _Open(report.start_us, event.id)
            return
        begun = self._open.pop(camera_id, None)
        known = begun.event_id if begun is not None and begun.start_us == report.start_us else None
        self._end(known, self._ended(camera_id, report))

    def _ended(self, camera_id: str, report: MotionEnded) -> Event:
        whole = self._event(camera_id, report.start_us, report.score, report.box)
        return whole.model_copy(update={"end_us": max(report.start_us, report.end_us)})

    def _end(self, event_id: str | None, whole: Event) -> None:
        """Amends the event that is known, else adds all of it; what is refused for now is tried again."""
        try:
            if event_id is None:
                self._events.add(whole)
            else:
                self._events.amend(event_id, EventAmendment(end_us=whole.end_us, score=whole.score))
        except Failure as failure:
            log.warning("the end of motion is not kept", camera_id=whole.camera_id, reason=failure.detail)
            if failure.kind not in {"unavailable", "exhausted"}:
                return
            with self._lock:
                if len(self._unwritten) < _MOST_UNWRITTEN:
                    self._unwritten.append((event_id, whole))

    def _event(self, camera_id: str, start_us: int, score: float, box: Box) -> Event:
        now_us = self._clock.now_us()
        return Event(
            id=make_id(now_us, secrets.token_bytes(8)),
            camera_id=camera_id,
            type=TYPE,
            start_us=start_us,
            source=SOURCE,
            score=score,
            data={"box": [box.left, box.top, box.right, box.bottom]},
            created_us=now_us,
        )

    def _end_left_open(self) -> None:
        now_us = self._clock.now_us()
        query = EventQuery(types=(TYPE,), start_us=now_us - _LEFT_OPEN_WITHIN_US, end_us=now_us + 1)
        for event in self._events.page(query, None, 10_000):
            if event.end_us is None and event.source == SOURCE:
                end_us = min(max(event.start_us, now_us), event.start_us + LEFT_OPEN_US)
                self._events.amend(event.id, EventAmendment(end_us=end_us))
