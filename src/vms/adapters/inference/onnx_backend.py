"""ONNX Runtime, with one of its providers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime  # type: ignore[import-untyped]

from vms.adapters.inference.backends import Entry, WorkerOptions
from vms.adapters.inference.placement import Tensors
from vms.contracts.inference import DeviceKind
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest

# In the order in which they are preferred.
PROVIDERS: dict[DeviceKind, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
}
_FATAL = 4


class OnnxGraph:
    """Satisfies `backends.Graph`."""

    def __init__(self, session: onnxruntime.InferenceSession, note: str) -> None:
        self._session = session
        self.note = note
        self.inputs: Mapping[str, Entry] = {each.name: _entry(each) for each in session.get_inputs()}
        self.outputs: Mapping[str, Entry] = {each.name: _entry(each) for each in session.get_outputs()}
        self._names = list(self.outputs)

    def run(self, inputs: Tensors) -> Tensors:
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))


class OnnxBackend:
    """Satisfies `backends.Backend`."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._provider = PROVIDERS[options.device.kind]
        onnxruntime.set_default_logger_severity(_FATAL)

    def open(self, path: Path, manifest: ModelManifest) -> OnnxGraph:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = self._options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _FATAL
        # Threads that wait for work by spinning would take the processor from recording.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        chosen = [(self._provider, self._provider_options(manifest))]
        # What TensorRT does not know runs by CUDA on the same device.
        if self._options.device.kind == "tensorrt":
            chosen.append((PROVIDERS["cuda"], {"device_id": self._index()}))
        try:
            # A provider that is left out is said by a warning, and asked for below.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                session = onnxruntime.InferenceSession(str(path), settings, providers=chosen)
        except Exception as error:
            # It raises classes of its own, straight from Exception.
            raise _failure(error, manifest.name, self._options.device.id) from error
        if self._provider not in session.get_providers():
            detail = f"{self._options.device.id} does not run model {manifest.name}: {self._provider} is left out"
            raise Failure("unavailable", detail)
        return OnnxGraph(session, self._note(manifest))

    def _index(self) -> str:
        return self._options.device.id.partition(":")[2] or "0"

    def _provider_options(self, manifest: ModelManifest) -> dict[str, str]:
        kind = self._options.device.kind
        if kind == "openvino":
            return {"device_type": self._options.device.id.partition(":")[2]}
        if kind in {"cuda", "rocm", "migraphx"}:
            return {"device_id": self._index()}
        if kind == "tensorrt":
            options = {
                "device_id": self._index(),
                "trt_fp16_enable": str(manifest.precision == "fp16"),
                "trt_int8_enable": str(manifest.precision == "int8"),
            }
            if self._options.cache_dir is not None:
                options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": self._options.cache_dir}
            return options
        return {}

    def _note(self, manifest: ModelManifest) -> str:
        if manifest.precision == "fp16" and self._options.device.kind == "cpu":
            return "this processor computes fp16 in fp32"
        return ""


def _entry(node: Any) -> Entry:
    return Entry(tuple(node.shape), _TYPES.get(node.type, node.type))


def _failure(error: Exception, model: str, device_id: str) -> Failure:
    sentence = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    # Named after what ONNX Runtime calls its statuses: the file is at fault, or the device.
    at_fault = {"InvalidProtobuf", "InvalidGraph", "NoSuchFile", "NoModel", "InvalidArgument", "NotImplemented"}
    if type(error).__name__ in at_fault:
        return Failure("malformed", f"model {model} is no ONNX file that can be run: {sentence}")
    return Failure("unavailable", f"{device_id} does not run model {model}: {sentence}")
