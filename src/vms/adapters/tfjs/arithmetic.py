"""Operators that work element by element."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from vms.adapters.tfjs.source import Node
from vms.adapters.tfjs.tensors import Tensor, TranslationError, broadcast, plain_order, same_order
from vms.adapters.tfjs.writer import Translation, Writer, known, result

_BINARY = {
    "Add": "Add",
    "AddV2": "Add",
    "Sub": "Sub",
    "Mul": "Mul",
    "RealDiv": "Div",
    "Maximum": "Max",
    "Minimum": "Min",
}
# What shapes are made of before the graph runs.
_KNOWN: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
}
_UNARY = {
    "Relu": "Relu",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "Exp": "Exp",
    "Sqrt": "Sqrt",
    "Abs": "Abs",
    "Neg": "Neg",
}


def together(writer: Writer, operator: str, tensors: Sequence[Tensor], kind: np.dtype[Any] | None = None) -> Tensor:
    """An ONNX operator on tensors that are brought to one shape. `kind`: of the result, else the first's."""
    if any(tensor.type != tensors[0].type for tensor in tensors):
        raise TranslationError("its inputs are of several types")
    shape = broadcast([tensor.shape for tensor in tensors])
    order = same_order(tensors)
    names = [writer.raised(tensor, len(shape), order) for tensor in tensors]
    return result(writer.emit(operator, names), shape, tensors[0].type if kind is None else kind, order)


def alone(writer: Writer, operator: str, tensor: Tensor, **attributes: Any) -> Tensor:
    """An ONNX operator on one tensor, of whatever order."""
    order = plain_order(tensor.rank) if tensor.known is not None else tensor.order
    return result(writer.emit(operator, [writer.placed(tensor, order)], **attributes), tensor.shape, tensor.type, order)


def clipped(writer: Writer, tensor: Tensor, least: float, most: float) -> Tensor:
    name = writer.placed(tensor, tensor.order)
    bounds = [writer.constant(np.array(bound, dtype=tensor.type)) for bound in (least, most)]
    return result(writer.emit("Clip", [name, *bounds]), tensor.shape, tensor.type, tensor.order)


def activated(writer: Writer, name: str, tensor: Tensor, slope: float) -> Tensor:
    """What a fused operator does last. Raises TranslationError for one that is not known."""
    if name == "Relu6":
        return clipped(writer, tensor, 0.0, 6.0)
    if name == "LeakyRelu":
        return alone(writer, "LeakyRelu", tensor, alpha=slope)
    if name in {"Relu", "Sigmoid"}:
        return alone(writer, name, tensor)
    raise TranslationError(f"it is fused with {name}, which is not supported")


def _binary(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    left, right = inputs
    fold = _KNOWN.get(node.operator)
    if fold is not None and left.known is not None and right.known is not None and left.type.kind == "i":
        return [known(np.asarray(fold(left.known, right.known), dtype=left.type))]
    return [together(writer, _BINARY[node.operator], inputs)]


def _sum(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    total = inputs[0]
    for tensor in inputs[1:]:
        total = together(writer, "Add", [total, tensor])
    return [total]


def _bias_add(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    if node.text("data_format", "NHWC") != "NHWC":
        raise TranslationError("channels first are not supported")
    return [together(writer, "Add", inputs)]


def _squared_difference(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    difference = together(writer, "Sub", inputs)
    return [together(writer, "Mul", [difference, difference])]


def _floor_divide(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    if inputs[0].type.kind == "f":
        return [alone(writer, "Floor", together(writer, "Div", inputs))]
    # ONNX cuts whole numbers towards 0; without the remainder there is nothing to cut.
    rest = together(writer, "Mod", inputs)
    return [together(writer, "Div", [together(writer, "Sub", [inputs[0], rest]), inputs[1]])]


def _floor_remainder(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    if inputs[0].type.kind != "f":
        return [together(writer, "Mod", inputs)]
    times = alone(writer, "Floor", together(writer, "Div", inputs))
    return [together(writer, "Sub", [inputs[0], together(writer, "Mul", [times, inputs[1]])])]


def _equal(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    return [together(writer, "Equal", inputs, np.dtype(np.bool_))]


def _unary(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    return [alone(writer, _UNARY[node.operator], tensor)]


def _relu6(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    return [clipped(writer, tensor, 0.0, 6.0)]


def _leaky_relu(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    return [alone(writer, "LeakyRelu", tensor, alpha=node.real("alpha", 0.2))]


def _square(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    return [together(writer, "Mul", [tensor, tensor])]


def _rsqrt(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    return [alone(writer, "Reciprocal", alone(writer, "Sqrt", tensor))]


def _cast(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    kind = node.type("DstT")
    if tensor.known is not None:
        return [known(tensor.known.astype(kind))]
    name = writer.emit("Cast", [tensor.name], to=helper.np_dtype_to_tensor_dtype(kind))
    return [Tensor(name, tensor.shape, kind, tensor.order, tensor.value)]


def _same(_writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    return [tensor]


def _batch_norm(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, *parameters = inputs
    if node.flag("is_training") or node.text("data_format", "NHWC") != "NHWC" or len(parameters) != 4:
        raise TranslationError("batch normalisation in training or with channels first is not supported")
    gamma, beta, mean, variance = (_constant(parameter) for parameter in parameters)
    scale = gamma / np.sqrt(variance + node.real("epsilon", 1e-4))
    scaled = together(writer, "Mul", [tensor, known(scale.astype(np.float32))])
    return [together(writer, "Add", [scaled, known((beta - mean * scale).astype(np.float32))])]


def _constant(tensor: Tensor) -> NDArray[Any]:
    if tensor.known is None:
        raise TranslationError("parameters that are no constants are not supported")
    return tensor.known.astype(np.float64)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _batch_norm),
    **dict.fromkeys(("Identity", "StopGradient"), _same),
    "AddN": _sum,
    "BiasAdd": _bias_add,
    "Cast": _cast,
    "Equal": _equal,
    "FloorDiv": _floor_divide,
    "FloorMod": _floor_remainder,
    "LeakyRelu": _leaky_relu,
    "Relu6": _relu6,
    "Rsqrt": _rsqrt,
    "Square": _square,
    "SquaredDifference": _squared_difference,
}
