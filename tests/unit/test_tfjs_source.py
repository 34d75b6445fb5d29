"""What is no TensorFlow.js model is refused in a sentence that names the place; nothing absurd is allocated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tfjs_graph import files, kind, node, number, numbers, placeholder, run, text
from vms.adapters.tfjs import convert, convert_face_api
from vms.adapters.tfjs import source as reading
from vms.domain.errors import Failure

FILTERS = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
CONV = node("Conv2D", "conv", "x", "w", strides=numbers(1, 1, 1, 1), padding=text("SAME"))


def small(*more: dict[str, Any]) -> tuple[bytes, list[bytes]]:
    return files([placeholder("x", 1, 5, 5, 2), CONV, *more], {"w": FILTERS})


def changed(change: Callable[[dict[str, Any]], None]) -> tuple[bytes, list[bytes]]:
    model, shards = small()
    document = json.loads(model)
    change(document)
    return json.dumps(document).encode(), shards


def refused(model: bytes | Path, shards: list[bytes], **asked: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        convert(model, shards, **asked)
    return caught.value


@pytest.mark.parametrize(
    "model",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"modelTopology": 3}',
        b'{"modelTopology": {"node": []}}',
        b'{"modelTopology": {"node": [3]}}',
        b'{"modelTopology": {"node": [{"op": "Relu"}]}}',
        b'{"modelTopology": {"node": [{"name": "a", "op": "Relu", "input": [3]}]}}',
        b'{"modelTopology": {"node": [{"name": "a", "op": "Relu", "attr": {"T": 3}}]}}',
        b'{"modelTopology": {"node": [{"name": "a", "op": "Relu"}]}}',
        b'{"modelTopology": {"node": [{"name": "a", "op": "Relu"}]}, "weightsManifest": [3]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_model_is_refused(model: bytes) -> None:
    assert refused(model, []).kind == "malformed"


def test_a_json_cut_anywhere_is_refused(tmp_path: Path) -> None:
    model, shards = small()
    for length in range(0, len(model), 97):
        assert refused(model[:length], shards).kind == "malformed"
    path = tmp_path / "model.json"
    path.write_bytes(model)
    assert convert(path, shards) == convert(model, shards)


def test_two_nodes_of_one_name_are_refused() -> None:
    assert "'conv'" in refused(*small(CONV)).detail


def test_weights_that_are_too_short_long_or_many_are_refused() -> None:
    model, (shard,) = small()
    assert "'w'" in refused(model, [shard[:-1]]).detail
    assert "288 bytes" in refused(model, [shard + b"\0"]).detail
    assert "more files" in refused(model, []).detail
    assert "fewer files" in refused(model, [shard, b""]).detail


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "w", "shape": [1 << 40, 1 << 20], "dtype": "float32"},
        {"name": "w", "shape": [-3, -3, 2, 4], "dtype": "float32"},
        {"name": "w", "shape": [1] * 50, "dtype": "float32"},
        {"name": "w", "shape": [3, 3, 2, 4], "dtype": "complex64"},
        {"name": "w", "shape": "many", "dtype": "float32"},
        {"name": "w", "dtype": "float32"},
        {"name": "w", "shape": [72], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 1}},
        {"name": "w", "shape": [72], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 1e999, "min": 0}},
        {"name": "w", "shape": [72], "dtype": "float32", "quantization": {"dtype": "int3"}},
        {"name": "w", "shape": [72], "dtype": "float32", "quantization": "float16"},
        3,
    ],
)
def test_weights_that_cannot_be_are_refused(entry: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        document["weightsManifest"][0]["weights"] = [entry]

    assert refused(*changed(change)).kind == "malformed"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    filters = FILTERS.copy()
    filters[0, 0, 0, 0] = value
    assert "'w'" in refused(*files([placeholder("x", 1, 5, 5, 2), CONV], {"w": filters})).detail


@pytest.mark.parametrize("packing", ["uint8", "uint16", "float16"])
def test_quantised_weights_are_taken_at_their_real_values(packing: str) -> None:
    real = np.array([-1.0, 0.5, 2.0, 3.25], dtype=np.float32)
    scale, least = 0.25, -1.0
    packed = real.astype(np.float16) if packing == "float16" else ((real - least) / scale).astype(packing)
    model, _ = files([placeholder("x", 4), node("Add", "y", "x", "b")], {"b": real})
    document = json.loads(model)
    quantisation = {"dtype": packing} | ({} if packing == "float16" else {"scale": scale, "min": least})
    document["weightsManifest"][0]["weights"][0]["quantization"] = quantisation
    # In two files, cut in the middle of a number.
    content = packed.tobytes()
    document["weightsManifest"][0]["paths"] = ["one", "two"]
    converted = convert(json.dumps(document).encode(), [content[:1], content[1:]])
    np.testing.assert_array_equal(run(converted, {"x:0": np.zeros(4, np.float32)})["y:0"], real)


def test_sizes_beyond_the_bounds_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, shards = small()
    path = tmp_path / "model.json"
    path.write_bytes(model)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_LARGEST_JSON_BYTES", len(model) - 1)
        assert "more than" in refused(model, shards).detail
        assert "more than" in refused(path, shards).detail
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_LARGEST_WEIGHTS_BYTES", len(shards[0]) - 1)
        assert "more than" in refused(model, shards).detail
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_LARGEST_WEIGHTS_BYTES", len(shards[0]))
        # Before anything is made of them.
        assert "more than" in refused(model, [*shards, b"0"]).detail
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_MOST_NODES", 2)
        assert "3 nodes" in refused(model, shards).detail


def test_quantised_weights_beyond_the_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = [{"paths": ["w"], "weights": [{"name": "w", "shape": [64], "dtype": "float32"}]}]
    manifest[0]["weights"][0]["quantization"] = {"dtype": "uint8", "scale": 1, "min": 0}  # type: ignore[index]
    monkeypatch.setattr(reading, "_LARGEST_WEIGHTS_BYTES", 100)
    with pytest.raises(Failure, match="more than 100 bytes"):
        reading.read_weights(manifest, [bytes(64)])


def test_all_operators_without_a_translation_are_named_at_once() -> None:
    failure = refused(*small(node("Magic", "a", "conv"), node("While", "b", "a"), node("Relu", "c", "b")))
    assert failure.kind == "unsupported"
    assert "Magic, While" in failure.detail


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (node("Relu", "bad", "nowhere"), "'nowhere'"),
        (node("Relu", "bad", "conv:3"), "output 3 of 'conv'"),
        (node("Relu", "bad"), "'bad' (Relu)"),
        (node("Relu", "bad", "bad"), "'bad' of this model needs itself"),
        (node("Add", "bad", "conv", "w"), "'bad' (Add)"),
        (node("Conv2D", "bad", "conv", "w", strides=numbers(1, 1, 1, 1), padding=text("SAME")), "'bad' (Conv2D)"),
        (node("Conv2D", "bad", "x", "w", strides=numbers(1, 0, 1, 1), padding=text("SAME")), "'bad' (Conv2D)"),
        (node("Conv2D", "bad", "x", "w", strides={"list": 3}, padding=text("SAME")), "'bad' (Conv2D)"),
        (node("Conv2D", "bad", "x", "w", padding=text("WIDE")), "'bad' (Conv2D)"),
        (node("Conv2D", "bad", "x", "w", padding=text("SAME"), data_format=text("NCHW")), "'bad' (Conv2D)"),
        (node("MaxPool", "bad", "x", ksize=numbers(1, 9, 9, 1), padding=text("VALID")), "'bad' (MaxPool)"),
        (node("Reshape", "bad", "conv", "x"), "'bad' (Reshape)"),
        (node("Cast", "bad", "conv", DstT=kind("DT_STRING")), "'bad' (Cast)"),
        (node("Unpack", "bad", "conv", axis=number(9), num=number(1)), "'bad' (Unpack)"),
        (node("Unpack", "bad", "conv", axis=number(1), num=number(3)), "'bad' (Unpack)"),
        (node("Transpose", "bad", "conv", "w"), "'bad' (Transpose)"),
        ({"name": "bad", "op": "Const"}, "'bad'"),
    ],
)
def test_a_node_that_cannot_be_is_named(bad: dict[str, Any], named: str) -> None:
    failure = refused(*small(bad), outputs=["bad"])
    assert failure.kind == "malformed"
    assert named in failure.detail


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((-1, 300), "300"), ((1 << 16, 1 << 16), "too large"), ((0,), "shape"), ((3, -1), "(3, -1)")],
)
def test_shapes_that_cannot_be_are_refused(shape: tuple[int, ...], wanted: str) -> None:
    sizes = np.array([-1, 7], dtype=np.int32)
    failure = refused(*files([placeholder("x", *shape), node("Reshape", "y", "x", "shape")], {"shape": sizes}))
    assert failure.kind == "malformed"
    assert wanted in failure.detail


@pytest.mark.parametrize(
    "asked",
    [
        {"outputs": ["nothing"]},
        {"outputs": []},
        {"outputs": ["conv:1"]},
        {"inputs": {"nothing": (1, 2)}},
        {"inputs": {"w": (1, 2)}},
        {"inputs": {"x": ()}},
        {"inputs": {"x": (1, 0, 5, 2)}},
    ],
)
def test_a_cut_that_cannot_be_is_refused(asked: dict[str, Any]) -> None:
    assert refused(*small(), **asked).kind == "malformed"


def test_an_output_that_is_asked_for_twice_is_refused() -> None:
    assert "twice" in refused(*small(), outputs=["conv", "conv:0"]).detail


def test_nodes_that_need_each_other_are_refused() -> None:
    assert "needs itself" in refused(*small(node("Relu", "a", "b"), node("Relu", "b", "a")), outputs=["a"]).detail


def test_a_face_network_without_its_weights_is_refused() -> None:
    manifest = [{"paths": ["w"], "weights": [{"name": "conv32_down/conv/filters", "shape": [2], "dtype": "float32"}]}]
    with pytest.raises(Failure, match=r"conv32_down/conv/filters.*instead of") as caught:
        convert_face_api(json.dumps(manifest).encode(), [bytes(8)])
    assert caught.value.kind == "malformed"
    with pytest.raises(Failure, match=r"conv32_down/conv/filters.*missing"):
        convert_face_api(b'[{"paths": [], "weights": []}]', [])
