"""The server's side of the motion worker."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import queue
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import structlog

from vms.adapters.motion.framing import LARGEST_ORDER_BYTES, MARK
from vms.contracts.clock import Clock
from vms.contracts.media import MediaTap
from vms.contracts.motion import MotionFigures, MotionListener
from vms.domain.back_off import BackOff
from vms.domain.errors import Failure
from vms.domain.motion import Box, MotionEnded, MotionSettings, MotionStarted

log = structlog.get_logger(__name__)
# The stream that is looked at; the media core gives the main one where there is no other.
_STREAM = "sub"
# No turn of one camera takes as long, on a busy machine.
_HANGS_AFTER_S = 30.0
_TICK_S = 1.0
_LONGEST_LINE = 64 << 10


@dataclass
class _Camera:
    number: int
    settings: MotionSettings
    back_off: BackOff = field(default_factory=BackOff)
    tap: int | None = None
    # Its settings are with the process.
    attached: bool = False
    open: MotionStarted | None = None
    figures: MotionFigures = field(default_factory=MotionFigures)


class _Process:
    """One worker process, the socket of its orders and the memory of its mark."""

    def __init__(self, command: list[str], lines: queue.Queue[tuple[_Process, bytes]]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders = ours
        memory = os.memfd_create("motion mark")
        try:
            os.ftruncate(memory, MARK.size)
            self._mark = mmap.mmap(memory, MARK.size)
            self._mark[:] = MARK.pack(-1, 0)
            self._process = subprocess.Popen(
                [*command, str(memory)],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                pass_fds=(memory,),
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(memory)
        self._lines = lines
        self._seen: tuple[int, int] = (-1, 0)
        self._seen_since_s = 0.0
        self._reading = threading.Thread(target=self._read, name="motion lines", daemon=True)
        self._reading.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def mark(self) -> int:
        """The number of the camera whose turn it is, or was when the process died; -1 for none."""
        number: int = MARK.unpack(self._mark[: MARK.size])[0]
        return number

    def hangs(self, now_s: float) -> bool:
        """Whether one turn has lasted too long."""
        number, turns = MARK.unpack(self._mark[: MARK.size])
        if (number, turns) != self._seen or number < 0:
            self._seen, self._seen_since_s = (number, turns), now_s
        return now_s - self._seen_since_s > _HANGS_AFTER_S

    def order(self, order: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Raises OSError when the process is gone or takes none."""
        content = json.dumps(order).encode()
        if len(content) > LARGEST_ORDER_BYTES:
            raise OSError("the order is too large")
        socket.send_fds(self.orders, [content], list(descriptors), socket.MSG_DONTWAIT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def end(self) -> None:
        """Everything of it is gone afterwards."""
        self.kill()
        self.orders.close()
        self._process.wait()
        if self._reading is not threading.current_thread():
            self._reading.join(1.0)
        self._mark.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (a pipe)
        with self._process.stdout as pipe:
            for line in iter(lambda: pipe.readline(_LONGEST_LINE), b""):
                self._lines.put((self, line))
        self._lines.put((self, b""))


class WorkerMotion:
    """Satisfies `vms.contracts.motion.MotionWatcher` with one process for all cameras, which runs while there are any.

    A thread of its own keeps it to what is wanted, and calls the listener.
    """

    def __init__(self, taps: MediaTap, clock: Clock, *, command: list[str] | None = None) -> None:
        self._taps = taps
        self._clock = clock
        self._command = command or [sys.executable, "-m", "vms.adapters.motion.worker"]
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}
        self._gone: list[tuple[str, _Camera]] = []
        self._numbers = 0
        self._listener: MotionListener = lambda _camera, _report: None
        # Bounded: where events are kept slowly, the worker waits and misses pictures.
        self._lines: queue.Queue[tuple[_Process | None, bytes]] = queue.Queue(1000)
        self._process: _Process | None = None
        self._process_back_off = BackOff()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.restarts = 0

    def start(self, listener: MotionListener) -> None:
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="motion", daemon=True)
        self._thread.start()

    def watch(self, camera_id: str, settings: MotionSettings) -> None:
        with self._lock:
            known = self._cameras.get(camera_id)
            if known is not None:
                if known.settings == settings:
                    return
                self._gone.append((camera_id, known))
            self._numbers += 1
            self._cameras[camera_id] = _Camera(self._numbers, settings)
        self._wake()

    def forget(self, camera_id: str) -> None:
        with self._lock:
            known = self._cameras.pop(camera_id, None)
            if known is None:
                return
            self._gone.append((camera_id, known))
        self._wake()

    def figures(self) -> dict[str, MotionFigures]:
        with self._lock:
            return {camera_id: camera.figures for camera_id, camera in self._cameras.items()}

    def pid(self) -> int | None:
        """The process, while there is one."""
        process = self._process
        return process.pid if process is not None else None

    def close(self) -> None:
        self._closed = True
        self._wake()
        if self._thread is not None:
            self._thread.join(1.0)

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait((None, b""))

    def _run(self) -> None:
        while not self._closed:
            try:
                self._keep_up()
                process, line = self._lines.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            except Exception:
                # The supervisor: whatever one turn meets, the next comes.
                log.exception("motion")
                continue
            if process is None or process is not self._process:
                continue
            if line:
                self._take_line(process, line)
            else:
                self._process_died(process)
        self._stop_process()

    def _keep_up(self) -> None:
        """Brings the process to what is wanted."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            gone, self._gone = self._gone, []
            wanted = dict(self._cameras)
        for camera_id, camera in gone:
            self._detach(camera_id, camera)
        process = self._process
        if process is not None and process.hangs(now_s):
            log.warning("the motion worker hangs", pid=process.pid)
            process.kill()
            return
        if not wanted:
            if process is not None:
                self._stop_process()
            return
        if process is None:
            if now_s < self._process_back_off.not_before_s:
                return
            process = self._start_process(now_s)
        for camera_id, camera in wanted.items():
            if not camera.attached and now_s >= camera.back_off.not_before_s:
                self._attach(process, camera_id, camera, now_s)

    def _start_process(self, now_s: float) -> _Process:
        self._process_back_off.begin(now_s)
        try:
            self._process = _Process(self._command, self._lines)  # type: ignore[arg-type]
        except OSError:
            self._process_back_off.fail(now_s)
            raise
        return self._process

    def _attach(self, process: _Process, camera_id: str, camera: _Camera, now_s: float) -> None:
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            camera.tap = self._taps.tap(camera_id, _STREAM, ours.fileno())
            order = {
                "do": "watch",
                "camera_id": camera_id,
                "number": camera.number,
                "settings": camera.settings.model_dump(),
            }
            process.order(order, (theirs.fileno(),))
            camera.attached = True
            camera.back_off.begin(now_s)
            self._figure(camera, lost=None)
        except (Failure, OSError) as error:
            self._lose(camera_id, camera, str(error), now_s)
        finally:
            theirs.close()
            ours.close()

    def _lose(self, camera_id: str, camera: _Camera, reason: str, now_s: float) -> None:
        """It is looked at no more for now."""
        self._untap(camera)
        camera.back_off.fail(now_s)
        self._figure(camera, lost=reason)
        log.warning("motion is not looked for", camera_id=camera_id, reason=reason, again_s=camera.back_off.pause_s)

    def _untap(self, camera: _Camera) -> None:
        camera.attached = False
        tap, camera.tap = camera.tap, None
        if tap is not None:
            with contextlib.suppress(Failure):
                self._taps.untap(tap)

    def _detach(self, camera_id: str, camera: _Camera) -> None:
        if camera.attached and self._process is not None:
            with contextlib.suppress(OSError):
                self._process.order({"do": "forget", "camera_id": camera_id})
        self._untap(camera)
        self._close_event(camera_id, camera)

    def _close_event(self, camera_id: str, camera: _Camera) -> None:
        """Ends the event that the process did not live to end."""
        begun, camera.open = camera.open, None
        if begun is not None:
            end_us = max(begun.start_us, self._clock.now_us())
            self._listener(camera_id, MotionEnded(begun.start_us, end_us, begun.score, begun.box))

    def _take_line(self, process: _Process, line: bytes) -> None:
        try:
            document = json.loads(line)
            camera_id = document["camera_id"]
            camera = self._cameras.get(camera_id)
            if camera is None:
                return
            kind = document["is"]
            if kind in {"started", "ended"}:
                self._take_report(camera_id, camera, document)
            elif kind == "lost":
                self._close_event(camera_id, camera)
                self._lose(camera_id, camera, str(document["reason"]), self._clock.monotonic_s())
            elif kind == "figures":
                counts = {name: document[name] for name in ("decoded", "broken", "light_changes", "dropped")}
                self._figure(camera, **counts)
        except (ValueError, KeyError, TypeError) as error:
            log.error("the motion worker talks nonsense", reason=str(error))
            process.kill()

    def _take_report(self, camera_id: str, camera: _Camera, document: dict[str, Any]) -> None:
        box = Box(*(float(corner) for corner in document["box"]))
        start_us, score = int(document["start_us"]), float(document["score"])
        if document["is"] == "started":
            self._close_event(camera_id, camera)
            camera.open = MotionStarted(start_us, score, box)
            self._listener(camera_id, camera.open)
        elif camera.open is not None and camera.open.start_us == start_us:
            camera.open = None
            self._listener(camera_id, MotionEnded(start_us, int(document["end_us"]), score, box))

    def _process_died(self, process: _Process) -> None:
        now_s = self._clock.monotonic_s()
        culprit = process.mark()
        self._process = None
        process.end()
        self.restarts += 1
        for camera_id, camera in list(self._cameras.items()):
            self._untap(camera)
            self._close_event(camera_id, camera)
            if camera.number == culprit:
                self._lose(camera_id, camera, "its pictures ended the motion worker", now_s)
        # Where one camera's picture did it, the others go on at once.
        if culprit < 0:
            self._process_back_off.fail(now_s)
        log.error("the motion worker ended", culprit=culprit, again_s=max(0.0, self._process_back_off.pause_s))

    def _stop_process(self) -> None:
        process, self._process = self._process, None
        for camera_id, camera in list(self._cameras.items()):
            self._untap(camera)
            self._close_event(camera_id, camera)
        if process is not None:
            process.end()

    def _figure(self, camera: _Camera, **changed: Any) -> None:
        camera.figures = camera.figures.model_copy(update=changed)
