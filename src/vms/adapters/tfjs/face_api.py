"""The face recognition network of face-api: a residual network of 29 convolutions whose last average is multiplied into
128 numbers (dlib's face recognition model, Apache-2.0/CC0). Its files hold weights alone; the graph is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.adapters.tfjs.conversion import checked
from vms.adapters.tfjs.source import read_json, read_weights
from vms.adapters.tfjs.tensors import Free, Tensor
from vms.adapters.tfjs.writer import Writer, result
from vms.domain.errors import Failure

INPUT, OUTPUT = "input:0", "embedding:0"
SIDE_PX, NUMBERS = 150, 128
_FIRST = 32
# Name of each block, and its channels; "down" halves the picture.
_BLOCKS = (
    *((f"conv32_{number}", 32) for number in (1, 2, 3)),
    ("conv64_down", 64),
    *((f"conv64_{number}", 64) for number in (1, 2, 3)),
    ("conv128_down", 128),
    *((f"conv128_{number}", 128) for number in (1, 2)),
    ("conv256_down", 256),
    *((f"conv256_{number}", 256) for number in (1, 2)),
    ("conv256_down_out", 256),
)


def convert_face_api(weights_manifest: Path | bytes, shards: Sequence[bytes]) -> bytes:
    """An ONNX file of the network: `input:0` N×150×150×3 (RGB, (level − mean) ÷ 255) → `embedding:0` N×128, not of unit
    length. Raises Failure(malformed) naming the weight that is missing or has another shape."""
    weights = read_weights(read_json(weights_manifest), shards)
    writer = Writer()
    writer.at = "face"
    picture = result(INPUT, (Free(), SIDE_PX, SIDE_PX, 3), np.dtype(np.float32))
    name = writer.emit("Transpose", [picture.name], perm=[0, 3, 1, 2])
    name = _convolution(writer, weights, "conv32_down", name, (7, 7, 3, _FIRST), stride=2, same=False, relu=True)
    side = (SIDE_PX - 7) // 2 + 1
    name = writer.emit("MaxPool", [name], kernel_shape=[3, 3], strides=[2, 2])
    side, channels = (side - 3) // 2 + 1, _FIRST
    for block, made in _BLOCKS:
        name, side = _block(writer, weights, block, name, (side, channels, made))
        channels = made
    name = writer.emit("ReduceMean", [name], axes=[2, 3], keepdims=0)
    name = writer.emit("MatMul", [name, writer.constant(_weight(weights, "fc", (channels, NUMBERS)))])
    embedding = Tensor(name, (Free(), NUMBERS), np.dtype(np.float32), (0, 1))
    return checked(writer.model([picture], [(OUTPUT, embedding)], "vms"))


def _block(
    writer: Writer, weights: Mapping[str, NDArray[Any]], block: str, name: str, sizes: tuple[int, int, int]
) -> tuple[str, int]:
    """A residual block. `sizes`: the picture's side, its channels, those made. The result and its side."""
    side, channels, made = sizes
    writer.at = block
    down = "down" in block
    first, second = (3, 3, channels, made), (3, 3, made, made)
    inner = _convolution(writer, weights, f"{block}/conv1", name, first, 2 if down else 1, same=not down, relu=True)
    inner = _convolution(writer, weights, f"{block}/conv2", inner, second, 1, same=True, relu=False)
    if down:
        name = writer.emit("AveragePool", [name], kernel_shape=[2, 2], strides=[2, 2])
        halved, convolved = side // 2, (side - 3) // 2 + 1
        # What is missing of either, in size or in channels, is 0.
        inner = _filled(writer, inner, side=halved - convolved, channels=0)
        name = _filled(writer, name, side=0, channels=made - channels)
        side = halved
    return writer.emit("Relu", [writer.emit("Add", [name, inner])]), side


def _filled(writer: Writer, name: str, *, side: int, channels: int) -> str:
    if side == 0 and channels == 0:
        return name
    return writer.emit("Pad", [name, writer.numbers(0, 0, 0, 0, 0, channels, side, side)])


def _convolution(
    writer: Writer,
    weights: Mapping[str, NDArray[Any]],
    layer: str,
    name: str,
    shape: tuple[int, int, int, int],
    stride: int,
    *,
    same: bool,
    relu: bool,
) -> str:
    made = shape[3]
    filters = _weight(weights, f"{layer}/conv/filters", shape)
    bias = _weight(weights, f"{layer}/conv/bias", (made,))
    factor = _weight(weights, f"{layer}/scale/weights", (made,))
    summand = _weight(weights, f"{layer}/scale/biases", (made,))
    name = writer.emit(
        "Conv",
        [
            name,
            writer.constant((filters * factor).transpose(3, 2, 0, 1)),
            writer.constant(bias * factor + summand),
        ],
        kernel_shape=shape[:2],
        strides=[stride, stride],
        pads=[(shape[0] - 1) // 2 if same else 0] * 4,
    )
    return writer.emit("Relu", [name]) if relu else name


def _weight(weights: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    weight = weights.get(name)
    if weight is None or weight.shape != shape or weight.dtype != np.float32:
        found = "is missing" if weight is None else f"has the shape {weight.shape} instead of {shape}"
        raise Failure("malformed", f"the weight {name!r} of the face recognition network {found}")
    return weight
