"""Every operator of a graph model gives, as ONNX, what TensorFlow's definition of it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from tests.tfjs_graph import (
    Array,
    computed,
    convolution,
    files,
    flag,
    kind,
    node,
    number,
    numbers,
    placeholder,
    pooling,
    resized,
    run,
    text,
    texts,
)
from vms.adapters.tfjs import convert
from vms.domain.errors import Failure

SIDES = numbers(1, 1, 1, 1)


def numbers_of(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, dtype=np.int32)


def scalar(value: int) -> Array:
    return np.array(value, dtype=np.int32)


def close(found: Array, wanted: Any) -> None:
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


BINARY: Mapping[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "FloorDiv": np.floor_divide,
    "FloorMod": np.mod,
    "SquaredDifference": lambda a, b: (a - b) ** 2,
    "BiasAdd": np.add,
}


@pytest.mark.parametrize("operator", sorted(BINARY))
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (5,), (1, 4, 1)])
def test_two_tensors_go_together_element_by_element(operator: str, shape: tuple[int, ...]) -> None:
    a, b = numbers_of(2, 3, 4, 5), numbers_of(*shape) + np.float32(0.1)
    (found,) = computed([node(operator, "y", "a", "b")], {}, {"a": a, "b": b})
    close(found, BINARY[operator](a, b))
    (found,) = computed([node(operator, "y", "a", "b")], {"b": b}, {"a": a})
    close(found, BINARY[operator](a, b))


@pytest.mark.parametrize("operator", ["FloorDiv", "FloorMod", "Sub", "Add"])
def test_whole_numbers_are_divided_towards_minus_infinity(operator: str) -> None:
    a, b = ints(7, -7, 7, -7, 6, -6), ints(2, 2, -2, -2, 3, 3)
    (found,) = computed([node(operator, "y", "a", "b")], {}, {"a": a, "b": b})
    assert found.dtype == np.int32
    close(found, BINARY[operator](a, b))


UNARY: Mapping[str, Callable[[Array], Array]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Relu6": lambda x: np.clip(x, 0, 6),
    "LeakyRelu": lambda x: np.where(x > 0, x, x * 0.3),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "Exp": np.exp,
    "Abs": np.abs,
    "Neg": np.negative,
    "Square": np.square,
    "Identity": lambda x: x,
    "Softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
}


@pytest.mark.parametrize("operator", sorted(UNARY))
def test_one_tensor_is_changed_element_by_element(operator: str) -> None:
    x = numbers_of(2, 3, 4, 5) * 4
    attributes = {"alpha": {"f": 0.3}} if operator == "LeakyRelu" else {}
    (found,) = computed([node(operator, "y", "x", **attributes)], {}, {"x": x})
    close(found, UNARY[operator](x))


def test_roots_and_their_inverse() -> None:
    x = np.abs(numbers_of(3, 4)) + np.float32(0.5)
    found = computed([node("Sqrt", "y", "x"), node("Rsqrt", "z", "x")], {}, {"x": x})
    close(found[0], np.sqrt(x))
    close(found[1], 1 / np.sqrt(x))


def test_several_are_summed_compared_and_cast() -> None:
    a, b, c = ints(1, 2, 3), ints(1, 5, 3), ints(7, 7, 7)
    nodes = [
        node("AddN", "sum", "a", "b", "c"),
        node("Equal", "equal", "a", "b"),
        node("Cast", "cast", "equal", DstT=kind("DT_FLOAT")),
    ]
    total, equal = computed(nodes, {}, {"a": a, "b": b, "c": c})
    close(total, a + b + c)
    close(equal, np.array([1, 0, 1], dtype=np.float32))


@pytest.mark.parametrize("operator", ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
def test_a_batch_normalisation_is_one_of_constants(operator: str) -> None:
    x, gamma, beta, mean = numbers_of(1, 3, 3, 4), numbers_of(4), numbers_of(4) + np.float32(1), numbers_of(4)
    variance = np.abs(numbers_of(4)) + np.float32(0.3)
    constants = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    nodes = [node(operator, "y", "x", *constants, epsilon={"f": 0.01}, data_format=text("NHWC"))]
    (found,) = computed(nodes, constants, {"x": x})
    close(found, (x - mean) / np.sqrt(variance + 0.01) * gamma + beta)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (1, 1, 1), (3, 1, 2), (5, 3, 1), (2, 2, 1)]
)
def test_convolutions(depthwise: bool, same: bool, size: int, stride: int, dilation: int) -> None:
    x, filters = numbers_of(2, 9, 8, 4), numbers_of(size, size, 4, 3)
    attributes = {
        "strides": numbers(1, stride, stride, 1),
        "dilations": numbers(1, dilation, dilation, 1),
        "padding": text("SAME" if same else "VALID"),
    }
    operator = "DepthwiseConv2dNative" if depthwise else "Conv2D"
    (found,) = computed([node(operator, "y", "x", "w", **attributes)], {"w": filters}, {"x": x})
    close(found, convolution(x, filters, stride, dilation, same, depthwise))


@pytest.mark.parametrize("operator", ["_FusedConv2D", "FusedDepthwiseConv2dNative"])
@pytest.mark.parametrize("activation", ["", "Relu", "Relu6", "LeakyRelu", "Sigmoid"])
def test_fused_convolutions(operator: str, activation: str) -> None:
    x, depthwise = numbers_of(1, 6, 6, 3) * 3, operator != "_FusedConv2D"
    filters, bias = numbers_of(3, 3, 3, 2), numbers_of(6 if depthwise else 2)
    attributes = {
        "strides": SIDES,
        "padding": text("SAME"),
        "fused_ops": texts("BiasAdd", *([activation] if activation else [])),
        "leakyrelu_alpha": {"f": 0.3},
    }
    nodes = [node(operator, "y", "x", "w", "b", **attributes)]
    (found,) = computed(nodes, {"w": filters, "b": bias}, {"x": x})
    plain = convolution(x, filters, 1, 1, True, depthwise) + bias
    close(found, UNARY[activation](plain) if activation else plain)


def test_explicit_padding() -> None:
    x, filters = numbers_of(1, 5, 5, 2), numbers_of(3, 3, 2, 2)
    attributes = {"strides": SIDES, "padding": text("EXPLICIT"), "explicit_paddings": numbers(0, 0, 1, 2, 0, 1, 0, 0)}
    (found,) = computed([node("Conv2D", "y", "x", "w", **attributes)], {"w": filters}, {"x": x})
    close(found, convolution(np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))), filters, 1, 1, False, False))


@pytest.mark.parametrize("operator", ["MaxPool", "AvgPool"])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_pooling(operator: str, same: bool, size: int, stride: int) -> None:
    x = numbers_of(2, 7, 6, 3)
    attributes = {
        "ksize": numbers(1, size, size, 1),
        "strides": numbers(1, stride, stride, 1),
        "padding": text("SAME" if same else "VALID"),
    }
    (found,) = computed([node(operator, "y", "x", **attributes)], {}, {"x": x})
    close(found, pooling(x, size, stride, same, operator == "MaxPool"))


@pytest.mark.parametrize("filling", [0.0, 1.5])
@pytest.mark.parametrize("amounts", [(0, 0, 1, 2, 2, 0, 0, 0), (0, 0, 1, 1, 1, 1, 0, 2), (0,) * 8])
def test_padding_before_a_convolution(filling: float, amounts: tuple[int, ...]) -> None:
    x, filters = numbers_of(1, 5, 4, 2), numbers_of(3, 3, 2 + amounts[7], 2)
    nodes = [
        node("PadV2", "padded", "x", "amounts", "filling"),
        node("Conv2D", "y", "padded", "w", strides=SIDES, padding=text("VALID")),
    ]
    constants = {
        "amounts": np.array(amounts, dtype=np.int32).reshape(4, 2),
        "filling": np.array(filling, dtype=np.float32),
        "w": filters,
    }
    padded, found = computed(nodes, constants, {"x": x}, ["padded", "y"])
    wanted = np.pad(x, np.array(amounts).reshape(4, 2), constant_values=filling)
    close(padded, wanted)
    close(found, convolution(wanted, filters, 1, 1, False, False))


@pytest.mark.parametrize("filling", [-np.inf, 0.0, 3.0])
def test_padding_before_the_largest_is_taken(filling: float) -> None:
    x = numbers_of(1, 5, 5, 2) - np.float32(9)
    pool = {"ksize": numbers(1, 3, 3, 1), "strides": numbers(1, 2, 2, 1), "padding": text("VALID")}
    nodes = [node("PadV2", "padded", "x", "amounts", "filling"), node("MaxPool", "y", "padded", **pool)]
    amounts = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], dtype=np.int32)
    (found,) = computed(nodes, {"amounts": amounts, "filling": np.array(filling, dtype=np.float32)}, {"x": x})
    close(found, pooling(np.pad(x, amounts, constant_values=filling), 3, 2, False, True))


def test_padding_in_channels_first_goes_into_the_convolution() -> None:
    x, filters = numbers_of(1, 2, 5, 5), numbers_of(3, 3, 2, 2)
    nodes = [
        node("Pad", "padded", "x", "amounts"),
        node("Transpose", "last", "padded", "axes"),
        node("Conv2D", "y", "last", "w", strides=SIDES, padding=text("VALID")),
    ]
    constants = {
        "amounts": np.array([[0, 0], [0, 0], [1, 0], [2, 1]], dtype=np.int32),
        "axes": ints(0, 2, 3, 1),
        "w": filters,
    }
    given = placeholder("x", *x.shape)
    model = convert(*files([given, *nodes], constants))
    assert [made.op_type for made in onnx.load_from_string(model).graph.node] == ["Conv", "Transpose"]
    wanted = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (1, 0), (2, 1), (0, 0)))
    close(run(model, {"x:0": x})["y:0"], convolution(wanted, filters, 1, 1, False, False))


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize(("centred", "corners"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("sides", [(8, 10), (3, 5), (7, 3), (4, 5)])
def test_resizing(nearest: bool, centred: bool, corners: bool, sides: tuple[int, int]) -> None:
    x = numbers_of(2, 4, 5, 3)
    operator = "ResizeNearestNeighbor" if nearest else "ResizeBilinear"
    nodes = [node(operator, "y", "x", "sides", half_pixel_centers=flag(centred), align_corners=flag(corners))]
    (found,) = computed(nodes, {"sides": ints(*sides)}, {"x": x})
    close(found, resized(x, sides, nearest, centred, corners))


def test_depth_becomes_space() -> None:
    x = numbers_of(2, 3, 4, 8)
    (found,) = computed([node("DepthToSpace", "y", "x", block_size=number(2))], {}, {"x": x})
    close(found, x.reshape(2, 3, 4, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 8, 2))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", [(1, 2), (-1,), (0, 3)])
def test_reductions_in_any_order_of_axes(keep: bool, axes: tuple[int, ...]) -> None:
    x = numbers_of(2, 6, 6, 4)
    pool = {"ksize": numbers(1, 1, 1, 1), "strides": SIDES, "padding": text("VALID")}
    # After a pooling the channels lie in front.
    nodes = [node("MaxPool", "first", "x", **pool)]
    nodes += [node(name, name, "first", "axes", keep_dims=flag(keep)) for name in ("Mean", "Sum", "Max")]
    found = computed(nodes, {"axes": ints(*axes)}, {"x": x})
    close(found[0], x.mean(axis=axes, keepdims=keep))
    close(found[1], x.sum(axis=axes, keepdims=keep))
    close(found[2], x.max(axis=axes, keepdims=keep))


def test_shapes_are_changed() -> None:
    x = numbers_of(2, 1, 3, 4)
    nodes = [
        node("Reshape", "flat", "x", "shape"),
        node("Squeeze", "squeezed", "x", squeeze_dims=numbers(1)),
        node("Squeeze", "all", "x"),
        node("ExpandDims", "expanded", "x", "axis"),
        node("Transpose", "turned", "x", "axes"),
    ]
    constants = {"shape": ints(6, -1), "axis": scalar(-1), "axes": ints(3, 0, 2, 1)}
    flat, squeezed, everything, expanded, turned = computed(nodes, constants, {"x": x})
    close(flat, x.reshape(6, 4))
    close(squeezed, x[:, 0])
    close(everything, x[:, 0])
    close(expanded, x[..., None])
    close(turned, x.transpose(3, 0, 2, 1))


@pytest.mark.parametrize("axis", [0, 1, 3, -1])
def test_tensors_are_packed_unpacked_joined_and_split(axis: int) -> None:
    a, b = numbers_of(2, 3, 4), numbers_of(2, 3, 4) + np.float32(1)
    nodes = [
        node("Pack", "packed", "a", "b", axis=number(axis)),
        node("Unpack", "parts", "packed", axis=number(axis), num=number(2)),
        node("ConcatV2", "joined", "packed", "packed", "axis"),
        node("SplitV", "pieces", "joined", "sizes", "axis"),
        node("Split", "halves", "axis", "joined", num_split=number(2)),
    ]
    length = 2 * np.stack([a, b], axis).shape[axis]
    constants = {"axis": scalar(axis), "sizes": ints(1, length - 1)}
    outputs = ["packed", "parts", "parts:1", "joined", "pieces:0", "pieces:1", "halves:1"]
    found = computed(nodes, constants, {"a": a, "b": b}, outputs)
    packed = np.stack([a, b], axis)
    joined = np.concatenate([packed, packed], axis)
    wanted = [packed, a, b, joined, *np.split(joined, [1], axis), np.split(joined, 2, axis)[1]]
    for made, expected in zip(found, wanted, strict=True):
        close(made, expected)


def test_parts_are_taken() -> None:
    x = numbers_of(2, 6, 7, 3)
    pool = {"ksize": numbers(1, 1, 1, 1), "strides": SIDES, "padding": text("VALID")}
    masks = {"begin_mask": number(1), "end_mask": number(1), "shrink_axis_mask": number(8)}
    nodes = [
        node("AvgPool", "first", "x", **pool),
        node("Slice", "slice", "first", "begin", "size"),
        node("StridedSlice", "strided", "first", "from", "to", "step", **masks),
    ]
    constants = {
        "begin": ints(0, 1, 2, 0),
        "size": ints(-1, 3, -1, 2),
        "from": ints(1, 1, -5, -1),
        "to": ints(1, 6, -1, 0),
        "step": ints(1, 2, 1, 1),
    }
    sliced, strided = computed(nodes, constants, {"x": x})
    close(sliced, x[:, 1:4, 2:, :2])
    close(strided, x[:, 1:6:2, -5:-1, -1])


def test_a_tensor_is_repeated_and_looked_up() -> None:
    x, places = numbers_of(1, 3, 4), ints(2, 0)
    nodes = [
        node("Tile", "tiled", "x", "times"),
        node("GatherV2", "gathered", "x", "places", "axis"),
        node("GatherNd", "points", "x", "indices"),
    ]
    constants = {"times": ints(2, 1, 3), "axis": scalar(1), "indices": np.array([[0, 1], [0, 2]], dtype=np.int32)}
    tiled, gathered, points = computed(nodes, constants, {"x": x, "places": places})
    close(tiled, np.tile(x, (2, 1, 3)))
    close(gathered, x[:, [2, 0]])
    close(points, x[0, [1, 2]])


def test_the_largest_are_found() -> None:
    x = numbers_of(2, 5, 6)
    nodes = [
        node("ArgMax", "place", "x", "axis", output_type=kind("DT_INT32")),
        node("TopKV2", "top", "x", "count"),
    ]
    place, values, places = computed(
        nodes, {"axis": scalar(1), "count": scalar(2)}, {"x": x}, ["place", "top", "top:1"]
    )
    assert place.dtype == places.dtype == np.int32
    close(place, x.argmax(axis=1))
    close(places, np.argsort(-x, axis=-1)[..., :2])
    close(values, -np.sort(-x, axis=-1)[..., :2])


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_matrices_are_multiplied(turned: tuple[bool, bool]) -> None:
    a, b, bias = numbers_of(3, 4), numbers_of(4, 5), numbers_of(5)
    given = {"a": np.ascontiguousarray(a.T) if turned[0] else a}
    constants = {"b": np.ascontiguousarray(b.T) if turned[1] else b, "bias": bias}
    attributes = {"transpose_a": flag(turned[0]), "transpose_b": flag(turned[1])}
    nodes = [
        node("MatMul", "plain", "a", "b", **attributes),
        node("_FusedMatMul", "fused", "a", "b", "bias", fused_ops=texts("BiasAdd", "Relu"), **attributes),
    ]
    plain, fused = computed(nodes, constants, given)
    close(plain, a @ b)
    close(fused, np.maximum(a @ b + bias, 0))


def test_shapes_that_are_computed_are_known_beforehand() -> None:
    # As exported detectors reshape: [1, 6, −1] from a sparse tensor and a sum.
    x = numbers_of(1, 3, 4, 2)
    constants = {
        "indices": np.array([[1]], dtype=np.int32),
        "sizes": ints(3),
        "values": ints(5),
        "default": scalar(0),
        "base": ints(1, 1, -1),
    }
    nodes = [
        node("SparseToDense", "dense", "indices", "sizes", "values", "default"),
        node("AddV2", "shape", "base", "dense"),
        node("Reshape", "y", "x", "shape"),
    ]
    (found,) = computed(nodes, constants, {"x": x})
    close(found, x.reshape(1, 6, 4))


def test_a_free_batch_goes_through_shapes() -> None:
    filters, anchors = numbers_of(3, 3, 2, 4), numbers_of(1, 16, 4)
    nodes = [
        placeholder("x", -1, 4, 4, 2),
        node("Conv2D", "conv", "x", "w", strides=SIDES, padding=text("SAME")),
        node("Shape", "shape", "conv", out_type=kind("DT_INT32")),
        node("StridedSlice", "count", "shape", "zero", "one", "one", shrink_axis_mask=number(1)),
        node("Pack", "wanted", "count", "rows", "four", axis=number(0)),
        node("Reshape", "boxes", "conv", "wanted"),
        node("Pack", "times", "count", "single", "single", axis=number(0)),
        node("Tile", "anchors_for_all", "anchors", "times"),
        node("Reshape", "flat", "boxes", "pairs"),
        node("Reshape", "flat_anchors", "anchors_for_all", "pairs"),
        node("Add", "moved", "flat", "flat_anchors"),
        node("Reshape", "y", "moved", "wanted"),
    ]
    constants = {
        "w": filters,
        "anchors": anchors,
        "zero": ints(0),
        "one": ints(1),
        "rows": scalar(16),
        "four": scalar(4),
        "single": scalar(1),
        "pairs": ints(-1, 4),
    }
    model = convert(*files(nodes, constants))
    for count in (1, 3):
        x = numbers_of(count, 4, 4, 2)
        wanted = convolution(x, filters, 1, 1, True, False).reshape(count, 16, 4) + anchors
        close(run(model, {"x:0": x})["y:0"], wanted)


def test_a_graph_of_one_picture_takes_a_batch() -> None:
    nodes = [placeholder("x", 1, 2, 3, 4), node("Reshape", "y", "x", "shape")]
    model = convert(*files(nodes, {"shape": ints(1, -1, 4)}), {"x:0": (0, 2, 3, 4)})
    x = numbers_of(5, 2, 3, 4)
    close(run(model, {"x:0": x})["y:0"], x.reshape(5, 6, 4))


def test_what_would_mix_pictures_of_a_batch_is_refused() -> None:
    nodes = [placeholder("x", -1, 2, 3), node("Unpack", "y", "x", axis=number(0), num=number(1))]
    with pytest.raises(Failure, match="'y'") as caught:
        convert(*files(nodes, {}))
    assert caught.value.kind == "malformed"


def test_a_graph_is_cut_where_it_is_said() -> None:
    x = numbers_of(2, 3)
    nodes = [
        placeholder("raw", 2, 3),
        node("While", "loop", "raw"),
        node("Mul", "middle", "loop", "two", T=kind("DT_FLOAT")),
        node("Add", "y", "middle", "two"),
        node("NonMaxSuppressionV5", "end", "y"),
    ]
    model = convert(*files(nodes, {"two": np.array(2, dtype=np.float32)}), {"middle": (2, 3)}, ["y"])
    assert list(run(model, {"middle:0": x})) == ["y:0"]
    close(run(model, {"middle:0": x})["y:0"], x + 2)


@pytest.mark.parametrize("order", ["mul first", "add first", "through a sum", "two uses", "output"])
def test_constants_of_each_channel_go_into_the_convolution(order: str) -> None:
    x, filters, factor, summand = numbers_of(1, 5, 5, 2), numbers_of(3, 3, 2, 4), numbers_of(4), numbers_of(1, 1, 1, 4)
    nodes = [node("Conv2D", "conv", "x", "w", strides=SIDES, padding=text("SAME"))]
    plain = convolution(x, filters, 1, 1, True, False)
    outputs = ["y"]
    if order == "mul first":
        nodes += [node("Mul", "a", "conv", "factor"), node("Add", "b", "summand", "a"), node("Relu", "y", "b")]
        wanted, kept = np.maximum(plain * factor + summand, 0), ["Conv", "Relu"]
    elif order == "add first":
        nodes += [node("Add", "a", "conv", "summand"), node("Mul", "b", "a", "factor"), node("Relu", "y", "b")]
        wanted, kept = np.maximum((plain + summand) * factor, 0), ["Conv", "Relu"]
    elif order == "through a sum":
        nodes += [
            node("Conv2D", "other", "x", "v", strides=SIDES, padding=text("SAME")),
            node("AddN", "a", "conv", "other"),
            node("Add", "b", "a", "summand"),
            node("Relu", "y", "b"),
        ]
        wanted = np.maximum(plain + convolution(x, filters * 2, 1, 1, True, False) + summand, 0)
        kept = ["Add", "Conv", "Conv", "Relu"]
    elif order == "two uses":
        nodes += [node("Mul", "a", "conv", "factor"), node("Add", "b", "conv", "a"), node("Relu", "y", "b")]
        wanted, kept = np.maximum(plain + plain * factor, 0), ["Add", "Conv", "Mul", "Relu"]
    else:
        nodes += [node("Mul", "y", "conv", "factor"), node("Add", "z", "conv", "summand")]
        wanted, kept, outputs = plain * factor, ["Add", "Conv", "Mul"], ["y", "z"]
    constants = {"w": filters, "v": filters * 2, "factor": factor, "summand": summand}
    model = convert(*files([placeholder("x", *x.shape), *nodes], constants), outputs=outputs)
    made = sorted(made.op_type for made in onnx.load_from_string(model).graph.node if made.op_type != "Transpose")
    assert made == kept
    close(run(model, {"x:0": x})["y:0"], wanted)
