"""What stands in for devices, models and encoders where pictures are understood without any."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vms.contracts.frames import Frame, FrameFigures, FrameListener, FramePlace, Sampling
from vms.contracts.inference import Answer, DeviceFigures, DeviceInfo, Job, ModelFigures, PoolFigures
from vms.domain.errors import Failure
from vms.domain.models import ModelInput, ModelManifest, ModelSource
from vms.domain.motion import Box
from vms.domain.vision import Finding, Look


def manifest(name: str, task: str = "detect") -> ModelManifest:
    return ModelManifest.model_validate(
        {
            "name": name,
            "version": "1",
            "title": name,
            "task": task,
            "reader": "ssd",
            "source": ModelSource(kind="file").model_dump(),
            "licence": "MIT",
            "commercial": True,
            "input": ModelInput(name="x", width=8, height=8).model_dump(),
        }
    )


def person(x: float, *, label: str = "person", score: float = 0.9, bottom: float = 0.8) -> Finding:
    return Finding(label, score, Box(x - 0.05, bottom - 0.4, x + 0.05, bottom))


_LOOK = Look(brightness=0.5, contrast=0.2, sharpness=0.1)


class StrictFrames:
    """A `FrameSource` whose `give` is what the camera sends.

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


class HeldPool:
    """Keeps jobs until the test answers them."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Job, Callable[[Answer], None]]] = []
        self.started = 0
        self.refuses: Failure | None = None

    def submit(self, job: Job, done: Callable[[Answer], None]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.waiting.append((job, done))

    def figures(self) -> PoolFigures:
        models = (ModelFigures(model="coco-ssd", frames=7, p50_ms=12.5, queue_depth=len(self.waiting)),)
        device = DeviceInfo(id="cpu", kind="cpu", name="A processor", reason="there is no other")
        return PoolFigures(devices=(DeviceFigures(device=device, state="ready", models=models),), answered=7)

    def start(self) -> None:
        self.started += 1

    def close(self) -> None:
        waiting, self.waiting = self.waiting, []
        for job, done in waiting:
            done(Answer(job, dropped=True))


class PlainJpegs:
    """Says how many it made."""

    def __init__(self) -> None:
        self.made = 0

    def jpeg(self, pixels: bytes, width: int, height: int, *, widest: int, largest_bytes: int) -> bytes:
        assert len(pixels) == width * height * 3
        self.made += 1
        return b"jpeg %d" % self.made

    def close(self) -> None:
        pass
