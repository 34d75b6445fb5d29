"""Operators that look at a neighbourhood: convolutions, pooling, padding, resizing. ONNX wants channels first; the
tensors' order tells, so that neighbours of the same kind need no transposition between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from vms.adapters.tfjs.arithmetic import activated
from vms.adapters.tfjs.source import Node
from vms.adapters.tfjs.tensors import Dimension, Free, Tensor, TranslationError, integers
from vms.adapters.tfjs.writer import Translation, Writer, physical, result

# Height, width and channels of TensorFlow's axes, as ONNX has them.
CHANNELS_FIRST = (0, 3, 1, 2)
Pads = tuple[tuple[int, int], tuple[int, int]]
_NO_PADS: Pads = ((0, 0), (0, 0))
# Padding with so little changes no maximum.
_LOWEST = -1e30


def _check_format(node: Node, rank: int) -> None:
    if node.text("data_format", "NHWC") != "NHWC":
        raise TranslationError("channels first are not supported")
    if rank != 4:
        raise TranslationError(f"a tensor of {rank} axes where pictures are wanted")


def _spatial(node: Node, key: str) -> tuple[int, int]:
    """Of a list with an entry per axis the two of height and width."""
    numbers = node.numbers(key) or (1, 1, 1, 1)
    if len(numbers) != 4 or numbers[0] != 1 or numbers[3] != 1 or min(numbers) < 1:
        raise TranslationError(f"{key} {numbers} are not supported")
    return numbers[1], numbers[2]


def _sides(tensor: Tensor) -> tuple[int, int]:
    height, width = tensor.shape[1:3]
    if isinstance(height, Free) or isinstance(width, Free):
        raise TranslationError("a picture whose size depends on the batch")
    return height, width


def _unpadded(tensor: Tensor, least: float, most: float) -> tuple[Tensor, Pads]:
    """What was padded in height and width alone, and how much, where the filling is what a window adds by itself."""
    if tensor.padded is None:
        return tensor, _NO_PADS
    source, pads, filling = tensor.padded
    if any(pads[0]) or any(pads[3]) or not least <= filling <= most:
        return tensor, _NO_PADS
    return source, (pads[1], pads[2])


def _window(node: Node, tensor: Tensor, kernel: tuple[int, int], pads: Pads) -> tuple[Pads, tuple[int, int]]:
    """All padding of a window's operator, and the height and width of what it makes."""
    strides, dilations = _spatial(node, "strides"), _spatial(node, "dilations")
    kind = node.text("padding", "VALID")
    if kind not in {"SAME", "VALID", "EXPLICIT"}:
        raise TranslationError(f"padding {kind!r}")
    explicit = node.numbers("explicit_paddings") if kind == "EXPLICIT" else ()
    sides, total = [], []
    for axis, side in enumerate(_sides(tensor)):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        before, after = pads[axis]
        padded = side + before + after
        if kind == "SAME":
            made = -(-padded // strides[axis])
            missing = max(0, (made - 1) * strides[axis] + extent - padded)
            before, after = before + missing // 2, after + missing - missing // 2
        elif kind == "EXPLICIT":
            before, after = before + explicit[2 + 2 * axis], after + explicit[3 + 2 * axis]
        made = (side + before + after - extent) // strides[axis] + 1
        if made < 1:
            raise TranslationError("its window is larger than the picture")
        sides.append(made)
        total.append((before, after))
    return (total[0], total[1]), (sides[0], sides[1])


def _flat(pads: Pads) -> list[int]:
    """As ONNX has them: all before, then all after."""
    return [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]


def _convolution(writer: Writer, node: Node, inputs: Sequence[Tensor], *, depthwise: bool) -> Tensor:
    tensor, filters = inputs[:2]
    _check_format(node, tensor.rank)
    if filters.known is None or filters.rank != 4:
        raise TranslationError("filters that are no constant are not supported")
    height, width, channels, made = filters.known.shape
    if tensor.shape[3] != channels:
        raise TranslationError(f"{tensor.shape[3]} channels, and filters for {channels}")
    source, given = _unpadded(tensor, 0.0, 0.0)
    pads, sides = _window(node, source, (height, width), given)
    if depthwise:
        weights = filters.known.transpose(2, 3, 0, 1).reshape(channels * made, 1, height, width)
    else:
        weights = filters.known.transpose(3, 2, 0, 1)
    names = [writer.placed(source, CHANNELS_FIRST), writer.constant(weights)]
    fused = node.texts("fused_ops")
    if fused[:1] == ("BiasAdd",):
        bias = inputs[2].known
        if bias is None or bias.shape != weights.shape[:1]:
            raise TranslationError("a bias that is no constant, or not one number for each channel")
        names.append(writer.constant(bias))
        fused = fused[1:]
    name = writer.emit(
        "Conv",
        names,
        kernel_shape=[height, width],
        strides=_spatial(node, "strides"),
        dilations=_spatial(node, "dilations"),
        pads=_flat(pads),
        group=channels if depthwise else 1,
    )
    convolved = result(name, (tensor.shape[0], *sides, weights.shape[0]), tensor.type, CHANNELS_FIRST)
    for activation in fused:
        convolved = activated(writer, activation, convolved, node.real("leakyrelu_alpha", 0.2))
    return convolved


def _convolve(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    return [_convolution(writer, node, inputs, depthwise=False)]


def _convolve_depthwise(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    return [_convolution(writer, node, inputs, depthwise=True)]


def _pool(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    _check_format(node, tensor.rank)
    largest = node.operator == "MaxPool"
    source, given = _unpadded(tensor, -np.inf, _LOWEST) if largest else (tensor, _NO_PADS)
    kernel = _spatial(node, "ksize")
    pads, sides = _window(node, source, kernel, given)
    name = writer.emit(
        "MaxPool" if largest else "AveragePool",
        [writer.placed(source, CHANNELS_FIRST)],
        kernel_shape=kernel,
        strides=_spatial(node, "strides"),
        pads=_flat(pads),
    )
    return [result(name, (tensor.shape[0], *sides, tensor.shape[3]), tensor.type, CHANNELS_FIRST)]


def _pad(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    amounts = integers(inputs[1])
    filling = inputs[2].known if node.operator == "PadV2" else np.zeros((), tensor.type)
    if filling is None or filling.size != 1 or len(amounts) != 2 * tensor.rank or min(amounts, default=0) < 0:
        raise TranslationError(f"padding of {amounts} is not supported")
    pads = tuple(zip(amounts[::2], amounts[1::2], strict=True))
    shape: list[Dimension] = []
    for size, (before, after) in zip(tensor.shape, pads, strict=True):
        if isinstance(size, Free):
            if before or after:
                raise TranslationError("the batch cannot be padded")
            shape.append(size)
        else:
            shape.append(size + before + after)
    by_axis = [pads[axis] for axis in tensor.order]
    name = writer.emit(
        "Pad",
        [
            writer.placed(tensor, tensor.order),
            writer.numbers(*(before for before, _ in by_axis), *(after for _, after in by_axis)),
            writer.constant(np.array(filling.reshape(()), dtype=tensor.type)),
        ],
    )
    padded = result(name, shape, tensor.type, tensor.order)
    return [
        Tensor(padded.name, padded.shape, padded.type, padded.order, padded=(tensor, pads, float(filling.reshape(()))))
    ]


def _resize(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    tensor = inputs[0]
    _check_format(node, tensor.rank)
    made = integers(inputs[1])
    if len(made) != 2 or min(made) < 1:
        raise TranslationError(f"a size of {made}")
    centred, corners = node.flag("half_pixel_centers"), node.flag("align_corners")
    nearest = node.operator == "ResizeNearestNeighbor"
    attributes: dict[str, Any] = {
        "mode": "nearest" if nearest else "linear",
        "coordinate_transformation_mode": "align_corners" if corners else "half_pixel" if centred else "asymmetric",
    }
    if nearest:
        attributes["nearest_mode"] = "round_prefer_ceil" if corners or centred else "floor"
    scales = [1.0, 1.0, *(_scale(side, size) for side, size in zip(_sides(tensor), made, strict=True))]
    # As scales, not sizes: those would have to name the batch's size.
    names = [writer.placed(tensor, CHANNELS_FIRST), "", writer.constant(np.array(scales, dtype=np.float32))]
    name = writer.emit("Resize", names, **attributes)
    return [result(name, (tensor.shape[0], *made, tensor.shape[3]), tensor.type, CHANNELS_FIRST)]


def _scale(side: int, made: int) -> np.float32:
    """A 32-bit factor that gives just `made`, which ONNX takes as the whole part of the product."""
    scale = np.float32(made / side)
    while int(np.floor(np.float32(side) * scale)) < made:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale


def _depth_to_space(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    (tensor,) = inputs
    _check_format(node, tensor.rank)
    block = node.number("block_size")
    height, width = _sides(tensor)
    channels = cast(int, tensor.shape[3])
    if block < 1 or channels % (block * block):
        raise TranslationError(f"blocks of {block} from {channels} channels")
    name = writer.emit("DepthToSpace", [writer.placed(tensor, CHANNELS_FIRST)], blocksize=block, mode="DCR")
    shape = (tensor.shape[0], height * block, width * block, channels // (block * block))
    return [result(name, shape, tensor.type, CHANNELS_FIRST)]


def _average(writer: Writer, node: Node, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Mean, sum and the like along axes."""
    tensor = inputs[0]
    axes = sorted({axis % tensor.rank for axis in integers(inputs[1])}) if tensor.rank else []
    keep = node.flag("keep_dims")
    places = sorted(physical(tensor, axis) for axis in axes)
    name = writer.placed(tensor, tensor.order)
    if node.operator == "Sum":
        name = writer.emit("ReduceSum", [name, writer.numbers(*places)], keepdims=int(keep))
    else:
        operator = {"Mean": "ReduceMean", "Max": "ReduceMax"}[node.operator]
        name = writer.emit(operator, [name], axes=places, keepdims=int(keep))
    if keep:
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(tensor.shape))
        return [result(name, shape, tensor.type, tensor.order)]
    left = [axis for axis in range(tensor.rank) if axis not in axes]
    order = tuple(left.index(axis) for axis in tensor.order if axis not in axes)
    return [result(name, [tensor.shape[axis] for axis in left], tensor.type, order)]


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(("Conv2D", "_FusedConv2D"), _convolve),
    **dict.fromkeys(("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), _convolve_depthwise),
    **dict.fromkeys(("MaxPool", "AvgPool"), _pool),
    **dict.fromkeys(("Pad", "PadV2"), _pad),
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor"), _resize),
    **dict.fromkeys(("Mean", "Sum", "Max"), _average),
    "DepthToSpace": _depth_to_space,
}
