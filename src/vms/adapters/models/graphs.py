"""Whether an ONNX file is what its manifest says: it loads, has the inputs and outputs, and runs once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as errors  # type: ignore[import-untyped]

from vms.domain.errors import Failure
from vms.domain.models import ModelInput, ModelManifest

ELEMENTS: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
# What ONNX Runtime raises for a graph that it does not take.
RUNTIME_ERRORS = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NoSuchFile,
    errors.NotImplemented,
    errors.RuntimeException,
)
_TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)", "int32": "tensor(int32)"}


class GraphReader(Protocol):
    """What will read the model's outputs."""

    def further_inputs(self, count: int) -> Mapping[str, NDArray[Any]]:
        """What the graph gets beside so many pictures."""
        ...

    def check(self, outputs: Mapping[str, tuple[int | str | None, ...]]) -> None:
        """Raises Failure(malformed) where outputs (name → shape) cannot be what it reads."""
        ...


def check_graph(manifest: ModelManifest, model: bytes, reader: GraphReader | None = None) -> None:
    """Raises Failure(malformed), which names what differs."""
    session = open_graph(manifest.name, model)
    further = reader.further_inputs(2 if manifest.batch else 1) if reader is not None else {}
    _check_inputs(manifest, {entry.name: entry for entry in session.get_inputs()}, set(further))
    outputs = {entry.name: tuple(entry.shape) for entry in session.get_outputs()}
    for role, name in manifest.outputs.items():
        if name not in outputs:
            raise _differs(manifest, f"outputs.{role}", name, f"its outputs are {', '.join(outputs)}")
    if reader is not None:
        reader.check(outputs)
    pictures = feeds(session, manifest.input, 2 if manifest.batch else 1)
    try:
        session.run(list(manifest.outputs.values()), {**pictures, **further})
    except RUNTIME_ERRORS as error:
        raise Failure("malformed", f"the model {manifest.name} loads but does not run: {_first_line(error)}") from error


def _check_inputs(manifest: ModelManifest, inputs: Mapping[str, Any], further: set[str]) -> None:
    wanted = manifest.input
    if wanted.name not in inputs:
        raise _differs(manifest, "input.name", wanted.name, f"its inputs are {', '.join(inputs)}")
    entry = inputs[wanted.name]
    if entry.type != _TYPES[wanted.type]:
        raise _differs(manifest, "input.type", wanted.type, f"{wanted.name} is {entry.type}")
    shape = input_shape(wanted, 1)
    fits = len(entry.shape) == len(shape) and all(
        not isinstance(is_, int) or is_ == says for is_, says in zip(entry.shape, shape, strict=True)
    )
    if not fits:
        said = "×".join(map(str, shape))
        raise _differs(manifest, "input", said, f"{wanted.name} is {'×'.join(map(str, entry.shape))}")
    if manifest.batch and isinstance(entry.shape[0], int):
        raise _differs(manifest, "batch", "true", f"{wanted.name} takes {entry.shape[0]} picture at a time")
    if set(inputs) != {wanted.name, *further}:
        said = ", ".join(sorted({wanted.name, *further}))
        raise _differs(
            manifest, "reader", f"{manifest.reader}, which gives {said}", f"its inputs are {', '.join(inputs)}"
        )


def check_loads(name: str, model: bytes) -> None:
    """Of a further file of a model. Raises Failure(malformed)."""
    open_graph(name, model)


def open_graph(name: str, model: bytes, *, threads: int = 1, optimised: bool = False) -> onnxruntime.InferenceSession:
    """A session on the CPU. Raises Failure(malformed) for what is no ONNX, or keeps weights in other files."""
    try:
        graph = onnx.load_model_from_string(model).graph
    except DecodeError as error:
        raise Failure("malformed", f"the file of the model {name} is no ONNX") from error
    for tensor in _tensors(graph):
        # Such a place is a path, which may lead anywhere; and the hash would not cover what lies there.
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise Failure(
                "malformed", f"the model {name} keeps weights ({tensor.name}) in other files: save it as one ONNX file"
            )
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    if not optimised:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise Failure("malformed", f"the model {name} cannot be loaded: {_first_line(error)}") from error


def input_shape(entry: ModelInput, count: int) -> tuple[int, int, int, int]:
    """Of the tensor for so many pictures."""
    channels = 1 if entry.colour == "grey" else 3
    if entry.layout == "nhwc":
        return count, entry.height, entry.width, channels
    return count, channels, entry.height, entry.width


def feeds(session: onnxruntime.InferenceSession, entry: ModelInput, count: int) -> dict[str, NDArray[Any]]:
    """Something for every input: grey pictures, and ones for what the graph takes beside them."""
    made: dict[str, NDArray[Any]] = {}
    for tensor in session.get_inputs():
        if tensor.name == entry.name:
            shape: Sequence[int] = input_shape(entry, count)
        else:
            free = [size if isinstance(size, int) else 1 for size in tensor.shape[1:]]
            shape = [count if tensor.shape and not isinstance(tensor.shape[0], int) else 1, *free][: len(tensor.shape)]
        made[tensor.name] = np.ones(shape, dtype=ELEMENTS.get(tensor.type, np.float32))
    return made


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph, those of the graphs in it too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def _differs(manifest: ModelManifest, field: str, says: str, is_: str) -> Failure:
    return Failure(
        "malformed",
        f"the model {manifest.name} is not what its manifest says: {field} says {says}, but {is_}",
        code="model-shape",
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
