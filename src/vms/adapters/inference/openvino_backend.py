"""OpenVINO by itself: Intel's processors, graphics and NPUs. An extra: `pip install vms[openvino]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vms.adapters.inference.backends import Entry, WorkerOptions
from vms.adapters.inference.placement import Tensors
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest

_HINTS = {"fp32": "f32", "fp16": "f16", "int8": "f32"}


class OpenVinoGraph:
    """Satisfies `backends.Graph`."""

    def __init__(self, compiled: Any, note: str) -> None:
        self._request = compiled.create_infer_request()
        self.note = note
        self.inputs: Mapping[str, Entry] = {port.get_any_name(): _entry(port) for port in compiled.inputs}
        self.outputs: Mapping[str, Entry] = {port.get_any_name(): _entry(port) for port in compiled.outputs}
        self._names = list(self.outputs)

    def run(self, inputs: Tensors) -> Tensors:
        results = self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
        return {name: np.asarray(results[number]) for number, name in enumerate(self._names)}


class OpenVinoBackend:
    """Satisfies `backends.Backend`."""

    def __init__(self, options: WorkerOptions) -> None:
        try:
            import openvino  # type: ignore[import-untyped]  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise Failure("unavailable", "openvino is not installed: pip install vms[openvino]") from error
        self._options = options
        self._device = options.device.id.partition(":")[2] or "CPU"
        self._core = openvino.Core()
        if options.cache_dir is not None:
            self._core.set_property({"CACHE_DIR": options.cache_dir})

    def open(self, path: Path, manifest: ModelManifest) -> OpenVinoGraph:
        try:
            model = self._core.read_model(str(path))
        except RuntimeError as error:
            raise Failure(
                "malformed", f"model {manifest.name} is no file that OpenVINO reads: {_last(error)}"
            ) from error
        precision, note = self._precision(manifest)
        settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if self._device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = self._options.threads
        try:
            return OpenVinoGraph(self._core.compile_model(model, self._device, settings), note)
        except RuntimeError as error:
            detail = f"{self._options.device.id} does not run model {manifest.name}: {_last(error)}"
            raise Failure("unavailable", detail) from error

    def _precision(self, manifest: ModelManifest) -> tuple[str, str]:
        """The hint, and what is to be said of it. A model of 8-bit integers has them in its graph."""
        wanted = _HINTS[manifest.precision]
        able = self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES")
        if wanted == "f16" and "FP16" not in able:
            return "f32", f"{self._device} computes fp16 in fp32"
        return wanted, ""


def _entry(port: Any) -> Entry:
    shape = tuple(dimension.get_length() if dimension.is_static else None for dimension in port.get_partial_shape())
    return Entry(shape, np.dtype(port.get_element_type().to_dtype()).name)


def _last(error: Exception) -> str:
    """OpenVINO's messages end with what matters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
