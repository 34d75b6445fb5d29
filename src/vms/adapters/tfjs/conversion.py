"""From a graph model's files to an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from vms.adapters.tfjs import arithmetic, parts, selection, shapes, windows
from vms.adapters.tfjs.fusion import fuse_constants
from vms.adapters.tfjs.source import Node, Source, read_source, tensor_name
from vms.adapters.tfjs.tensors import Free, Shape, Tensor
from vms.adapters.tfjs.writer import Translation, Writer, known, result
from vms.domain.errors import Failure

_TRANSLATIONS: Mapping[str, Translation] = {
    **arithmetic.TRANSLATIONS,
    **windows.TRANSLATIONS,
    **shapes.TRANSLATIONS,
    **parts.TRANSLATIONS,
    **selection.TRANSLATIONS,
}
_PRODUCER = "vms"
_BEGINNINGS = {"Const", "Placeholder"}


def convert(
    model_json: Path | bytes,
    shards: Sequence[bytes],
    inputs: Mapping[str, Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
) -> bytes:
    """An ONNX file of a TensorFlow.js graph model.

    `shards`: the weight files' bytes, in the order of the model's `weightsManifest`. `inputs`: the tensors, as
    `node:index`, at which the ONNX graph begins, with their shapes, 0 for a free batch in front; the placeholders when
    None. `outputs`: the tensors that it gives; those that no node uses when None. Both are called `node:index` in it.

    Raises Failure(malformed), which names the node, for what is no such model, and Failure(unsupported) with every
    operator that has no translation."""
    source = read_source(model_json, shards)
    asked = _asked(source, outputs)
    given = {tensor_name(text): tuple(shape) for text, shape in inputs.items()} if inputs is not None else None
    order = _in_order(source, asked, set(given or ()))
    _check_operators(source, order)
    writer = Writer()
    tensors: dict[tuple[str, int], Tensor] = {}
    begun = []
    for name, index in given or ():
        begun.append(_beginning(source, name, index, (given or {})[name, index]))
        tensors[name, index] = begun[-1]
    for name in order:
        node = source.nodes[name]
        if node.operator == "Placeholder":
            if given is not None:
                raise Failure("malformed", f"the outputs of this model need the input {name!r}, which is not given")
            begun.append(_beginning(source, name, 0, node.shape("shape")))
            tensors[name, 0] = begun[-1]
        elif node.operator == "Const":
            tensors[name, 0] = _constant(source, name)
        else:
            _translate(writer, node, tensors)
    ends = [(f"{name}:{index}", _output(tensors, name, index)) for name, index in asked]
    model = writer.model(begun, ends, _PRODUCER)
    fuse_constants(model.graph)
    return checked(model)


def checked(model: onnx.ModelProto) -> bytes:
    """The file's bytes. Raises Failure(malformed) where ONNX finds something wrong with it."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise Failure("malformed", f"this model does not make a sound ONNX file: {error}") from None
    return bytes(model.SerializeToString())


def _asked(source: Source, outputs: Sequence[str] | None) -> list[tuple[str, int]]:
    if outputs is None:
        used = {name for node in source.nodes.values() for name, _ in node.inputs}
        asked = [
            (name, 0) for name, node in source.nodes.items() if name not in used and node.operator not in _BEGINNINGS
        ]
    else:
        asked = [tensor_name(text) for text in outputs]
    if not asked or len(set(asked)) < len(asked):
        raise Failure("malformed", "this model has no outputs, or one of them twice")
    return asked


def _in_order(source: Source, asked: Sequence[tuple[str, int]], given: set[tuple[str, int]]) -> list[str]:
    """The nodes that the outputs need, each after those that it needs; what is given needs nothing."""
    order: list[str] = []
    state: dict[str, bool] = {}
    waiting = [(name, False) for name, index in reversed(asked) if (name, index) not in given]
    while waiting:
        name, done = waiting.pop()
        if done:
            state[name] = True
            order.append(name)
            continue
        if name in state:
            if not state[name]:
                raise Failure("malformed", f"the node {name!r} of this model needs itself")
            continue
        node = source.nodes.get(name)
        if node is None:
            raise Failure("malformed", f"this model has no node {name!r}, which is asked for")
        state[name] = False
        waiting.append((name, True))
        waiting.extend(
            (other, False)
            for other, index in node.inputs
            if (other, index) not in given and not state.get(other, False)
        )
    return order


def _check_operators(source: Source, order: Sequence[str]) -> None:
    strange = {source.nodes[name].operator for name in order} - set(_TRANSLATIONS) - _BEGINNINGS
    if strange:
        raise Failure("unsupported", f"operators of this model cannot be converted: {', '.join(sorted(strange))}")


def _beginning(source: Source, name: str, index: int, stated: Sequence[int]) -> Tensor:
    node = source.nodes.get(name)
    if node is None:
        raise Failure("malformed", f"this model has no node {name!r}, at which it should begin")
    if any(size < 1 for size in stated[1:]) or not stated:
        raise Failure(
            "malformed", f"the input {name!r} has the shape {tuple(stated)}: state the one that it shall have"
        )
    shape: Shape = (Free() if stated[0] < 1 else stated[0], *stated[1:])
    key = next((key for key in ("dtype", "DstT", "T") if key in node.attributes), None)
    try:
        return result(f"{name}:{index}", shape, np.dtype(np.float32) if key is None else node.type(key))
    except (KeyError, ValueError) as error:
        raise Failure("malformed", f"the input {name!r} cannot be so: {error}") from None


def _constant(source: Source, name: str) -> Tensor:
    weight = source.weights.get(name)
    if weight is None:
        raise Failure("malformed", f"the weights have nothing for the constant {name!r}")
    return known(weight)


def _output(tensors: Mapping[tuple[str, int], Tensor], name: str, index: int) -> Tensor:
    tensor = tensors.get((name, index))
    if tensor is None:
        raise Failure("malformed", f"the node {name!r} has no output {index}")
    return tensor


def _translate(writer: Writer, node: Node, tensors: dict[tuple[str, int], Tensor]) -> None:
    writer.at = node.name
    taken = []
    for name, index in node.inputs:
        if (name, index) not in tensors:
            raise Failure(
                "malformed", f"the node {node.name!r} takes output {index} of {name!r}, which has not so many"
            )
        taken.append(tensors[name, index])
    try:
        made: Sequence[Any] = _TRANSLATIONS[node.operator](writer, node, taken)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise Failure("malformed", f"the node {node.name!r} ({node.operator}) cannot be converted: {error}") from None
    for index, tensor in enumerate(made):
        # What is given as an input stands for what the graph would compute.
        tensors.setdefault((node.name, index), tensor)
