"""Devices and models that exist in memory alone: slow ones, failing ones, for tests and simulations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vms.contracts.inference import DeviceInfo, InstalledModel, Job
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest, Task
from vms.domain.vision import Finding

LookAt = Callable[[Job], tuple[Finding, ...]]


class MemoryShelf:
    """Satisfies `vms.contracts.inference.ModelShelf`."""

    def __init__(self, models: Mapping[str, InstalledModel] | None = None) -> None:
        self._models = dict(models or {})

    def add(self, manifest: ModelManifest, path: Path = Path("/nowhere")) -> None:
        self._models[manifest.name] = InstalledModel(manifest, path)

    def models(self) -> Sequence[InstalledModel]:
        return list(self._models.values())

    def get(self, name: str) -> InstalledModel:
        try:
            return self._models[name]
        except KeyError:
            raise Failure("not_found", f"model {name} is not installed: vms models install {name}") from None

    def default(self, task: Task) -> InstalledModel | None:
        return next((model for model in self._models.values() if model.manifest.task == task), None)


class SimulatedRunner:
    """Satisfies `vms.contracts.inference.Runner`.

    A batch takes `batch_s` and `picture_s` for each picture. `find` says what is in a picture; what it raises is the
    device's: Failure(unavailable) is a process that ended. While `broken` is set it does not start either.
    """

    def __init__(
        self,
        device_id: str = "simulated:0",
        *,
        find: LookAt = lambda _job: (),
        batch_s: float = 0.0,
        picture_s: float = 0.0,
        largest_batch: int = 1,
        refused: frozenset[str] = frozenset(),
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._device = DeviceInfo(
            id=device_id, kind="simulated", name="simulated", backend="simulated", largest_batch=largest_batch
        )
        self._find = find
        self._batch_s = batch_s
        self._picture_s = picture_s
        self._refused = refused
        self._wait = wait
        self._loaded: set[str] = set()
        self._is_up = False
        self._lock = threading.Lock()
        self.broken: str | None = None
        # What it was given, and how often it began.
        self.batches: list[tuple[str, tuple[Job, ...]]] = []
        self.starts = 0

    @property
    def device(self) -> DeviceInfo:
        return self._device

    def load(self, model: InstalledModel) -> None:
        self._check()
        if model.manifest.name in self._refused:
            raise Failure("unavailable", f"{self._device.id} does not run model {model.manifest.name}")
        self._loaded.add(model.manifest.name)

    def run(self, model: str, jobs: Sequence[Job]) -> Sequence[tuple[Finding, ...]]:
        self._check()
        if model not in self._loaded:
            raise Failure("internal", f"model {model} is not loaded on {self._device.id}")
        with self._lock:
            self.batches.append((model, tuple(jobs)))
        if self._batch_s or self._picture_s:
            self._wait(self._batch_s + self._picture_s * len(jobs))
        try:
            return [self._find(job) for job in jobs]
        except Failure as failure:
            self._is_up = failure.kind != "unavailable"
            raise

    def restart(self) -> None:
        self._loaded.clear()
        self._is_up = False
        if self.broken is not None:
            raise Failure("unavailable", self.broken, code="device-lost")
        self.starts += 1
        self._is_up = True

    def close(self) -> None:
        self._is_up = False

    def _check(self) -> None:
        if self.broken is not None:
            self._is_up = False
        if not self._is_up:
            raise Failure("unavailable", self.broken or f"{self._device.id} is not running", code="device-lost")
