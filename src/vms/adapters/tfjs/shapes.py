"""Operators that change a tensor's shape, and put tensors together. What shapes are computed from is followed here
without the graph being run, with `Free` for the batch's size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vms.adapters.tfjs.source import Node
from vms.adapters.tfjs.tensors import (
    Dimension,
    Free,
    Shape,
    Tensor,
    TranslationError,
    axis_of,
    divided,
    elements,
    integers,
)
from vms.adapters.tfjs.tensors import plain_order as plain
from vms.adapters.tfjs.writer import Translation, Writer, known, physical, result, value_of, with_value, worked_out

_LARGEST_DENSE = 1 << 16


def _shape(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    kind = node.type("out_type") if "out_type" in node.attributes else np.dtype(np.int32)
    value = np.empty(tensor.rank, dtype=object)
    value[:] = tensor.shape
    if all(isinstance(size, int) for size in tensor.shape):
        return [known(value.astype(kind))]
    name = writer.emit("Shape", [tensor.name])
    places = [physical(tensor, axis) for axis in range(tensor.rank)]
    name = writer.emit("Gather", [name, writer.numbers(*places)], axis=0)
    name = writer.emit("Cast", [name], to={"int32": 6}[kind.name])
    return [with_value(result(name, (tensor.rank,), kind), value)]


def _reshape(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, wanted = inputs
    shape = _reshaped(tensor.shape, list(value_of(wanted).reshape(-1)))
    if tensor.known is not None:
        return [known(tensor.known.reshape([int(size) for size in shape if not isinstance(size, Free)]))]
    name = writer.emit("Reshape", [writer.placed(tensor), writer.numbers(*_stated(shape))])
    value = (
        tensor.value.reshape([size for size in shape if isinstance(size, int)]) if tensor.value is not None else None
    )
    return [with_value(result(name, shape, tensor.type), value)]


def _reshaped(shape: Shape, wanted: list[Any]) -> Shape:
    sizes: list[Dimension] = [size if isinstance(size, Free) else int(size) for size in wanted]
    total = elements(shape)
    if isinstance(total, Free) and shape[:1] == (Free(1),) and sizes[:1] == [1]:
        # The graph was frozen for one picture; now it takes several.
        sizes[0] = Free(1)
    if sizes.count(-1) > 1:
        raise TranslationError(f"a shape of {wanted}")
    if -1 in sizes:
        place = sizes.index(-1)
        sizes[place] = divided(total, elements([size for size in sizes if size != -1]))
    if elements(sizes) != total:
        raise TranslationError(f"{shape} cannot be reshaped to {tuple(sizes)}")
    return tuple(sizes)


def _stated(shape: Shape) -> list[int]:
    """The shape for ONNX, which works out one dimension by itself."""
    return [-1 if isinstance(size, Free) else size for size in shape]


def _transpose(_writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, wanted = inputs
    axes = integers(wanted)
    if sorted(axes) != list(range(tensor.rank)):
        raise TranslationError(f"axes {axes} of {tensor.rank}")
    return [_transposed(tensor, axes)]


def _transposed(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The same value, seen with its axes in another order: its elements stay where they are."""
    if tensor.known is not None:
        return known(tensor.known.transpose(axes))
    padded = None
    if tensor.padded is not None:
        source, pads, filling = tensor.padded
        padded = _transposed(source, axes), tuple(pads[axis] for axis in axes), filling
    order = tuple(axes.index(axis) for axis in tensor.order)
    return Tensor(tensor.name, tuple(tensor.shape[axis] for axis in axes), tensor.type, order, padded=padded)


