"""A device's process for tests: real back-ends, a reader for `colour_model`, and pictures that end or stop it.

`python tests/inference_double.py OPTIONS LIFE_FD`, as the real one is called.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from vms.adapters.inference.backends import Backend, Graph, WorkerOptions, open_backend
from vms.adapters.inference.placement import OutputReader, Placement, Tensors
from vms.adapters.inference.worker import serve
from vms.contracts.frames import Frame, FramePlace
from vms.contracts.inference import DeviceInfo, InstalledModel
from vms.domain.errors import Failure
from vms.domain.models import ModelInput, ModelManifest, ModelSource
from vms.domain.vision import Finding, Look

COMMAND = (sys.executable, str(Path(__file__)))
SIDE = 4
# Levels of red that end the process, stop it, or make the back-end throw.
DEADLY, STOPPING, THROWING = 251, 252, 253
# Names a file that is there once the process is stopped.
STOPPED = "VMS_TEST_STOPPED"


def processor(device_id: str = "cpu", *, largest_batch: int = 4) -> WorkerOptions:
    """The machine's processor, by ONNX Runtime or (`openvino:CPU`) by OpenVINO."""
    openvino = device_id.startswith("openvino")
    backend = "openvino" if openvino else "onnxruntime CPUExecutionProvider"
    kind = "openvino" if openvino else "cpu"
    return WorkerOptions(
        device=DeviceInfo.model_validate(
            {"id": device_id, "kind": kind, "backend": backend, "largest_batch": largest_batch}
        )
    )


def colour_model(directory: Path, name: str = "colour", **changed: object) -> InstalledModel:
    """A model whose one finding tells the mean colour of what it was shown. `changed`: members of its manifest."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2], keepdims=0)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", SIDE, SIDE, 3])]
    outputs = [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 3])]
    graph = helper.make_graph(nodes, "colour", inputs, outputs)
    path = directory / f"{name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    members: dict[str, object] = {
        "name": name,
        "version": "1",
        "title": "Mean colour",
        "task": "detect",
        "reader": "ssd",
        "source": ModelSource(kind="file"),
        "licence": "Apache-2.0",
        "commercial": True,
        "input": ModelInput(name="x", width=SIDE, height=SIDE),
        "outputs": {"scores": "mean"},
        "labels": ("colour",),
        "least_score": 0.0,
        "batch": True,
    }
    return InstalledModel(ModelManifest.model_validate({**members, **changed}), path)


class Pictures:
    """Memory with pictures of one colour each."""

    def __init__(self, directory: Path, *, width: int = 8, height: int = 6) -> None:
        self._path = directory / "pictures"
        self._path.touch()
        self._width, self._height = width, height
        self._made = 0

    def frame(self, red: int, green: int = 0, blue: int = 0, *, camera_id: str = "gate") -> Frame:
        """A picture, a tenth of a second after the one before."""
        picture = np.empty((self._height, self._width, 3), np.uint8)
        picture[:] = (red, green, blue)
        return self.frame_of(picture, camera_id=camera_id)

    def frame_of(self, picture: NDArray[np.uint8], *, camera_id: str = "gate") -> Frame:
        offset = self._path.stat().st_size
        with self._path.open("ab") as file:
            file.write(picture.tobytes())
        self._made += 1
        height, width = picture.shape[:2]
        return Frame(
            camera_id=camera_id,
            stream="sub",
            at_us=1_795_428_780_000_000 + self._made * 100_000,
            pts=self._made * 9000,
            clock_rate=90_000,
            width=width,
            height=height,
            place=FramePlace(str(self._path), offset),
            look=Look(0.5, 0.1, 0.1),
            sent_width=width,
            sent_height=height,
        )


class ColourReader:
    """Satisfies `OutputReader`."""

    def further_inputs(self, count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, tuple[int | str | None, ...]]) -> None:
        if len(outputs["mean"]) != 2 or outputs["mean"][1] != 3:
            raise Failure("malformed", f"output 'mean' has shape {outputs['mean']}")

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        mean = outputs["mean"]
        score = float(mean[0]) / 255
        box = placement.box(0.0, 0.0, 1.0, 1.0)
        if box is None or score < least_score:
            return ()
        return (Finding("colour", score, box, vector=tuple(float(level) for level in mean)),)


class _TouchyGraph:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs, self.outputs, self.note = graph.inputs, graph.outputs, graph.note

    def run(self, inputs: Tensors) -> Tensors:
        levels = {round(float(picture[0, 0, 0])) for picture in inputs["x"]}
        if DEADLY in levels:
            os.kill(os.getpid(), signal.SIGSEGV)
        if STOPPING in levels:
            if STOPPED in os.environ:
                Path(os.environ[STOPPED]).touch()
            signal.pause()
        if THROWING in levels:
            raise RuntimeError("out of memory on the device")
        return self._graph.run(inputs)


class _TouchyBackend:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def open(self, path: Path, manifest: ModelManifest) -> Graph:
        if path.name.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGABRT)
        return _TouchyGraph(self._backend.open(path, manifest))


def _reader_for(_manifest: ModelManifest) -> OutputReader:
    return ColourReader()


if __name__ == "__main__":
    serve(_reader_for, lambda options: _TouchyBackend(open_backend(options)))
