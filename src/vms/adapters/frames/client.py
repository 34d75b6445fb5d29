"""The server's side of decoding: `WorkerFrames`."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any, Literal

import structlog

from vms.adapters.frames.framing import read_frame
from vms.adapters.frames.process import DecodingProcess
from vms.adapters.frames.shared_memory import SharedMemory, Store, slots_within
from vms.adapters.frames.watched import Group, WatchedCamera
from vms.contracts.clock import Clock
from vms.contracts.frames import Frame, FrameFigures, FrameListener, Sampling
from vms.contracts.media import MediaTap
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
_TICK_S = 1.0
# What workers say beside pictures, and wait for to be heard.
_MOST_LINES = 1000
_DEFAULT_MEMORY_BYTES = 256 << 20


class WorkerFrames:
    """Satisfies `vms.contracts.frames.FrameSource` with a process for every few cameras, while there are any.

    A thread keeps them to what is wanted; one for each process calls the listener. `memory_bytes` bounds all pictures
    together, `camera_share` what of a core one camera may take in the long run.
    """

    def __init__(
        self,
        taps: MediaTap,
        clock: Clock,
        *,
        cameras_per_worker: int = 8,
        memory_bytes: int = _DEFAULT_MEMORY_BYTES,
        camera_share: float = 0.5,
        hardware: Literal["auto", "off"] = "auto",
        command: list[str] | None = None,
    ) -> None:
        self._taps = taps
        self._clock = clock
        self._cameras_per_worker = max(1, cameras_per_worker)
        self._command = command or [sys.executable, "-m", "vms.adapters.frames.worker"]
        self._arguments = [str(camera_share), hardware]
        self._memory = SharedMemory(memory_bytes)
        self._lock = threading.Lock()
        self._cameras: dict[str, WatchedCamera] = {}
        self._by_number: dict[int, WatchedCamera] = {}
        self._gone: list[WatchedCamera] = []
        self._groups: list[Group] = []
        self._numbers = 0
        # Stores that a process may still write into, by their number.
        self._retired: dict[int, tuple[DecodingProcess, Store]] = {}
        self._listener: FrameListener = self.release
        self._lines: queue.Queue[tuple[DecodingProcess | None, dict[str, Any] | None]] = queue.Queue(_MOST_LINES)
        self._thread: threading.Thread | None = None
        self._closed = False
        self.restarts = 0

    def start(self, listener: FrameListener) -> None:
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def watch(self, camera_id: str, sampling: Sampling) -> None:
        with self._lock:
            known = self._cameras.get(camera_id)
            if known is not None and known.sampling.stream == sampling.stream:
                known.sampling = sampling
            else:
                if known is not None:
                    self._remove(known)
                self._cameras[camera_id] = WatchedCamera(camera_id, sampling, self._group_with_room())
        self._wake()

    def forget(self, camera_id: str) -> None:
        with self._lock:
            known = self._cameras.get(camera_id)
            if known is None:
                return
            self._remove(known)
        self._wake()

    def figures(self) -> dict[str, FrameFigures]:
        with self._lock:
            return {
                camera_id: camera.figures.model_copy(update={"given": camera.given})
                for camera_id, camera in self._cameras.items()
            }

    def release(self, frame: Frame) -> None:
        self._memory.release(frame)

    def pixels(self, frame: Frame) -> memoryview:
        return self._memory.pixels(frame)

    def pids(self) -> list[int]:
        """The processes that there are."""
        return [group.process.pid for group in list(self._groups) if group.process is not None]

    @property
    def memory_used_bytes(self) -> int:
        """Of all pictures' stores."""
        return self._memory.used_bytes

    def close(self) -> None:
        self._closed = True
        self._wake()
        if self._thread is not None:
            self._thread.join(5.0)
        self._memory.close()

    def _remove(self, camera: WatchedCamera) -> None:
        del self._cameras[camera.camera_id]
        self._by_number.pop(camera.number, None)
        self._gone.append(camera)

    def _group_with_room(self) -> Group:
        """The fullest that has room, so that few processes do."""
        counts = {id(group): 0 for group in self._groups}
        for camera in self._cameras.values():
            counts[id(camera.group)] += 1
        roomy = [group for group in self._groups if counts[id(group)] < self._cameras_per_worker]
        if roomy:
            return max(roomy, key=lambda group: counts[id(group)])
        self._groups.append(Group())
        return self._groups[-1]

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait((None, None))

    def _run(self) -> None:
        while not self._closed:
            try:
                self._keep_up()
                process, document = self._lines.get(timeout=_TICK_S)
                if process is None:
                    continue
                if document is None:
                    self._process_ended(process)
                else:
                    self._take_document(process, document)
            except queue.Empty:
                continue
            except Exception:
                # The supervisor: whatever one turn meets, the next comes.
                log.exception("frames")
        for group in self._groups:
            if group.process is not None:
                group.process.end()
        for camera in [*self._cameras.values(), *self._gone]:
            self._untap(camera)

    def _keep_up(self) -> None:
        """Brings the processes to what is wanted."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            gone, self._gone = self._gone, []
            wanted = list(self._cameras.values())
            busy = {id(camera.group) for camera in wanted}
            idle = [group for group in self._groups if id(group) not in busy]
            self._groups = [group for group in self._groups if id(group) in busy]
        for camera in gone:
            self._detach(camera)
        for group in idle:
            self._stop(group)
        for group in list(self._groups):
            process = group.process
            if process is not None and process.hangs(now_s):
                log.warning("a decoding worker hangs", pid=process.pid)
                process.kill()
        for camera in wanted:
            if camera.process is None and now_s >= camera.back_off.not_before_s:
                self._attach(camera, now_s)
            elif camera.process is not None and camera.told != camera.sampling:
                self._tell_sampling(camera, camera.process)
        self._share_memory(wanted)

    def _attach(self, camera: WatchedCamera, now_s: float) -> None:
        group = camera.group
        if group.process is None:
            if now_s < group.back_off.not_before_s:
                return
            group.back_off.begin(now_s)
            try:
                group.process = DecodingProcess(self._command, self._arguments, self._hear)
            except OSError as error:
                group.back_off.fail(now_s)
                self._figure(camera, lost=f"no decoding worker can be started: {error}")
                return
        with self._lock:
            self._by_number.pop(camera.number, None)
            if self._cameras.get(camera.camera_id) is not camera:
                # It was forgotten meanwhile.
                return
            self._numbers += 1
            camera.number = self._numbers
            self._by_number[camera.number] = camera
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        sampling = camera.sampling
        try:
            camera.tap = self._taps.tap(
                camera.camera_id, sampling.stream, ours.fileno(), key_frames_only=sampling.key_frames_only
            )
            order = {"do": "watch", "camera_id": camera.camera_id, "number": camera.number}
            group.process.order({**order, "sampling": sampling.model_dump()}, (theirs.fileno(),))
            camera.process, camera.told = group.process, sampling
            camera.back_off.begin(now_s)
            with self._lock:
                camera.given, camera.figures = 0, FrameFigures()
        except (Failure, OSError) as error:
            self._lose(camera, str(error), now_s)
        finally:
            theirs.close()
            ours.close()

    def _tell_sampling(self, camera: WatchedCamera, process: DecodingProcess) -> None:
        sampling = camera.sampling
        if camera.told is not None and camera.told.key_frames_only != sampling.key_frames_only:
            # Its tap is another.
            self._detach(camera)
            return
        with contextlib.suppress(OSError):
            process.order({"do": "sample", "number": camera.number, "sampling": sampling.model_dump()})
            camera.told = sampling

    def _lose(self, camera: WatchedCamera, reason: str, now_s: float) -> None:
        """It is decoded no more for now."""
        self._detach(camera)
        camera.back_off.fail(now_s)
        self._figure(camera, lost=reason)
        log.warning("no pictures", camera_id=camera.camera_id, reason=reason, again_s=camera.back_off.pause_s)

    def _detach(self, camera: WatchedCamera) -> None:
        """Its tap and its store are given up."""
        process, camera.process, camera.told = camera.process, None, None
        self._untap(camera)
        self._retire(camera, process)
        camera.wanted_slot_bytes = 0
        if process is not None:
            # One that takes no orders finds the tap ended.
            with contextlib.suppress(OSError):
                process.order({"do": "forget", "number": camera.number})

    def _untap(self, camera: WatchedCamera) -> None:
        tap, camera.tap = camera.tap, None
        if tap is not None:
            with contextlib.suppress(Failure):
                self._taps.untap(tap)

    def _retire(self, camera: WatchedCamera, process: DecodingProcess | None) -> None:
        store, camera.store = camera.store, None
        if store is None:
            return
        if process is None or process.has_ended:
            self._memory.retire(store, is_held=False)
            return
        self._retired[store.number] = (process, store)
        self._memory.retire(store, is_held=True)

    def _share_memory(self, cameras: list[WatchedCamera]) -> None:
        """Brings the stores to what the budget allows: as many slots for everybody as fit."""
        wanting = [camera for camera in cameras if camera.wanted_slot_bytes and camera.process is not None]
        counts = slots_within([camera.wanted_slot_bytes for camera in wanting], self._memory.budget_bytes)
        for camera, slots in zip(wanting, counts, strict=True):
            store = camera.store
            if store is not None and (store.slots != slots or store.slot_bytes < camera.wanted_slot_bytes):
                self._withdraw_store(camera)
        for camera, slots in zip(wanting, counts, strict=True):
            if camera.store is None and slots:
                self._give_store(camera, slots)

    def _withdraw_store(self, camera: WatchedCamera) -> None:
        process = camera.process
        self._retire(camera, process)
        if process is not None:
            with contextlib.suppress(OSError):
                process.order({"do": "store", "number": camera.number, "store": 0, "slots": 0})

    def _give_store(self, camera: WatchedCamera, slots: int) -> None:
        process = camera.process
        store = self._memory.take(camera.wanted_slot_bytes, slots)
        if store is None or process is None:
            return
        camera.store = store
        order = {"do": "store", "number": camera.number, "store": store.number, "slots": slots}
        try:
            process.order({**order, "slot_bytes": store.slot_bytes}, (store.file.fd,))
        except OSError:
            # It did not hear of it; the next turn tries again.
            camera.store = None
            self._memory.retire(store, is_held=False)

    def _hear(self, process: DecodingProcess, line: bytes) -> None:
        """A line of a worker's, on its thread."""
        if not line:
            self._lines.put((process, None))
            return
        try:
            document = json.loads(line)
            if document["is"] == "frame":
                self._hear_frame(process, document)
            else:
                self._lines.put_nowait((process, document))
        except (ValueError, KeyError, TypeError, queue.Full) as error:
            log.error("a decoding worker talks nonsense", pid=process.pid, reason=str(error))
            process.kill()

    def _hear_frame(self, process: DecodingProcess, document: dict[str, Any]) -> None:
        line = read_frame(document)
        camera = self._by_number.get(line.number)
        if camera is None:
            return
        store = camera.store
        if store is None or store.number != line.store or camera.process is not process:
            # Of a store that was given up meanwhile.
            return
        frame = Frame(
            camera_id=camera.camera_id,
            stream=camera.sampling.stream,
            at_us=line.at_us,
            pts=line.pts,
            clock_rate=line.clock_rate,
            width=line.width,
            height=line.height,
            place=store.place(line.slot),
            look=line.look,
            sent_width=line.sent_width,
            sent_height=line.sent_height,
        )
        if not self._memory.lease(store, line.slot, frame):
            return
        camera.given += 1
        try:
            self._listener(frame)
        except Exception as error:  # noqa: BLE001 (whatever a listener meets, the next picture comes)
            log.error("a picture was not taken", camera_id=camera.camera_id, reason=repr(error))
            self.release(frame)

    def _take_document(self, process: DecodingProcess, document: dict[str, Any]) -> None:
        try:
            kind = document["is"]
            if kind == "freed":
                self._store_freed(process, int(document["store"]))
                return
            camera = self._by_number.get(int(document["number"]))
            if camera is None or camera.process is not process:
                return
            if kind == "wants":
                camera.wanted_slot_bytes = max(1, int(document["slot_bytes"]))
            elif kind == "decoder":
                self._figure(camera, codec=str(document["codec"]), hardware=str(document["hardware"]))
            elif kind == "figures":
                self._figure(camera, counted={name: int(document[name]) for name in _COUNTED})
            elif kind == "lost":
                self._lose(camera, str(document["reason"]), self._clock.monotonic_s())
        except (ValueError, KeyError, TypeError) as error:
            log.error("a decoding worker talks nonsense", pid=process.pid, reason=str(error))
            process.kill()

    def _store_freed(self, process: DecodingProcess, number: int) -> None:
        retired = self._retired.get(number)
        if retired is not None and retired[0] is process:
            del self._retired[number]
            self._memory.retire(retired[1], is_held=False)

    def _process_ended(self, process: DecodingProcess) -> None:
        now_s = self._clock.monotonic_s()
        group = next((group for group in self._groups if group.process is process), None)
        culprit = process.mark() if group is not None else -1
        process.end()
        for number in [number for number, (holder, _) in self._retired.items() if holder is process]:
            self._memory.retire(self._retired.pop(number)[1], is_held=False)
        if group is None:
            # It was stopped.
            return
        group.process = None
        self.restarts += 1
        # Where one camera's picture did it, the others go on at once.
        if culprit < 0:
            group.back_off.fail(now_s)
        log.error("a decoding worker ended", culprit=culprit, again_s=max(0.0, group.back_off.not_before_s - now_s))
        for camera in list(self._by_number.values()):
            if camera.process is not process:
                continue
            camera.process = None
            self._retire(camera, None)
            if camera.number == culprit:
                self._lose(camera, "its pictures ended the decoding worker", now_s)
            else:
                self._detach(camera)
                self._figure(camera, lost="the decoding worker ended")

    def _stop(self, group: Group) -> None:
        process, group.process = group.process, None
        if process is not None:
            process.kill()

    def _figure(self, camera: WatchedCamera, counted: Mapping[str, int] | None = None, **changed: str | None) -> None:
        with self._lock:
            camera.figures = camera.figures.model_copy(update={**(counted or {}), **changed})


_COUNTED = ("decoded", "broken", "missed", "dropped")
