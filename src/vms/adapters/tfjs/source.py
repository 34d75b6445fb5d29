"""What a TensorFlow.js graph model's files say: its nodes, and its weights as arrays.

The format is that of tfjs-converter's `model.json`: `modelTopology` is a GraphDef in protobuf's JSON, `weightsManifest`
says how the weight files' bytes are cut into tensors."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.domain.errors import Failure

_LARGEST_JSON_BYTES = 64 << 20
# A protobuf file ends at 2 GiB; quantised weights take up to four times what they take in the shards.
_LARGEST_WEIGHTS_BYTES = 1 << 30
_MOST_NODES = 100_000
_MOST_AXES = 8

_STORED = {"float32": np.float32, "int32": np.int32, "uint8": np.uint8, "bool": np.bool_}
_QUANTISED = {"uint8": np.uint8, "uint16": np.uint16, "float16": np.float16}
# tensorflow/core/framework/types.proto.
_TYPES = {
    **dict.fromkeys((1, "DT_FLOAT"), np.float32),
    **dict.fromkeys((3, "DT_INT32"), np.int32),
    **dict.fromkeys((4, "DT_UINT8"), np.uint8),
    # TensorFlow.js knows no 64 bits: its converter stores them as 32.
    **dict.fromkeys((9, "DT_INT64"), np.int32),
    **dict.fromkeys((10, "DT_BOOL"), np.bool_),
}


def _malformed(detail: str) -> Failure:
    return Failure("malformed", f"this is no TensorFlow.js model: {detail}")


@dataclass(frozen=True)
class Node:
    """A node of the graph. `inputs` are tensors: (node, index of its output)."""

    name: str
    operator: str
    inputs: tuple[tuple[str, int], ...]
    attributes: Mapping[str, Any]

    def number(self, key: str, default: int = 0) -> int:
        return int(self.attributes.get(key, {}).get("i", default))

    def real(self, key: str, default: float) -> float:
        return float(self.attributes.get(key, {}).get("f", default))

    def flag(self, key: str) -> bool:
        return bool(self.attributes.get(key, {}).get("b", False))

    def numbers(self, key: str) -> tuple[int, ...]:
        return tuple(int(number) for number in self.attributes.get(key, {}).get("list", {}).get("i", ()))

    def text(self, key: str, default: str = "") -> str:
        return _text(self.attributes.get(key, {}).get("s", default))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(_text(text) for text in self.attributes.get(key, {}).get("list", {}).get("s", ()))

    def type(self, key: str) -> np.dtype[Any]:
        """Raises KeyError for one that TensorFlow.js has not."""
        return np.dtype(_TYPES[self.attributes[key]["type"]])

    def shape(self, key: str) -> tuple[int, ...]:
        """-1 for what is not known."""
        dimensions = self.attributes.get(key, {}).get("shape", {}).get("dim", ())
        return tuple(int(dimension.get("size", 0)) for dimension in dimensions)


@dataclass(frozen=True)
class Source:
    """A model's nodes and constants, by name."""

    nodes: Mapping[str, Node]
    weights: Mapping[str, NDArray[Any]]


def tensor_name(text: str) -> tuple[str, int]:
    """`node` and `node:index` as the two."""
    name, colon, index = text.rpartition(":")
    return (name, int(index)) if colon and index.isdigit() else (text, 0)


def read_source(model_json: Path | bytes, shards: Sequence[bytes]) -> Source:
    """A graph model's nodes and weights. Raises Failure(malformed)."""
    document = read_json(model_json)
    if not isinstance(document, dict):
        raise _malformed("its JSON holds no object")
    topology = document.get("modelTopology")
    nodes = topology.get("node") if isinstance(topology, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise _malformed("modelTopology.node is missing; only graph models can be converted")
    if len(nodes) > _MOST_NODES:
        raise _malformed(f"it has {len(nodes)} nodes, and {_MOST_NODES} are the most")
    read = {}
    for number, described in enumerate(nodes):
        node = _node(described, number)
        if node.name in read:
            raise _malformed(f"two nodes are called {node.name!r}")
        read[node.name] = node
    return Source(read, read_weights(document.get("weightsManifest"), shards))


def read_json(given: Path | bytes) -> Any:
    """Raises Failure(malformed)."""
    if isinstance(given, Path):
        with given.open("rb") as file:
            given = file.read(_LARGEST_JSON_BYTES + 1)
    if len(given) > _LARGEST_JSON_BYTES:
        raise _malformed(f"its JSON has more than {_LARGEST_JSON_BYTES} bytes")
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"its JSON cannot be read ({error})") from None


