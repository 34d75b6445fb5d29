"""The ONNX graph as it is written, node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from vms.adapters.tfjs.source import Node
from vms.adapters.tfjs.tensors import Dimension, Free, Shape, Tensor, TranslationError, axis_of, elements, plain_order

OPERATOR_SET = 17
_IR_VERSION = 8
BATCH = "N"
# As many elements are worked out beforehand; shapes have a handful.
_LARGEST_WORKED_OUT = 1 << 16


class Writer:
    """Nodes and constants of an ONNX graph. `at` is the TensorFlow node at work, after which new ones are called."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.at = ""
        self._names: set[str] = set()
        self._placed: dict[tuple[str, tuple[int, ...]], str] = {}
        self._same: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def name(self, wanted: str) -> str:
        """One that nothing else has."""
        name, number = wanted, 2
        while name in self._names:
            name, number = f"{wanted}~{number}", number + 1
        self._names.add(name)
        return name

    def constant(self, array: NDArray[Any]) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._same:
            name = self.name(f"{self.at}/constant")
            self._same[key] = name
            self.constants[name] = np.ascontiguousarray(array).reshape(array.shape)
        return self._same[key]

    def emit(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        return self.emit_all(operator, inputs, 1, **attributes)[0]

    def emit_all(self, operator: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Several outputs."""
        outputs = [self.name(f"{self.at}/{operator}") for _ in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name=outputs[0], **attributes))
        return outputs

    def placed(self, tensor: Tensor, order: tuple[int, ...] | None = None) -> str:
        """The name of the tensor with its axes in this order; plain: as TensorFlow has them."""
        order = plain_order(tensor.rank) if order is None else order
        if tensor.known is not None:
            return self.constant(tensor.known.transpose(order))
        if tensor.order == order:
            return tensor.name
        key = (tensor.name, tuple(tensor.order.index(axis) for axis in order))
        if key not in self._placed:
            self._placed[key] = self.emit("Transpose", [tensor.name], perm=list(key[1]))
        return self._placed[key]

    def raised(self, tensor: Tensor, rank: int, order: tuple[int, ...]) -> str:
        """As `placed`, of a tensor that gets axes of one element in front, to go with others of a higher rank."""
        missing = rank - tensor.rank
        if missing == 0:
            return self.placed(tensor, order)
        if tensor.known is not None:
            value = tensor.known
            return self.constant(
                value if value.size == 1 else value.reshape((1,) * missing + value.shape).transpose(order)
            )
        name = self.placed(tensor)
        if order == plain_order(rank):
            return name
        raised = self.emit("Unsqueeze", [name, self.constant(np.arange(missing, dtype=np.int64))])
        return self.emit("Transpose", [raised], perm=list(order))

    def numbers(self, *numbers: int) -> str:
        """A constant of 64-bit integers, as shapes and axes are in ONNX."""
        return self.constant(np.array(numbers, dtype=np.int64))

    def model(self, inputs: Sequence[Tensor], outputs: Sequence[tuple[str, Tensor]], producer: str) -> onnx.ModelProto:
        """What leads to `outputs`, under these names."""
        for name, tensor in outputs:
            self.nodes.append(helper.make_node("Identity", [self.placed(tensor)], [name], name=name))
        self.nodes = _needed(self.nodes, {name for name, _ in outputs})
        self._rename_outputs({tensor.name for tensor in inputs})
        used = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "model",
            [_described(tensor.name, tensor) for tensor in inputs],
            [_described(name, tensor) for name, tensor in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in used],
        )
        return helper.make_model(
            graph,
            producer_name=producer,
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPERATOR_SET)],
        )

    def _rename_outputs(self, inputs: set[str]) -> None:
        """What a node makes for one output only bears that output's name at once."""
        made = {name for node in self.nodes for name in node.output}
        asked: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                asked.setdefault(name, []).append(node)
        renamed: dict[str, str] = {}
        for node in list(self.nodes):
            if node.op_type != "Identity":
                continue
            source = node.input[0]
            if source in made and source not in inputs and len(asked[source]) == 1:
                renamed[source] = node.output[0]
                self.nodes.remove(node)
        for node in self.nodes:
            for place, name in enumerate(node.output):
                node.output[place] = renamed.get(name, name)


def result(name: str, shape: Sequence[Dimension], kind: np.dtype[Any], order: tuple[int, ...] | None = None) -> Tensor:
    """A tensor that was written. Raises TranslationError where its shape cannot be."""
    elements(shape)
    return Tensor(name, tuple(shape), kind, plain_order(len(shape)) if order is None else order)


def known(value: NDArray[Any], shape: Shape | None = None) -> Tensor:
    """A constant; it is written where something asks for it."""
    return Tensor("", value.shape if shape is None else shape, value.dtype, plain_order(value.ndim), value)


def physical(tensor: Tensor, axis: int) -> int:
    """Where TensorFlow's axis is in the ONNX value."""
    return tensor.order.index(axis_of(axis, tensor.rank))


def worked_out(tensors: Sequence[Tensor]) -> bool:
    """Whether what they hold is known beforehand, but for the batch's size."""
    return all(tensor.value is not None and tensor.value.size <= _LARGEST_WORKED_OUT for tensor in tensors)


def with_value(tensor: Tensor, value: NDArray[Any] | None) -> Tensor:
    """The tensor with what it will hold; a constant where that holds for every batch."""
    if value is None:
        return tensor
    if value.dtype == object and not any(isinstance(item, Free) for item in value.reshape(-1)):
        value = value.astype(tensor.type)
    if value.dtype != object:
        return known(value.astype(tensor.type))
    return Tensor(tensor.name, tensor.shape, tensor.type, tensor.order, value)


def value_of(tensor: Tensor) -> NDArray[Any]:
    """Raises TranslationError where it is not known beforehand."""
    if tensor.value is None:
        raise TranslationError("a value that is only known at run time is not supported")
    return tensor.value


def _needed(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    kept = []
    for node in reversed(nodes):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted = wanted | set(node.input)
    return kept[::-1]


def _described(name: str, tensor: Tensor) -> onnx.ValueInfoProto:
    dimensions = [
        (BATCH if size.times == 1 else f"{BATCH}x{size.times}") if isinstance(size, Free) else size
        for size in tensor.shape
    ]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.type), dimensions)


# Writes what a node does, and gives its outputs. Raises TranslationError, or whatever Python raises for attributes
# and inputs that are not there or of the wrong kind, where the node cannot be so.
Translation = Callable[[Writer, Node, Sequence[Tensor]], Sequence[Tensor]]
