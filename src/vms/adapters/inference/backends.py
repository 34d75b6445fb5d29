"""What runs a graph: ONNX Runtime with one of its providers, or OpenVINO by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from vms.adapters.inference.placement import Tensors
from vms.contracts.inference import DeviceInfo
from vms.domain.models import ModelManifest

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class Entry:
    """An input or output of a graph. A dimension that is free is a name or None; `type` is numpy's word."""

    shape: Shape
    type: str


class Graph(Protocol):
    """A model as its file says, ready to run."""

    @property
    def inputs(self) -> Mapping[str, Entry]: ...

    @property
    def outputs(self) -> Mapping[str, Entry]: ...

    @property
    def note(self) -> str:
        """What of the manifest's wishes the device does not do."""
        ...

    def run(self, inputs: Tensors) -> Tensors:
        """The outputs, which are the caller's until the next run. Raises what the back-end raises."""
        ...


class Backend(Protocol):
    """Opens graphs on one device."""

    def open(self, path: Path, manifest: ModelManifest) -> Graph:
        """Raises Failure(malformed) for what is no model, Failure(unavailable) for one that the device does not run."""
        ...


class WorkerOptions(BaseModel):
    """What a device's process is told on its command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: DeviceInfo
    # Threads of a run on the processor.
    threads: int = 1
    # Where a back-end may keep what it made of a model.
    cache_dir: str | None = None


def open_backend(options: WorkerOptions) -> Backend:
    """The back-end of a device. Raises Failure(unavailable) where its package is not there.

    Each is imported alone: of the others nothing is needed, or even installed.
    """
    if options.device.backend == "openvino":
        from vms.adapters.inference.openvino_backend import OpenVinoBackend  # noqa: PLC0415

        return OpenVinoBackend(options)
    from vms.adapters.inference.onnx_backend import OnnxBackend  # noqa: PLC0415

    return OnnxBackend(options)