def read_weights(manifest: Any, shards: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    """The tensors of a `weightsManifest`, with quantised ones at their real values. `shards`: the files in the order of
    the manifest's paths. Raises Failure(malformed)."""
    if sum(len(shard) for shard in shards) > _LARGEST_WEIGHTS_BYTES:
        raise _malformed(f"its weights have more than {_LARGEST_WEIGHTS_BYTES} bytes")
    if not isinstance(manifest, list):
        raise _malformed("weightsManifest is missing")
    weights: dict[str, NDArray[Any]] = {}
    remaining = list(shards)
    total_bytes = 0
    for group in manifest:
        if not isinstance(group, dict) or not isinstance(group.get("paths"), list):
            raise _malformed("a group of weightsManifest names no paths")
        count = len(group["paths"])
        if count > len(remaining):
            raise _malformed(f"its manifest names more files of weights than the {len(shards)} given")
        content = memoryview(b"".join(remaining[:count]))
        del remaining[:count]
        place = 0
        for entry in group.get("weights", ()):
            name, weight, length = _weight(entry, content, place)
            place += length
            total_bytes += weight.nbytes
            if total_bytes > _LARGEST_WEIGHTS_BYTES:
                raise _malformed(f"its weights take more than {_LARGEST_WEIGHTS_BYTES} bytes")
            weights[name] = weight
        if place != len(content):
            raise _malformed(f"its weights take {place} bytes, and the files hold {len(content)}")
    if remaining:
        raise _malformed(f"its manifest names fewer files of weights than the {len(shards)} given")
    return weights


def _weight(entry: Any, content: memoryview, place: int) -> tuple[str, NDArray[Any], int]:
    try:
        name, shape, stored = str(entry["name"]), tuple(int(size) for size in entry["shape"]), entry["dtype"]
        quantisation = entry.get("quantization")
        packed = np.dtype(_QUANTISED[quantisation["dtype"]] if quantisation else _STORED[stored])
        actual = np.dtype(_STORED[stored])
        scale = float(quantisation["scale"]) if quantisation and packed.kind == "u" else 1.0
        least = float(quantisation["min"]) if quantisation and packed.kind == "u" else 0.0
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(f"weightsManifest says something unknown of a weight ({error!r})") from None
    if len(shape) > _MOST_AXES or any(size < 0 for size in shape) or not math.isfinite(scale + least):
        raise _malformed(f"the weight {name!r} has the shape {shape}")
    length = math.prod(shape) * packed.itemsize
    if place + length > len(content):
        raise _malformed(f"the weight {name!r} wants {length} bytes, and the files end before them")
    values: NDArray[Any] = np.frombuffer(content[place : place + length], dtype=packed.newbyteorder("<"))
    values = (values * scale + least if packed.kind == "u" and quantisation else values).astype(actual)
    # A single -inf stands in the padding of a pooling; a NaN nowhere.
    if actual.kind == "f" and (np.isnan(values).any() or (values.size > 1 and np.isinf(values).any())):
        raise _malformed(f"the weight {name!r} holds what is no number")
    return name, values.reshape(shape), length


def _node(described: Any, number: int) -> Node:
    if not isinstance(described, dict):
        raise _malformed(f"node {number} is no object")
    name, operator = described.get("name"), described.get("op")
    inputs, attributes = described.get("input", []), described.get("attr", {})
    if not isinstance(name, str) or not isinstance(operator, str) or not name:
        raise _malformed(f"node {number} has no name or no operator")
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise _malformed(f"node {name!r} has inputs that are no names")
    if not isinstance(attributes, dict) or not all(isinstance(value, dict) for value in attributes.values()):
        raise _malformed(f"node {name!r} has attributes that are no objects")
    # ^node only says that it runs before.
    data = tuple(tensor_name(text) for text in inputs if not text.startswith("^"))
    return Node(name, operator, data, attributes)


def _text(stored: Any) -> str:
    """Text in a GraphDef is bytes: base64, or a list of their values."""
    if isinstance(stored, list):
        return bytes(stored).decode()
    try:
        return base64.b64decode(stored, validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return str(stored)
