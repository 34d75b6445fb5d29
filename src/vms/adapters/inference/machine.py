"""Asks the machine what runs there, by running something: a provider that is built in may lack its driver."""

from __future__ import annotations

import platform
import warnings
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from onnx import TensorProto, helper

from vms.adapters.inference.detection import Facts, Tried
from vms.adapters.inference.onnx_backend import PROVIDERS

_MOST_OF_A_KIND = 16
_FATAL = 4


def facts() -> Facts:
    """Takes seconds, and may end the process."""
    onnxruntime.set_default_logger_severity(_FATAL)
    providers = tuple(onnxruntime.get_available_providers())
    tried = [
        each
        for kind, provider in PROVIDERS.items()
        if kind != "cpu" and provider in providers
        for each in _try(kind, provider)
    ]
    openvino, absent = _openvino()
    return Facts(
        onnxruntime=onnxruntime.__version__,
        providers=providers,
        tried=tuple(tried),
        openvino=openvino,
        openvino_absent=absent,
        processor=_processor(),
    )


def _try(kind: str, provider: str) -> list[Tried]:
    """Each device of the kind, until one is not there."""
    if kind == "coreml":
        return [_tried(kind, provider, "", {})]
    if kind == "openvino":
        names = ("GPU", "NPU", "CPU")
        return [_tried(kind, provider, name, {"device_type": name}) for name in names]
    found: list[Tried] = []
    for index in range(_MOST_OF_A_KIND):
        one = _tried(kind, provider, str(index), {"device_id": str(index)})
        if found and not one.runs:
            break
        found.append(one)
        if not one.runs:
            break
    return found


def _tried(kind: str, provider: str, index: str, options: dict[str, str]) -> Tried:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _FATAL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = onnxruntime.InferenceSession(_graph(), settings, providers=[(provider, options)])
        if provider not in session.get_providers():
            return Tried(kind=kind, index=index, runs=False, why="its driver or libraries are missing")
        session.run(None, {"x": np.ones((1, 4), np.float32)})
    except Exception as error:  # noqa: BLE001 (whatever a driver throws, it does not run)
        return Tried(kind=kind, index=index, runs=False, why=str(error).strip().partition("\n")[0][:200])
    return Tried(kind=kind, index=index, runs=True)


def _graph() -> bytes:
    """x · x."""
    node = helper.make_node("Mul", ["x", "x"], ["y"])
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([node], "square", entries[:1], entries[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def _openvino() -> tuple[dict[str, str], str]:
    try:
        import openvino  # type: ignore[import-untyped]  # noqa: PLC0415 (an extra)
    except ImportError:
        return {}, "openvino is not installed (pip install vms[openvino])"
    core = openvino.Core()
    names = {device: str(core.get_property(device, "FULL_DEVICE_NAME")) for device in core.available_devices}
    return names, ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
