"""Factors and summands for each channel go into the convolution before them: fewer passes over the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


def fuse_constants(graph: onnx.GraphProto) -> None:
    """Changes the graph in place. A product or sum with one number per channel, of what a convolution alone gives to it
    alone, becomes part of the filters and the bias; a sum also through a sum with another tensor."""
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    uses: dict[str, int] = {name.name: 1 for name in graph.output}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    replaced: dict[str, str] = {}
    gone = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = replaced.get(name, name)
        if node.op_type not in {"Mul", "Add"} or len(node.input) != 2:
            continue
        number = next((place for place, name in enumerate(node.input) if name in constants), None)
        if number is None:
            continue
        before = node.input[1 - number]
        conv = _convolution_of(before, makers, uses, through_sums=node.op_type == "Add")
        values = _per_channel(numpy_helper.to_array(constants[node.input[number]]), conv, constants)
        if conv is None or values is None:
            continue
        _take_in(graph, conv, node, values, constants)
        replaced[node.output[0]] = before
        uses[before] = uses[node.output[0]]
        gone.append(node)
    outputs = {name.name for name in graph.output}
    for node in gone:
        if node.output[0] in outputs:
            _rename(graph, replaced[node.output[0]], node.output[0])
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for constant in [constant for constant in graph.initializer if constant.name not in used]:
        graph.initializer.remove(constant)


def _convolution_of(
    name: str, makers: dict[str, onnx.NodeProto], uses: dict[str, int], *, through_sums: bool
) -> onnx.NodeProto | None:
    maker = makers.get(name)
    if maker is None or uses[name] != 1:
        return None
    if maker.op_type == "Conv":
        return maker
    if through_sums and maker.op_type == "Add":
        for source in maker.input:
            found = makers.get(source)
            if found is not None and found.op_type == "Conv" and uses[source] == 1:
                return found
    return None


def _per_channel(
    values: NDArray[Any], conv: onnx.NodeProto | None, constants: dict[str, onnx.TensorProto]
) -> NDArray[Any] | None:
    if conv is None or conv.input[1] not in constants:
        return None
    channels = constants[conv.input[1]].dims[0]
    if values.size == 1:
        return np.broadcast_to(values.reshape(1), (channels,))
    return values.reshape(-1) if values.shape == (1, channels, 1, 1) else None


def _take_in(
    graph: onnx.GraphProto,
    conv: onnx.NodeProto,
    node: onnx.NodeProto,
    values: NDArray[Any],
    constants: dict[str, onnx.TensorProto],
) -> None:
    filters = numpy_helper.to_array(constants[conv.input[1]])
    has_bias = len(conv.input) > 2
    bias = numpy_helper.to_array(constants[conv.input[2]]) if has_bias else np.zeros(filters.shape[0], filters.dtype)
    if node.op_type == "Mul":
        filters, bias = filters * values.reshape(-1, 1, 1, 1), bias * values
    else:
        bias = bias + values
    # Under names of their own: other convolutions may have the same constants.
    names = [f"{node.output[0]}/filters", f"{node.output[0]}/bias"]
    for name, array in zip(names, (filters, bias), strict=True):
        constant = numpy_helper.from_array(np.ascontiguousarray(array, dtype=filters.dtype), name)
        graph.initializer.append(constant)
        constants[name] = constant
    del conv.input[1:]
    conv.input.extend(names)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
