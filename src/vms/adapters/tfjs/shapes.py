"""Operators that change a tensor's shape, or take parts of it. What shapes are computed from is followed here without
the graph being run, with `Free` for the batch's size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from vms.adapters.tfjs.writer import Translation, Writer, known, physical, result

# As many elements are computed beforehand; shapes have a handful.
_LARGEST_FOLDED = 1 << 16
_END = 2**31 - 1


def _worked_out(tensors: Sequence[Tensor]) -> bool:
    return all(tensor.value is not None and tensor.value.size <= _LARGEST_FOLDED for tensor in tensors)


def _with_value(tensor: Tensor, value: NDArray[Any] | None) -> Tensor:
    """The tensor with what it will hold; a constant where that holds for every batch."""
    if value is None:
        return tensor
    if value.dtype == object and not any(isinstance(item, Free) for item in value.reshape(-1)):
        value = value.astype(tensor.type)
    if value.dtype != object:
        return known(value.astype(tensor.type))
    return Tensor(tensor.name, tensor.shape, tensor.type, tensor.order, value)


def _value(tensor: Tensor) -> NDArray[Any]:
    if tensor.value is None:
        raise TranslationError("a value that is only known at run time is not supported")
    return tensor.value


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
    return [_with_value(result(name, (tensor.rank,), kind), value)]


def _reshape(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, wanted = inputs
    shape = _reshaped(tensor.shape, list(_value(wanted).reshape(-1)))
    if tensor.known is not None:
        return [known(tensor.known.reshape([int(size) for size in shape if not isinstance(size, Free)]))]
    name = writer.emit("Reshape", [writer.placed(tensor), writer.numbers(*_stated(shape))])
    value = (
        tensor.value.reshape([size for size in shape if isinstance(size, int)]) if tensor.value is not None else None
    )
    return [_with_value(result(name, shape, tensor.type), value)]


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
    return [_with_value(made, None if tensor.value is None else np.expand_dims(tensor.value, axis))]


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
    value = np.stack([_value(tensor) for tensor in inputs], axis) if _worked_out(inputs) else None
    if value is not None and value.dtype != object:
        return [known(value)]
    parts = [writer.emit("Unsqueeze", [writer.placed(tensor), writer.numbers(axis)]) for tensor in inputs]
    name = writer.emit("Concat", parts, axis=axis)
    return [_with_value(result(name, (*shape[:axis], len(inputs), *shape[axis:]), inputs[0].type), value)]


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
    value = np.concatenate([_value(tensor) for tensor in tensors], axis) if _worked_out(tensors) else None
    if value is not None and value.dtype != object:
        return [known(value)]
    order = next((tensor.order for tensor in tensors if tensor.known is None), plain(first.rank))
    names = [writer.placed(tensor, order) for tensor in tensors]
    name = writer.emit("Concat", names, axis=order.index(axis))
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    return [_with_value(result(name, shape, first.type, order), value)]


def _strided_slice(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    begins, ends, steps = (list(integers(bound)) for bound in inputs[1:4])
    if node.number("ellipsis_mask") or node.number("new_axis_mask") or min(steps, default=1) < 1:
        raise TranslationError("slices with an ellipsis, new axes or steps backwards are not supported")
    if not len(begins) == len(ends) == len(steps) <= tensor.rank:
        raise TranslationError(f"bounds for {len(begins)} of {tensor.rank} axes")
    shrunk = [axis for axis in range(len(begins)) if node.number("shrink_axis_mask") >> axis & 1]
    bounds = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        size = tensor.shape[axis]
        if axis in shrunk:
            if isinstance(size, Free):
                raise TranslationError("one picture of the batch is taken")
            place = axis_of(begin, size)
            bounds.append(slice(place, place + 1, 1))
            continue
        from_start = bool(node.number("begin_mask") >> axis & 1) or (begin == 0 and step == 1)
        to_end = bool(node.number("end_mask") >> axis & 1)
        if isinstance(size, Free) and not (from_start and to_end and step == 1):
            raise TranslationError("a part of the batch is taken")
        bounds.append(slice(0 if from_start else begin, None if to_end else end, step))
    return [_squeezed(writer, _sliced(writer, tensor, bounds), shrunk)]


def _slice(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    begins, sizes = (integers(bound) for bound in inputs[1:3])
    if not len(begins) == len(sizes) == tensor.rank or min(begins, default=0) < 0:
        raise TranslationError(f"a slice from {begins} of {sizes}")
    bounds = []
    for begin, size, whole in zip(begins, sizes, tensor.shape, strict=True):
        if isinstance(whole, Free) and (begin != 0 or size != -1):
            raise TranslationError("a part of the batch is taken")
        if size != -1 and not isinstance(whole, Free) and begin + size > whole:
            raise TranslationError(f"a slice to {begin + size} of {whole}")
        bounds.append(slice(begin, None if size == -1 else begin + size, 1))
    return [_sliced(writer, tensor, bounds)]


def _sliced(writer: Writer, tensor: Tensor, bounds: Sequence[slice]) -> Tensor:
    """A part of the tensor; axes beyond the bounds stay whole."""
    shape: list[Dimension] = list(tensor.shape)
    starts, ends, steps, axes = [], [], [], []
    for axis, bound in enumerate(bounds):
        size = tensor.shape[axis]
        if isinstance(size, Free):
            continue
        reach = range(*bound.indices(size))
        if len(reach) == 0:
            raise TranslationError(f"nothing is left of axis {axis}")
        shape[axis] = len(reach)
        if len(reach) < size:
            starts.append(reach.start)
            ends.append(min(reach.stop, _END))
            steps.append(reach.step)
            axes.append(physical(tensor, axis))
    if _worked_out([tensor]):
        value = _value(tensor)[tuple(bounds)]
        if value.dtype != object or not any(isinstance(item, Free) for item in value.reshape(-1)):
            return known(value.astype(tensor.type))
    else:
        value = None
    name = writer.placed(tensor, tensor.order)
    if axes:
        name = writer.emit("Slice", [name, *(writer.numbers(*part) for part in (starts, ends, axes, steps))])
    return _with_value(result(name, shape, tensor.type, tensor.order), value)


def _squeezed(writer: Writer, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    if not axes:
        return tensor
    if tensor.known is not None:
        return known(np.asarray(tensor.known.squeeze(tuple(axes))))
    name = writer.emit("Squeeze", [writer.placed(tensor), writer.numbers(*axes)])
    value = None if tensor.value is None else tensor.value.squeeze(tuple(axes))
    return _with_value(result(name, [s for axis, s in enumerate(tensor.shape) if axis not in axes], tensor.type), value)


def _tile(writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor, multiples = inputs
    times = list(_value(multiples).reshape(-1))
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


def _split(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    if node.operator == "SplitV":
        tensor, sizes_input, axis_input = inputs
        sizes = list(integers(sizes_input))
    else:
        axis_input, tensor = inputs
        sizes = []
    axis = axis_of(integers(axis_input)[0], tensor.rank)
    whole = tensor.shape[axis]
    if isinstance(whole, Free):
        raise TranslationError("the batch is split")
    sizes = sizes or [whole // node.number("num_split", 1)] * node.number("num_split", 1)
    if -1 in sizes:
        sizes[sizes.index(-1)] = whole - sum(size for size in sizes if size != -1)
    if sum(sizes) != whole or min(sizes) < 1:
        raise TranslationError(f"{whole} cannot be split into {sizes}")
    name = writer.placed(tensor, tensor.order)
    parts = writer.emit_all("Split", [name, writer.numbers(*sizes)], len(sizes), axis=physical(tensor, axis))
    return [
        result(part, (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :]), tensor.type, tensor.order)
        for part, size in zip(parts, sizes, strict=True)
    ]


def _sparse_to_dense(_writer: Writer, _node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    indices, sizes, values, default = inputs
    if indices.known is None or values.known is None or default.known is None:
        raise TranslationError("a sparse tensor that is no constant is not supported")
    shape = integers(sizes)
    if min(shape, default=0) < 0 or math.prod(shape) > _LARGEST_FOLDED:
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
    "Slice": _slice,
    "SparseToDense": _sparse_to_dense,
    "Split": _split,
    "SplitV": _split,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unpack": _unpack,
}