def _expand(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    (axis,) = integers(inputs[1])
    axis = axis_of(axis, tensor.rank + 1)
    if tensor.known is not None:
        return [known(np.expand_dims(tensor.known, axis))]
    name = writer.emit("Unsqueeze", [writer.placed(tensor), writer.numbers(axis)])
    made = result(name, (*tensor.shape[:axis], 1, *tensor.shape[axis:]), tensor.type)
    return [with_value(made, None if tensor.value is None else np.expand_dims(tensor.value, axis))]


def _squeeze(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    stated = node.numbers("squeeze_dims") or node.numbers("axis")
    axes = sorted(axis_of(axis, tensor.rank) for axis in stated)
    axes = axes or [axis for axis, size in enumerate(tensor.shape) if size == 1]
    if any(tensor.shape[axis] != 1 for axis in axes):
        raise TranslationError(f"axes {axes} of {tensor.shape} are not all of one element")
    if tensor.known is not None:
        return [known(tensor.known.squeeze(tuple(axes)))]
    name = writer.emit("Squeeze", [writer.placed(tensor), writer.numbers(*axes)]) if axes else writer.placed(tensor)
    return [result(name, [size for axis, size in enumerate(tensor.shape) if axis not in axes], tensor.type)]


def _pack(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    shape = inputs[0].shape
    if any(tensor.shape != shape or tensor.type != inputs[0].type for tensor in inputs):
        raise TranslationError(f"what is packed has the shapes {', '.join(str(tensor.shape) for tensor in inputs)}")
    axis = axis_of(node.number("axis"), len(shape) + 1)
    value = np.stack([value_of(tensor) for tensor in inputs], axis) if worked_out(inputs) else None
    if value is not None and value.dtype != object:
        return [known(value)]
    parts = [writer.emit("Unsqueeze", [writer.placed(tensor), writer.numbers(axis)]) for tensor in inputs]
    name = writer.emit("Concat", parts, axis=axis)
    return [with_value(result(name, (*shape[:axis], len(inputs), *shape[axis:]), inputs[0].type), value)]


def _unpack(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    axis = axis_of(node.number("axis"), tensor.rank)
    count = tensor.shape[axis]
    if count != node.number("num") or isinstance(count, Free):
        raise TranslationError(f"{count} parts, and {node.number('num')} are stated")
    shape = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
    name, place = writer.placed(tensor), writer.numbers(axis)
    parts = [name] if count == 1 else writer.emit_all("Split", [name], count, axis=axis)
    return [result(writer.emit("Squeeze", [part, place]), shape, tensor.type) for part in parts]


def _concat(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    *tensors, axis_input = inputs
    first = tensors[0]
    axis = axis_of(integers(axis_input)[0], first.rank)
    total: Dimension = 0
    for tensor in tensors:
        size = tensor.shape[axis]
        others = [a == b for place, (a, b) in enumerate(zip(tensor.shape, first.shape, strict=True)) if place != axis]
        if not all(others) or tensor.type != first.type or isinstance(size, Free) or isinstance(total, Free):
            raise TranslationError(
                f"{', '.join(str(tensor.shape) for tensor in tensors)} cannot be joined along axis {axis}"
            )
        total += size
    value = np.concatenate([value_of(tensor) for tensor in tensors], axis) if worked_out(tensors) else None
    if value is not None and value.dtype != object:
        return [known(value)]
    order = next((tensor.order for tensor in tensors if tensor.known is None), plain(first.rank))
    names = [writer.placed(tensor, order) for tensor in tensors]
    name = writer.emit("Concat", names, axis=order.index(axis))
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    return [with_value(result(name, shape, first.type, order), value)]


def _tile(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, multiples = inputs
    times = list(value_of(multiples).reshape(-1))
    shape = tuple(
        Free(size * many.times) if isinstance(many, Free) and isinstance(size, int) else _times(size, many)
        for size, many in zip(tensor.shape, times, strict=True)
    )
    repeats = writer.emit("Cast", [writer.placed(multiples)], to=7)
    return [result(writer.emit("Tile", [writer.placed(tensor), repeats]), shape, tensor.type)]


def _times(size: Dimension, many: Any) -> Dimension:
    if isinstance(many, Free) or many < 1:
        raise TranslationError(f"{size} cannot be repeated {many} times")
    return Free(size.times * int(many)) if isinstance(size, Free) else size * int(many)


def _sparse_to_dense(_writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    indices, sizes, values, default = inputs
    if indices.known is None or values.known is None or default.known is None:
        raise TranslationError("a sparse tensor that is no constant is not supported")
    shape = integers(sizes)
    if min(shape, default=0) < 0 or math.prod(shape) > _LARGEST_DENSE:
        raise TranslationError(f"a dense tensor of {shape}")
    dense = np.full(shape, default.known.reshape(()), dtype=values.type)
    places = indices.known.reshape(-1, len(shape))
    for index, value in zip(places, np.broadcast_to(values.known, len(places)), strict=True):
        dense[tuple(axis_of(int(place), size) for place, size in zip(index, shape, strict=True))] = value
    return [known(dense)]


TRANSLATIONS: Mapping[str, Translation] = {
    "ConcatV2": _concat,
    "ExpandDims": _expand,
    "Pack": _pack,
    "Reshape": _reshape,
    "Shape": _shape,
    "SparseToDense": _sparse_to_dense,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unpack": _unpack,
}
