"""What stands in for devices, models and encoders where pictures are understood without any."""

from __future__ import annotations

from collections.abc import Callable

from vms.contracts.inference import Answer, DeviceFigures, DeviceInfo, Job, ModelFigures, PoolFigures
from vms.domain.errors import Failure
from vms.domain.models import ModelInput, ModelManifest, ModelSource
from vms.domain.motion import Box
from vms.domain.vision import Finding


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
