"""Pictures without cameras: what a test shows is given as a worker would give it, in memory that others can map."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading

from vms.contracts.frames import Frame, FrameFigures, FrameListener, FramePlace, Sampling
from vms.domain.vision import Look

_NOTHING = Look(0.5, 0.2, 0.05)


class MemoryFrames:
    """Satisfies `vms.contracts.frames.FrameSource`. Each camera has `slots` pictures that may be out at once."""

    def __init__(self, *, slots: int = 4) -> None:
        self.sampling: dict[str, Sampling] = {}
        self._slots = slots
        self._figures: dict[str, FrameFigures] = {}
        self._listener: FrameListener = self.release
        self._out: dict[FramePlace, tuple[Frame, mmap.mmap, int]] = {}
        # A path stays the same file: they are used again.
        self._free: list[int] = []
        self._lock = threading.Lock()

    def start(self, listener: FrameListener) -> None:
        self._listener = listener

    def watch(self, camera_id: str, sampling: Sampling) -> None:
        with self._lock:
            self.sampling[camera_id] = sampling
            self._figures.setdefault(camera_id, FrameFigures())

    def forget(self, camera_id: str) -> None:
        with self._lock:
            self.sampling.pop(camera_id, None)
            self._figures.pop(camera_id, None)

    def figures(self) -> dict[str, FrameFigures]:
        with self._lock:
            return dict(self._figures)

    def show(
        self, camera_id: str, rgb: bytes, width: int, height: int, at_us: int, *, look: Look = _NOTHING
    ) -> Frame | None:
        """Gives a picture of a camera that is watched, on the caller's thread; None where it is not, or all its slots
        are out. `rgb`: `height` rows of `width` × 3 bytes."""
        with self._lock:
            sampling = self.sampling.get(camera_id)
            if sampling is None:
                return None
            out = sum(frame.camera_id == camera_id for frame, _, _ in self._out.values())
            figures = self._figures[camera_id]
            changed = {"dropped": figures.dropped + 1} if out >= self._slots else {"given": figures.given + 1}
            self._figures[camera_id] = figures.model_copy(update={"decoded": figures.decoded + 1, **changed})
            if out >= self._slots:
                return None
            fd = self._free.pop() if self._free else os.memfd_create("frame")
            os.ftruncate(fd, max(os.fstat(fd).st_size, len(rgb)))
            os.pwrite(fd, rgb, 0)
            place = FramePlace(f"/proc/{os.getpid()}/fd/{fd}", 0)
            pts = at_us * 9 // 100
            frame = Frame(camera_id, sampling.stream, at_us, pts, 90_000, width, height, place, look, width, height)
            self._out[place] = (frame, mmap.mmap(fd, len(rgb)), fd)
        self._listener(frame)
        return frame

    def fail(self, camera_id: str, reason: str | None) -> None:
        """Its pictures are lost, or back."""
        with self._lock:
            self._figures[camera_id] = self._figures[camera_id].model_copy(update={"lost": reason})

    def release(self, frame: Frame) -> None:
        with self._lock:
            known = self._out.get(frame.place)
            if known is None or known[0] != frame:
                return
            del self._out[frame.place]
            self._free.append(known[2])
        _close(known[1])

    def pixels(self, frame: Frame) -> memoryview:
        with self._lock:
            return memoryview(self._out[frame.place][1]).toreadonly()

    def close(self) -> None:
        with self._lock:
            out, self._out = self._out, {}
            free, self._free = self._free, []
        for _, memory, fd in out.values():
            _close(memory)
            os.close(fd)
        for fd in free:
            os.close(fd)


def _close(memory: mmap.mmap) -> None:
    # Whoever still looks at a picture of it keeps it.
    with contextlib.suppress(BufferError):
        memory.close()
