"""Whatever a model puts out, findings lie in the picture and hold numbers; a letterbox is undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.output_readers import manifest
from vms.adapters.inference.placement import placement_of
from vms.adapters.inference.readers import reader_for
from vms.domain.models import ModelManifest
from vms.domain.motion import Box
from vms.domain.vision import Finding

LABELS = ("person", "", "car")
SHAPES: dict[str, tuple[ModelManifest, dict[str, tuple[int, ...]]]] = {
    "ssd": (manifest("ssd", {"boxes": "b", "scores": "s"}, LABELS), {"b": (9, 1, 4), "s": (9, 3)}),
    "nanodet": (manifest("nanodet", {}, LABELS), {"s": (4, 3), "b": (4, 32)}),
    "detr": (manifest("detr", {}, LABELS), {"logits": (7, 3), "pred_boxes": (7, 4)}),
    "detr, labelled": (
        manifest("detr", {"boxes": "b", "scores": "s", "labels": "l"}, LABELS),
        {"b": (7, 4), "s": (7,), "l": (7,)},
    ),
    "yolo_world": (manifest("yolo_world", {"boxes": "b", "scores": "s"}, LABELS), {"b": (9, 4), "s": (9, 3)}),
    "blazeface": (manifest("blazeface", {"scores": "s", "boxes": "b"}), {"s": (384, 1), "b": (384, 16)}),
    "embedding": (manifest("embedding", {"vector": "v"}), {"v": (8,)}),
    "movenet": (manifest("movenet", {"points": "p"}), {"p": (1, 17, 3)}),
}
strange = st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0, -0.0, 1.0, -1.0, 2.0])
regions = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 1), st.floats(0.01, 1)).map(
    lambda sides: Box(sides[0], sides[1], min(1.0, sides[0] + sides[2]), min(1.0, sides[1] + sides[3]))
)


def sound(finding: Finding, labels: tuple[str, ...]) -> None:
    box = finding.box
    assert 0.0 <= box.left < box.right <= 1.0
    assert 0.0 <= box.top < box.bottom <= 1.0
    assert 0.0 <= finding.score <= 1.0
    assert finding.label
    assert finding.label in labels
    for point in finding.points:
        assert all(0.0 <= number <= 1.0 for number in point)
    if finding.vector:
        assert np.linalg.norm(finding.vector) == pytest.approx(1.0)


@pytest.mark.parametrize("name", sorted(SHAPES))
@given(data=st.data(), region=regions, least=st.floats(0, 1), fit=st.sampled_from(["stretch", "letterbox"]))
def test_findings_hold_numbers_and_lie_in_the_picture(
    name: str, data: st.DataObject, region: Box, least: float, fit: str
) -> None:
    model, shapes = SHAPES[name]
    model = model.model_copy(update={"input": model.input.model_copy(update={"fit": fit})})
    outputs: dict[str, NDArray[Any]] = {}
    for output, shape in shapes.items():
        generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        array = generator.normal(scale=data.draw(st.sampled_from([0.3, 2.0, 100.0])), size=shape).astype(np.float32)
        for value in data.draw(st.lists(strange, max_size=6)):
            array.reshape(-1)[generator.integers(array.size)] = value
        outputs[output] = array
    placement = placement_of(model.input, data.draw(st.integers(1, 5000)), data.draw(st.integers(1, 5000)), region)
    found = reader_for(model).read(outputs, placement, least)
    for finding in found:
        sound(finding, model.labels or ("face", "person"))
    assert [finding.score for finding in found] == sorted((finding.score for finding in found), reverse=True)


def as_ssd(box: tuple[float, float, float, float]) -> dict[str, NDArray[Any]]:
    left, top, right, bottom = box
    return {"b": np.array([[top, left, bottom, right]]), "s": np.array([[0.9, 0, 0]])}


def as_detr(box: tuple[float, float, float, float]) -> dict[str, NDArray[Any]]:
    left, top, right, bottom = box
    middle = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return {"pred_boxes": np.array([middle]), "logits": np.array([[3.0, -9, -9]])}


def as_yolo_world(box: tuple[float, float, float, float]) -> dict[str, NDArray[Any]]:
    return {"b": np.array([box]) * 64, "s": np.array([[0.9, 0, 0]])}


@pytest.mark.parametrize(("name", "written"), [("ssd", as_ssd), ("detr", as_detr), ("yolo_world", as_yolo_world)])
@given(width_px=st.integers(8, 4096), height_px=st.integers(8, 4096), thing=regions, region=regions)
def test_reading_undoes_the_letterbox(
    name: str,
    written: Callable[[tuple[float, float, float, float]], dict[str, NDArray[Any]]],
    width_px: int,
    height_px: int,
    thing: Box,
    region: Box,
) -> None:
    model = SHAPES[name][0]
    entry = model.input.model_copy(update={"fit": "letterbox"})
    placement = placement_of(entry, width_px, height_px, region)
    # Where the thing, in the region, lies in the input when the picture keeps its aspect between bars.
    scale = min(64 / width_px, 64 / height_px)
    bars = (64 - width_px * scale) / 2 / 64, (64 - height_px * scale) / 2 / 64
    shares = width_px * scale / 64, height_px * scale / 64
    corners = (
        bars[0] + thing.left * shares[0],
        bars[1] + thing.top * shares[1],
        bars[0] + thing.right * shares[0],
        bars[1] + thing.bottom * shares[1],
    )
    (found,) = reader_for(model).read(written(corners), placement, 0.5)
    across, down = region.right - region.left, region.bottom - region.top
    assert found.box.left == pytest.approx(region.left + thing.left * across, abs=1e-6)
    assert found.box.top == pytest.approx(region.top + thing.top * down, abs=1e-6)
    assert found.box.right == pytest.approx(region.left + thing.right * across, abs=1e-6)
    assert found.box.bottom == pytest.approx(region.top + thing.bottom * down, abs=1e-6)
