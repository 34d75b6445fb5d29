"""Operators that choose elements, and products of matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vms.adapters.tfjs.arithmetic import activated, together
from vms.adapters.tfjs.source import Node
from vms.adapters.tfjs.tensors import Free, Tensor, TranslationError, axis_of, integers
from vms.adapters.tfjs.writer import Translation, Writer, physical, result

_INT32, _INT64 = 6, 7


def _argmax(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    axis = axis_of(integers(inputs[1])[0], tensor.rank)
    if tensor.shape[axis] == Free(1):
        raise TranslationError("the largest of the batch is taken")
    kind = node.type("output_type") if "output_type" in node.attributes else np.dtype(np.int32)
    name = writer.emit("ArgMax", [writer.placed(tensor)], axis=axis, keepdims=0)
    name = writer.emit("Cast", [name], to={"int32": _INT32}[kind.name])
    return [result(name, [size for place, size in enumerate(tensor.shape) if place != axis], kind)]


def _top(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    (count,) = integers(inputs[1])
    last = tensor.shape[-1]
    if isinstance(last, Free) or not 0 < count <= last:
        raise TranslationError(f"the largest {count} of {last}")
    values, places = writer.emit_all("TopK", [writer.placed(tensor), writer.numbers(count)], 2, axis=-1)
    shape = (*tensor.shape[:-1], count)
    places = writer.emit("Cast", [places], to=_INT32)
    return [result(values, shape, tensor.type), result(places, shape, np.dtype(np.int32))]


def _gather(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, indices, axis_input = inputs
    axis = axis_of(integers(axis_input)[0], tensor.rank)
    if node.number("batch_dims"):
        raise TranslationError("gathering for each picture of a batch is not supported")
    name = writer.emit("Gather", [writer.placed(tensor), writer.placed(indices)], axis=axis)
    return [result(name, (*tensor.shape[:axis], *indices.shape, *tensor.shape[axis + 1 :]), tensor.type)]


def _gather_nd(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, indices = inputs
    depth = indices.shape[-1]
    if isinstance(depth, Free) or depth > tensor.rank:
        raise TranslationError(f"indices of {depth} places in {tensor.shape}")
    wide = writer.emit("Cast", [writer.placed(indices)], to=_INT64)
    name = writer.emit("GatherND", [writer.placed(tensor), wide])
    return [result(name, (*indices.shape[:-1], *tensor.shape[depth:]), tensor.type)]


def _softmax(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    name = writer.emit("Softmax", [writer.placed(tensor, tensor.order)], axis=physical(tensor, -1))
    return [result(name, tensor.shape, tensor.type, tensor.order)]


def _multiply(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    left, right = inputs[:2]
    if left.rank != 2 or right.rank != 2:
        raise TranslationError(f"matrices of {left.rank} and {right.rank} axes")
    # Turned by their order alone.
    left, right = (
        _turned(tensor) if node.flag(key) else tensor for tensor, key in ((left, "transpose_a"), (right, "transpose_b"))
    )
    if left.shape[1] != right.shape[0]:
        raise TranslationError(f"{left.shape} and {right.shape} cannot be multiplied")
    name = writer.emit("MatMul", [writer.placed(left), writer.placed(right)])
    product = result(name, (left.shape[0], right.shape[1]), left.type)
    fused = node.texts("fused_ops")
    if fused[:1] == ("BiasAdd",):
        product, fused = together(writer, "Add", [product, inputs[2]]), fused[1:]
    for activation in fused:
        product = activated(writer, activation, product, node.real("leakyrelu_alpha", 0.2))
    return [product]


def _turned(tensor: Tensor) -> Tensor:
    value = None if tensor.value is None else tensor.value.T
    order = (0, 1) if value is not None else (1 - tensor.order[0], 1 - tensor.order[1])
    return Tensor(tensor.name, tensor.shape[::-1], tensor.type, order, value)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(("MatMul", "_FusedMatMul"), _multiply),
    "ArgMax": _argmax,
    "GatherNd": _gather_nd,
    "GatherV2": _gather,
    "Softmax": _softmax,
    "TopKV2": _top,
}
