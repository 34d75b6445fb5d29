"""Graph models of TensorFlow.js written by hand, and what their operators compute, in plain loops."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from vms.adapters.tfjs import convert

Array = NDArray[Any]
_TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32", "bool": "DT_BOOL"}


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def texts(*values: str) -> dict[str, Any]:
    return {"list": {"s": [text(value)["s"] for value in values]}}


def number(value: int) -> dict[str, str]:
    return {"i": str(value)}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


def flag(value: bool) -> dict[str, bool]:
    return {"b": value}


def kind(name: str) -> dict[str, str]:
    return {"type": name}


def placeholder(name: str, *shape: int, dtype: str = "float32") -> dict[str, Any]:
    dimensions = [{"size": str(size)} for size in shape]
    attributes = {"dtype": kind(_TYPES[dtype]), "shape": {"shape": {"dim": dimensions}}}
    return {"name": name, "op": "Placeholder", "attr": attributes}


def node(operator: str, name: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": operator, "input": list(inputs), "attr": attributes}


def files(nodes: Sequence[Mapping[str, Any]], constants: Mapping[str, Array]) -> tuple[bytes, list[bytes]]:
    """model.json and its one shard."""
    arrays = {name: np.asarray(array) for name, array in constants.items()}
    consts = [
        {"name": name, "op": "Const", "attr": {"dtype": kind(_TYPES[a.dtype.name])}} for name, a in arrays.items()
    ]
    weights = [{"name": name, "shape": list(a.shape), "dtype": a.dtype.name} for name, a in arrays.items()]
    document = {
        "format": "graph-model",
        "modelTopology": {"node": [*nodes, *consts]},
        "weightsManifest": [{"paths": ["weights.bin"], "weights": weights}],
    }
    return json.dumps(document).encode(), [b"".join(array.tobytes() for array in arrays.values())]


def run(model: bytes, feeds: Mapping[str, Array]) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def computed(
    nodes: Sequence[Mapping[str, Any]],
    constants: Mapping[str, Array],
    feeds: Mapping[str, Array],
    outputs: Sequence[str] | None = None,
) -> list[Array]:
    """What the converted graph gives for these; a placeholder per feed is added."""
    begun = [placeholder(name, *feed.shape, dtype=feed.dtype.name) for name, feed in feeds.items()]
    model = convert(*files([*begun, *nodes], constants), outputs=outputs)
    return list(run(model, {f"{name}:0": feed for name, feed in feeds.items()}).values())


def window_pads(side: int, extent: int, stride: int, same: bool) -> tuple[int, int, int]:
    """Rows before and after, and windows, of TensorFlow's SAME and VALID."""
    if not same:
        return 0, 0, (side - extent) // stride + 1
    made = -(-side // stride)
    missing = max(0, (made - 1) * stride + extent - side)
    return missing // 2, missing - missing // 2, made


def convolution(x: Array, filters: Array, stride: int, dilation: int, same: bool, depthwise: bool) -> Array:
    """NHWC by HWIO; depthwise by HWCM."""
    height, width, _, _ = filters.shape
    extents = (height - 1) * dilation + 1, (width - 1) * dilation + 1
    top, bottom, rows = window_pads(x.shape[1], extents[0], stride, same)
    left, right, columns = window_pads(x.shape[2], extents[1], stride, same)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    channels = filters.shape[2] * filters.shape[3] if depthwise else filters.shape[3]
    result = np.zeros((len(x), rows, columns, channels))
    for row in range(rows):
        for column in range(columns):
            for y in range(height):
                for z in range(width):
                    pixel = padded[:, row * stride + y * dilation, column * stride + z * dilation]
                    if depthwise:
                        result[:, row, column] += (pixel[:, :, None] * filters[y, z]).reshape(len(x), -1)
                    else:
                        result[:, row, column] += pixel @ filters[y, z]
    return result


def pooling(x: Array, size: int, stride: int, same: bool, largest: bool) -> Array:
    """Padding counts for neither the largest nor the average."""
    top, bottom, rows = window_pads(x.shape[1], size, stride, same)
    left, right, columns = window_pads(x.shape[2], size, stride, same)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=np.nan)
    result = np.zeros((len(x), rows, columns, x.shape[3]))
    for row in range(rows):
        for column in range(columns):
            part = padded[:, row * stride : row * stride + size, column * stride : column * stride + size]
            result[:, row, column] = (np.nanmax if largest else np.nanmean)(part, axis=(1, 2))
    return result


def resized(x: Array, sides: tuple[int, int], nearest: bool, centred: bool, corners: bool) -> Array:
    result = np.zeros((len(x), *sides, x.shape[3]))
    places = []
    for side, made in zip(x.shape[1:3], sides, strict=True):
        index = np.arange(made, dtype=np.float64)
        if corners:
            places.append(index * ((side - 1) / max(1, made - 1)))
        elif centred:
            # TensorFlow's nearest neighbour takes the floor of (i + ½)·scale, without taking ½ off again.
            places.append((index + 0.5) * side / made - (0.0 if nearest else 0.5))
        else:
            places.append(index * side / made)
    for row, y in enumerate(places[0]):
        for column, z in enumerate(places[1]):
            if nearest:
                take = np.floor(np.array([y, z]) + (0.5 if corners else 0.0)).astype(int)
                take = np.minimum(take, np.array(x.shape[1:3]) - 1)
                result[:, row, column] = x[:, take[0], take[1]]
                continue
            inside = [min(max(place, 0.0), side - 1.0) for place, side in zip((y, z), x.shape[1:3], strict=True)]
            top, left = int(inside[0]), int(inside[1])
            bottom, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
            down, across = inside[0] - top, inside[1] - left
            upper = x[:, top, left] * (1 - across) + x[:, top, right] * across
            lower = x[:, bottom, left] * (1 - across) + x[:, bottom, right] * across
            result[:, row, column] = upper * (1 - down) + lower * down
    return result
