"""The process that looks for motion: `python -m vms.adapters.motion.worker MARK_FD`; see `framing`."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import selectors
import socket
import sys
import time
from typing import IO, Any

from pydantic import ValidationError

from vms.adapters.motion import framing
from vms.adapters.motion.detector import Detector
from vms.adapters.motion.sampling import Sampler, SamplingError
from vms.contracts.tap import Interruption, TapError, TappedUnit, TapReader, TrackParameters
from vms.domain.motion import Box, MotionEnded, MotionEvents, MotionReport, MotionSettings, MotionStarted

# What is read of one camera before the next has its turn.
_TURN_BYTES = 256 << 10
# Between the rounds of turns: every unit of every camera would wake the process otherwise.
_ROUND_S = 0.1
_FIGURES_EVERY_S = 60.0
# A camera that sends nothing but what cannot be decoded is given up after so many units in a row.
_BROKEN_IN_A_ROW = 200
_MOST_MEMORY_BYTES = 8 << 30


class CameraLostError(Exception):
    """The camera's pictures cannot be looked at any more."""


class WatchedCamera:
    """One tap, from its bytes to what is reported of it."""

    def __init__(self, camera_id: str, number: int, tap: socket.socket, settings: MotionSettings) -> None:
        self.camera_id = camera_id
        self.number = number
        self.tap = tap
        self._reader = TapReader()
        self._sampler = Sampler()
        self._detector = Detector(settings)
        self._events = MotionEvents()
        self._dropped = 0
        self._broken_before = 0
        self._units_since_good = 0
        # More was waiting than one turn takes.
        self.is_behind = False

    def take(self) -> list[MotionReport]:
        """What a turn of bytes showed. Raises CameraLostError."""
        try:
            content = self.tap.recv(_TURN_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise CameraLostError(str(error)) from error
        self.is_behind = len(content) >= _TURN_BYTES // 2
        if not content:
            raise CameraLostError("the tap has ended")
        reports: list[MotionReport | None] = []
        try:
            for record in self._reader.read(content):
                if isinstance(record, TappedUnit):
                    reports.extend(self._look(record))
                elif isinstance(record, TrackParameters):
                    if record.track == 0:
                        self._sampler.change(record)
                elif isinstance(record, Interruption):
                    reports.append(self._events.end())
        except (TapError, SamplingError) as error:
            raise CameraLostError(str(error)) from error
        return [report for report in reports if report is not None]

    def _look(self, unit: TappedUnit) -> list[MotionReport | None]:
        if unit.track != 0:
            return []
        self._dropped += unit.dropped
        found: list[MotionReport | None] = []
        if unit.discontinuity:
            found.append(self._events.end())
        for at_us, picture in self._sampler.take(unit):
            found.append(self._events.see(self._detector.see(picture, at_us)))
        if self._sampler.broken == self._broken_before:
            self._units_since_good = 0
        else:
            self._broken_before = self._sampler.broken
            self._units_since_good += 1
            if self._units_since_good >= _BROKEN_IN_A_ROW:
                raise CameraLostError("none of its pictures can be decoded")
        return found

    def end(self) -> MotionEnded | None:
        """Closes the tap; the event that was open."""
        self.tap.close()
        return self._events.end()

    def figures(self) -> dict[str, int]:
        """Counters since the start."""
        return {
            "decoded": self._sampler.decoded,
            "broken": self._sampler.broken,
            "light_changes": self._detector.light_changes,
            "dropped": self._dropped,
        }


class Worker:
    """All cameras of the process, one turn each."""

    def __init__(self, orders: socket.socket, lines: IO[str], mark: mmap.mmap | None) -> None:
        self._orders = orders
        self._lines = lines
        self._mark = mark
        self._selector = selectors.DefaultSelector()
        self._selector.register(orders, selectors.EVENT_READ, None)
        self._cameras: dict[str, WatchedCamera] = {}
        self._turns = 0
        self._figures_at_s = time.monotonic() + _FIGURES_EVERY_S

    def run(self) -> None:
        """Until the other side of the orders is closed."""
        while True:
            is_behind = False
            for key, _ in self._selector.select(timeout=5.0):
                camera: WatchedCamera | None = key.data
                if camera is None:
                    if not self._take_order():
                        return
                elif self._cameras.get(camera.camera_id) is camera:
                    self._turn(camera)
                    is_behind |= camera.is_behind
            if not is_behind:
                time.sleep(_ROUND_S)
            if time.monotonic() >= self._figures_at_s:
                self._figures_at_s = time.monotonic() + _FIGURES_EVERY_S
                for watched in self._cameras.values():
                    self._tell({"is": "figures", "camera_id": watched.camera_id, **watched.figures()})

    def _turn(self, camera: WatchedCamera) -> None:
        self._note(camera.number)
        try:
            reports = camera.take()
        except CameraLostError as error:
            self._forget(camera.camera_id)
            self._tell({"is": "lost", "camera_id": camera.camera_id, "reason": str(error)})
            return
        finally:
            self._note(-1)
        for report in reports:
            self._report(camera.camera_id, report)

    def _take_order(self) -> bool:
        content, descriptors, _, _ = socket.recv_fds(self._orders, framing.LARGEST_ORDER_BYTES, 1)
        if not content:
            return False
        try:
            order: dict[str, Any] = json.loads(content)
            camera_id = str(order["camera_id"])
            self._forget(camera_id)
            if order["do"] == "watch" and descriptors:
                tap = socket.socket(fileno=descriptors.pop())
                tap.setblocking(False)
                settings = MotionSettings.model_validate(order["settings"])
                camera = WatchedCamera(camera_id, int(order["number"]), tap, settings)
                self._cameras[camera_id] = camera
                self._selector.register(tap, selectors.EVENT_READ, camera)
        except (ValueError, KeyError, ValidationError, OSError) as error:
            sys.stderr.write(f"an order that cannot be followed: {error}\n")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _forget(self, camera_id: str) -> None:
        camera = self._cameras.pop(camera_id, None)
        if camera is None:
            return
        self._selector.unregister(camera.tap)
        ended = camera.end()
        if ended is not None:
            self._report(camera_id, ended)

    def _report(self, camera_id: str, report: MotionReport) -> None:
        line: dict[str, Any] = {"camera_id": camera_id, "start_us": report.start_us, "score": report.score}
        line["box"] = _corners(report.box)
        if isinstance(report, MotionStarted):
            self._tell({"is": "started", **line})
        else:
            self._tell({"is": "ended", "end_us": report.end_us, **line})

    def _tell(self, line: dict[str, Any]) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _note(self, number: int) -> None:
        if self._mark is not None:
            self._turns += 1
            self._mark[: framing.MARK.size] = framing.MARK.pack(number, self._turns)


def _corners(box: Box) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]


def main() -> None:
    """The process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    # Recording and live pictures come first.
    with contextlib.suppress(OSError):
        os.nice(5)
    lines = os.fdopen(os.dup(1), "w")
    # Whatever a library prints must not come between the lines.
    os.dup2(2, 1)
    mark = mmap.mmap(int(sys.argv[1]), framing.MARK.size) if len(sys.argv) > 1 else None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Worker(socket.socket(fileno=os.dup(0)), lines, mark).run()


if __name__ == "__main__":
    main()
