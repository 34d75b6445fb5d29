"""What every camera records now: planned, remembered as spans, and changed by operators."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from vms.contracts.clock import Clock
from vms.contracts.keeping import ManualRecording, RecordingHistory, RecordingSpan
from vms.domain.cameras import Camera
from vms.domain.ids import make_id
from vms.domain.recording_policy import NEVER_US, RecordingPlan, plan


class RecordingPlans:
    """The plans in force. Not locked: callers change one camera at a time."""

    def __init__(self, history: RecordingHistory, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        # When each plan was made, and the plan.
        self._plans: dict[str, tuple[int, RecordingPlan]] = {}
        # The latest instant seen: a span that is closed after the clock was set back still covers what it recorded.
        self._latest_us = 0

    def current(self, camera_id: str) -> RecordingPlan | None:
        """The plan in force; None where none was put in force yet."""
        known = self._plans.get(camera_id)
        return None if known is None else known[1]

    def make(self, camera: Camera) -> RecordingPlan:
        """What the camera is to record now."""
        now_us = self._now_us()
        running = self.running(camera.id)
        started_until_us = None
        if running is not None:
            started_until_us = NEVER_US if running.end_us is None else running.end_us
        return plan(camera.recording, camera.streams, now_us, started_until_us)

    def due(self) -> list[str]:
        """The cameras whose plan may have changed by itself: its time has come, or the clock went back before it was
        made."""
        now_us = self._now_us()
        return [
            camera_id
            for camera_id, (made_us, current) in self._plans.items()
            if now_us < made_us or (current.changes_us is not None and now_us >= current.changes_us)
        ]

    @contextmanager
    def put_in_force(self, camera_id: str, new: RecordingPlan) -> Iterator[None]:
        """Around telling the media core: spans begin before it is told and end after, so that no recording lies
        outside the span that keeps it. When telling fails, what began is ended."""
        made_us = self._now_us()
        going_on = {span.stream: span for span in self._history.open_spans(camera_id)}
        begun: list[RecordingSpan] = []
        for stream, planned in new.streams.items():
            before = going_on.get(stream)
            if before is not None and (before.kind, before.wanted) == (planned.recording, planned.wanted):
                del going_on[stream]
            elif planned.recording != "off":
                begun.append(
                    RecordingSpan(
                        id=make_id(made_us, secrets.token_bytes(8)),
                        camera_id=camera_id,
                        stream=stream,
                        kind=planned.recording,
                        start_us=made_us,
                        wanted=planned.wanted,
                    )
                )
        if begun:
            self._history.change_spans(begun, {})
        try:
            yield
        except BaseException:
            if begun:
                self._history.change_spans([], {span.id: self._end_us(span) for span in begun})
            raise
        if going_on:
            self._history.change_spans([], {span.id: self._end_us(span) for span in going_on.values()})
        self._plans[camera_id] = (made_us, new)

    def forget(self, camera_id: str) -> None:
        """The camera is no more: its spans and what an operator started end."""
        self._plans.pop(camera_id, None)
        self.stop(camera_id)
        going_on = self._history.open_spans(camera_id)
        if going_on:
            self._history.change_spans([], {span.id: self._end_us(span) for span in going_on})

    def running(self, camera_id: str) -> ManualRecording | None:
        """What an operator started and nobody stopped."""
        now_us = self._now_us()
        return next((entry for entry in self._history.manual(camera_id) if entry.runs(now_us)), None)

    def start(self, camera_id: str, seconds: int | None, started_by: str) -> ManualRecording:
        """An operator starts recording, in place of what was started before."""
        now_us = self._now_us()
        self.stop(camera_id)
        recording = ManualRecording(
            id=make_id(now_us, secrets.token_bytes(8)),
            camera_id=camera_id,
            start_us=now_us,
            end_us=None if seconds is None else now_us + seconds * 1_000_000,
            started_by=started_by,
        )
        self._history.add_manual(recording)
        return recording

    def stop(self, camera_id: str) -> None:
        """An operator's recording ends; does nothing where none runs."""
        running = self.running(camera_id)
        if running is not None:
            self._history.end_manual(running.id, max(self._now_us(), running.start_us))

    def _end_us(self, span: RecordingSpan) -> int:
        return max(self._now_us(), span.start_us, self._latest_us)

    def _now_us(self) -> int:
        now_us = self._clock.now_us()
        self._latest_us = max(self._latest_us, now_us)
        return now_us
