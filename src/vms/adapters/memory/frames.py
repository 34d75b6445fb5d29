"""Pictures that exist in memory alone, for tests and simulations."""

from __future__ import annotations

import threading

from vms.contracts.frames import Frame, FrameFigures, FrameListener, FramePlace, Sampling
from vms.domain.vision import Look

_LOOK = Look(brightness=0.5, contrast=0.2, sharpness=0.1)


class MemoryFrames:
    """Satisfies `vms.contracts.frames.FrameSource`: `give` is what the camera sends.

    `held` are the frames that were not released; releasing one twice is an error of whoever does it.
    """

    def __init__(self) -> None:
        self.watched: dict[str, Sampling] = {}
        self.held: dict[int, Frame] = {}
        self.released = 0
        self.lost: dict[str, str] = {}
        self._listener: FrameListener | None = None
        self._number = 0
        self._lock = threading.Lock()
        self._closed = False

    def watch(self, camera_id: str, sampling: Sampling) -> None:
        self.watched[camera_id] = sampling

    def forget(self, camera_id: str) -> None:
        self.watched.pop(camera_id, None)

    def figures(self) -> dict[str, FrameFigures]:
        return {camera_id: FrameFigures(lost=self.lost.get(camera_id)) for camera_id in self.watched}

    def start(self, listener: FrameListener) -> None:
        self._listener = listener

    def give(self, camera_id: str, at_us: int, *, width: int = 64, height: int = 36, look: Look = _LOOK) -> Frame:
        """A picture that was just taken."""
        with self._lock:
            self._number += 1
            number = self._number
            frame = Frame(
                camera_id=camera_id,
                stream="sub",
                at_us=at_us,
                pts=at_us * 9 // 100,
                clock_rate=90_000,
                width=width,
                height=height,
                place=FramePlace("/memory", number),
                look=look,
                sent_width=width * 10,
                sent_height=height * 10,
            )
            self.held[number] = frame
        if self._listener is not None and not self._closed:
            self._listener(frame)
        return frame

    def release(self, frame: Frame) -> None:
        with self._lock:
            del self.held[frame.place.offset]
            self.released += 1

    def pixels(self, frame: Frame) -> memoryview:
        with self._lock:
            shown = self.held[frame.place.offset]
        return memoryview(bytes(shown.size_bytes))

    def close(self) -> None:
        self._closed = True
