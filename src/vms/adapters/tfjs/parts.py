"""Operators that take parts of a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vms.adapters.tfjs.source import Node
from vms.adapters.tfjs.tensors import Dimension, Free, Tensor, TranslationError, axis_of, integers
from vms.adapters.tfjs.writer import Translation, Writer, known, physical, result, value_of, with_value, worked_out


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
            ends.append(reach.stop)
            steps.append(reach.step)
            axes.append(physical(tensor, axis))
    if worked_out([tensor]):
        value = value_of(tensor)[tuple(bounds)]
        if value.dtype != object or not any(isinstance(item, Free) for item in value.reshape(-1)):
            return known(value.astype(tensor.type))
    else:
        value = None
    name = writer.placed(tensor, tensor.order)
    if axes:
        name = writer.emit("Slice", [name, *(writer.numbers(*part) for part in (starts, ends, axes, steps))])
    return with_value(result(name, shape, tensor.type, tensor.order), value)


def _squeezed(writer: Writer, tensor: Tensor, axes: Sequence[int]) -> Tensor:
    if not axes:
        return tensor
    if tensor.known is not None:
        return known(np.asarray(tensor.known.squeeze(tuple(axes))))
    name = writer.emit("Squeeze", [writer.placed(tensor), writer.numbers(*axes)])
    value = None if tensor.value is None else tensor.value.squeeze(tuple(axes))
    return with_value(result(name, [s for axis, s in enumerate(tensor.shape) if axis not in axes], tensor.type), value)


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


TRANSLATIONS: Mapping[str, Translation] = {
    "Slice": _slice,
    "Split": _split,
    "SplitV": _split,
    "StridedSlice": _strided_slice,
}
