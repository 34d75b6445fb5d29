"""Running models: a runner per device, and a pool of them that everybody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.frames import Frame
from vms.domain.models import ModelManifest, Task
from vms.domain.vision import Finding, Region

DeviceKind = Literal["cpu", "cuda", "tensorrt", "rocm", "migraphx", "openvino", "coreml", "simulated"]
Priority = Literal["low", "normal", "high"]


@dataclass(frozen=True)
class InstalledModel:
    """A model on this machine's disk."""

    manifest: ModelManifest
    path: Path
    # Further files of it, in the order of its source (reading text takes three networks).
    parts: tuple[Path, ...] = ()


class ModelShelf(Protocol):
    """The models that are installed."""

    def models(self) -> Sequence[InstalledModel]: ...

    def get(self, name: str) -> InstalledModel:
        """Raises Failure(not_found), with how to install it; Failure(malformed) where the file is not what its manifest
        says (hash); Failure(forbidden) for one that commercial mode excludes."""
        ...

    def default(self, task: Task) -> InstalledModel | None: ...


class DeviceInfo(BaseModel):
    """A device that runs models."""

    model_config = ConfigDict(frozen=True)

    # cpu, cuda:0, openvino:GPU.0
    id: str
    kind: DeviceKind
    name: str = ""
    # The back-end that runs it: "onnxruntime CUDAExecutionProvider", "openvino".
    backend: str = ""
    # Why it was chosen, or why a better one was not.
    reason: str = ""
    memory_bytes: int | None = None
    # Pictures that go together at most.
    largest_batch: int = 1


@dataclass(frozen=True)
class Job:
    """A picture, or a region of it, to be looked at by a model."""

    frame: Frame
    model: str
    region: Region | None = None
    priority: Priority = "normal"
    least_score: float | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a job. Without `reason` it was looked at; `dropped` tells that something newer took its place."""

    job: Job
    findings: tuple[Finding, ...] = ()
    device: str = ""
    # From being handed in to being taken up, and in the model with what is before and after it.
    waited_us: int = 0
    took_us: int = 0
    dropped: bool = False
    reason: str | None = None


class Runner(Protocol):
    """One device. Its methods are called from one thread, and block."""

    @property
    def device(self) -> DeviceInfo: ...

    def load(self, model: InstalledModel) -> None:
        """Makes it ready, warmed up. Raises Failure(malformed) for one of the wrong shape, Failure(unavailable) where
        the device does not run it, and with code device-lost where the device or its process fails: see `run`."""
        ...

    def run(self, model: str, jobs: Sequence[Job]) -> Sequence[tuple[Finding, ...]]:
        """The findings of each, in order. Raises Failure(unavailable, code device-lost) when the device or its process
        fails, after which only `restart` may be called; Failure(malformed) when a picture cannot be looked at."""
        ...

    def restart(self) -> None:
        """Begins, or begins anew, with no model loaded. Raises Failure(unavailable)."""
        ...

    def close(self) -> None:
        """For good. Another thread may call it to end a run."""
        ...


class ModelFigures(BaseModel):
    """Of one model on one device. Times in ms over the last minute."""

    model_config = ConfigDict(frozen=True)

    model: str
    frames: int = 0
    batches: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    queue_depth: int = 0


class DeviceFigures(BaseModel):
    """Of one device."""

    model_config = ConfigDict(frozen=True)

    device: DeviceInfo
    state: Literal["starting", "ready", "failed", "drained"] = "starting"
    reason: str | None = None
    restarts: int = 0
    frames_per_second: float = 0.0
    # Share of the last minute in which it ran.
    busy: float = 0.0
    cameras: tuple[str, ...] = ()
    models: tuple[ModelFigures, ...] = ()


class PoolFigures(BaseModel):
    """Of the whole pool."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[DeviceFigures, ...] = ()
    # Since the start: jobs answered, dropped for newer ones, failed.
    answered: int = 0
    dropped: int = 0
    failed: int = 0
    # Wait before a device took a job up, last minute.
    waited_p95_ms: float = 0.0


class InferencePool(Protocol):
    """All devices."""

    def submit(self, job: Job, done: Callable[[Answer], None]) -> None:
        """Never blocks; `done` is called exactly once, on a thread of the pool's (or at once, on the caller's, for what
        is refused). Per camera and model few jobs wait: another drops the oldest."""
        ...

    def figures(self) -> PoolFigures: ...

    def start(self) -> None: ...

    def close(self) -> None:
        """What waits is answered as dropped."""
        ...
