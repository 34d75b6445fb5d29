"""What a model puts out becomes findings of the right label at the right place; other shapes are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.output_readers import COCO_80, COCO_90, manifest
from tests.tfjs_graph import run
from vms.adapters.inference.placement import Placement, placement_of
from vms.adapters.inference.readers import READERS, reader_for
from vms.adapters.inference.suppression import kept
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest
from vms.domain.motion import Box
from vms.domain.vision import Finding

Array = NDArray[Any]
WHOLE = Placement()
LABELS = ("person", "", "car")
GRIDS = {"s8": (64, 3), "b8": (64, 32), "s16": (16, 3), "b16": (16, 32)}


def near(box: Box, *sides: float) -> bool:
    return np.allclose((box.left, box.top, box.right, box.bottom), sides, atol=1e-5)


def test_an_ssd_gives_each_thing_once() -> None:
    reader = reader_for(manifest("ssd", {"boxes": "b", "scores": "s"}, LABELS))
    boxes = np.array([[0.1, 0.2, 0.5, 0.6], [0.12, 0.2, 0.5, 0.6], [0.1, 0.2, 0.5, 0.6], [0.7, 0.7, 0.9, 1.2]])
    scores = np.array([[0.7, 0.99, 0.1], [0.9, 0, 0], [0, 0, 0.8], [0.6, 0, 0]], dtype=np.float32)
    found = reader.read({"b": boxes[:, None].astype(np.float32), "s": scores}, WHOLE, 0.5)
    assert [(finding.label, round(finding.score, 3)) for finding in found] == [
        ("person", 0.9),
        ("car", 0.8),
        ("person", 0.6),
    ]
    assert near(found[0].box, 0.2, 0.12, 0.6, 0.5)
    assert near(found[2].box, 0.7, 0.7, 1.0, 0.9)


def test_boxes_of_one_label_alone_put_each_other_out() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.6], [0, 0, 1, 0.4], [0, 0.5, 1, 1.0]])
    assert kept(boxes, np.array([0, 0, 0, 0]), 0.49).tolist() == [0, 2]
    assert kept(boxes, np.array([0, 1, 1, 0]), 0.49).tolist() == [0, 1]
    assert kept(boxes[:0], np.array([], dtype=int), 0.5).tolist() == []


def test_a_box_is_that_of_the_whole_picture() -> None:
    # A wide picture's right half between bars, above and below, of a square input.
    model = manifest("ssd", {"boxes": "b", "scores": "s"}, LABELS, fit="letterbox")
    placement = placement_of(model.input, 640, 320, Box(0.5, 0.0, 1.0, 1.0))
    assert near(placement.within, 0.0, 0.25, 1.0, 0.75)
    scores = np.array([[0.7, 0, 0]], dtype=np.float32)
    (found,) = reader_for(model).read({"b": np.array([[0.25, 0.5, 0.5, 1.0]]), "s": scores}, placement, 0.5)
    assert near(found.box, 0.75, 0.0, 1.0, 0.5)
    # Nothing of it lies in the picture, only in a bar.
    assert reader_for(model).read({"b": np.array([[0.0, 0.5, 0.2, 1.0]]), "s": scores}, placement, 0.5) == ()


def test_a_box_ends_where_the_region_ends_that_was_looked_at() -> None:
    placement = Placement(Box(0.5, 0.5, 1.0, 1.0))
    outputs = {"b": np.array([[-0.5, -0.5, 0.5, 0.5]]), "s": np.array([[0.7, 0, 0]])}
    (found,) = reader_for(manifest("ssd", {"boxes": "b", "scores": "s"}, LABELS)).read(outputs, placement, 0.5)
    assert near(found.box, 0.5, 0.5, 0.75, 0.75)


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", range(4))
def test_a_box_or_a_mark_that_is_no_number_is_no_finding(nothing: float, side: int) -> None:
    boxes = np.array([[0.1, 0.2, 0.5, 0.6]])
    boxes[0, side] = nothing
    ssd = reader_for(manifest("ssd", {"boxes": "b", "scores": "s"}, LABELS))
    assert ssd.read({"b": boxes, "s": np.array([[0.7, 0, 0]])}, WHOLE, 0.5) == ()
    rows = np.full((2304, 17), -20.0, dtype=np.float32)
    rows[9, :5] = (3.0, 0.0, 0.0, 24.0, 24.0)
    rows[9, 5 + side] = nothing
    faces = reader_for(manifest("blazeface", {"faces": "f"}, (), width=192, height=192))
    assert faces.read({"f": rows}, WHOLE, 0.5) == ()
    ends = np.full((1, 4), nothing)
    detr = reader_for(manifest("detr", {}, LABELS))
    assert detr.read({"pred_boxes": ends, "logits": np.array([[3.0, -9, -9]])}, WHOLE, 0.5) == ()
    joints = np.full((1, 17, 3), 0.5)
    # A joint that would be taken as unseen.
    joints[0, side] = (nothing, nothing, 0.0)
    assert reader_for(manifest("movenet", {"points": "p"})).read({"p": joints}, WHOLE, 0.3) == ()
    sides = [0.1, 0.2, 0.5, 0.6]
    sides[side] = np.nan
    assert WHOLE.box(*sides) is None


def nanodet_outputs() -> dict[str, Array]:
    outputs = {name: np.zeros(shape, dtype=np.float32) for name, shape in GRIDS.items()}
    # Row 2, column 5 of the cells of 8 pixels: 2, 1, 3 and 4 cells to the left, top, right and bottom.
    outputs["s8"][2 * 8 + 5, 2] = 0.8
    for side, cells in enumerate((2, 1, 3, 4)):
        outputs["b8"][2 * 8 + 5, side * 8 + cells] = 60.0
    # Row 1, column 1 of those of 16: half of the likelihood each at 0 and 1.
    outputs["s16"][5, 0] = 0.9
    outputs["b16"].reshape(16, 4, 8)[5, :, :2] = 60.0
    return outputs


@pytest.mark.parametrize("named", [True, False])
def test_nanodet_boxes_come_from_likely_distances(named: bool) -> None:
    roles = {name: name for name in GRIDS} if named else {}
    reader = reader_for(manifest("nanodet", roles, LABELS))
    reader.check({name: ("N", *shape) for name, shape in GRIDS.items()})
    person, car = reader.read(nanodet_outputs(), WHOLE, 0.5)
    assert (person.label, car.label) == ("person", "car")
    assert near(person.box, 16 / 64, 16 / 64, 32 / 64, 32 / 64)
    assert near(car.box, (44 - 16) / 64, (20 - 8) / 64, 1.0, (20 + 32) / 64)


def test_faces_have_six_marks() -> None:
    rows = np.full((2304, 17), -20.0, dtype=np.float32)
    # Row 24, column 12 of 48×48 cells, 4 pixels each.
    row = 24 * 48 + 12
    rows[row, 0] = 3.0
    rows[row, 1:5] = (4.0, -2.0, 48.0, 24.0)
    rows[row, 5:] = np.arange(12) * 2
    model = manifest("blazeface", {"faces": "f"}, (), width=192, height=192)
    (face,) = reader_for(model).read({"f": rows}, WHOLE, 0.5)
    assert face.label == "face"
    assert face.score == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert near(face.box, (54 - 24) / 192, (96 - 12) / 192, (54 + 24) / 192, (96 + 12) / 192)
    assert len(face.points) == 6
    assert (face.points[1].x, face.points[1].y) == pytest.approx(((50 + 4) / 192, (98 + 6) / 192))


@pytest.mark.parametrize(("rows", "side", "centre"), [(512, 128, (8 + 4, 4)), (384, 128, (8 * 2 + 8, 8))])
def test_faces_in_pairs_of_outputs(rows: int, side: int, centre: tuple[float, float]) -> None:
    each = {512: 2, 384: 6}[rows]
    model = manifest("blazeface", {"scores_1": "s", "boxes_1": "b"}, (), width=side, height=side)
    scores, boxes = np.full((rows, 1), -9.0, np.float32), np.zeros((rows, 16), np.float32)
    # The last of those in the second cell.
    scores[2 * each - 1] = 2.0
    boxes[2 * each - 1, 2:4] = 2.0
    reader = reader_for(model)
    reader.check({"s": ("N", rows, 1), "b": ("N", rows, 16)})
    (face,) = reader.read({"s": scores, "b": boxes}, WHOLE, 0.5)
    assert near(face.box, *((place + off) / side for off in (-1, 1) for place in centre))


def test_an_embedding_is_of_unit_length_and_of_the_region() -> None:
    reader = reader_for(manifest("embedding", {"vector": "v"}))
    region = Box(0.2, 0.3, 0.4, 0.5)
    (found,) = reader.read({"v": np.array([3e30, 0.0, -4e30], dtype=np.float32)}, Placement(region), 0.5)
    assert found.vector == pytest.approx((0.6, 0.0, -0.8))
    assert found.box == region
    for nothing in (np.zeros(3), np.array([np.nan, 1.0, 2.0]), np.array([np.inf, 1.0, 2.0])):
        assert reader.read({"v": nothing}, WHOLE, 0.5) == ()


def test_a_pose_has_a_box_around_the_joints_that_are_seen() -> None:
    joints = np.zeros((1, 17, 3), dtype=np.float32)
    joints[0, :, 2] = 0.1
    joints[0, 0] = (0.2, 0.4, 0.9)
    joints[0, 16] = (0.8, 0.6, 0.9)
    reader = reader_for(manifest("movenet", {"points": "p"}))
    (body,) = reader.read({"p": joints}, WHOLE, 0.15)
    assert body.label == "person"
    assert body.score == pytest.approx((0.1 * 15 + 1.8) / 17)
    assert near(body.box, 0.4, 0.2, 0.6, 0.8)
    assert len(body.points) == 17
    assert body.points[16][:2] == pytest.approx((0.6, 0.8))
    assert reader.read({"p": joints}, WHOLE, 0.5) == ()


@pytest.mark.parametrize("labelled", [False, True])
def test_yolo_world_boxes_are_in_pixels(labelled: bool) -> None:
    boxes = np.array([[16, 0, 32, 64], [16, 0, 33, 64], [0, 0, 8, 8]], dtype=np.float32)
    if labelled:
        outputs = {"b": boxes, "s": np.array([0.8, 0.7, 0.9]), "l": np.array([2, 2, -1])}
        model = manifest("yolo_world", {"boxes": "b", "scores": "s", "labels": "l"}, LABELS)
    else:
        outputs = {"b": boxes, "s": np.array([[0, 0, 0.8], [0, 0, 0.7], [0, 0.9, 0]])}
        model = manifest("yolo_world", {"boxes": "b", "scores": "s"}, LABELS)
    reader = reader_for(model)
    reader.check({name: ("N", *array.shape) for name, array in outputs.items()})
    (found,) = reader.read(outputs, WHOLE, 0.5)
    assert found.label == "car"
    assert found.score == pytest.approx(0.8)
    assert near(found.box, 0.25, 0.0, 0.5, 1.0)


def detr_graph() -> bytes:
    """A graph of RT-DETR's contract in Hugging Face's export, which sees light: its 300 queries are the brightest of
    20×20 blocks of the picture, each a box of its block; the brighter, the surer a "person"."""
    cells, queries = 20, 300
    nodes = [
        helper.make_node("AveragePool", ["pixel_values"], ["blocks"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("ReduceMean", ["blocks"], ["grey"], axes=[1], keepdims=0),
        helper.make_node("Reshape", ["grey", "flat"], ["row"]),
        helper.make_node("TopK", ["row", "queries"], ["values", "places"], axis=-1),
        helper.make_node("Mod", ["places", "cells"], ["column"]),
        helper.make_node("Div", ["places", "cells"], ["line"]),
        *(helper.make_node("Cast", [name], [f"{name}_real"], to=TensorProto.FLOAT) for name in ("column", "line")),
        *(helper.make_node("Add", [f"{name}_real", "half"], [f"{name}_middle"]) for name in ("column", "line")),
        *(helper.make_node("Div", [f"{name}_middle", "cells_real"], [f"{name}_part"]) for name in ("column", "line")),
        helper.make_node("Mul", ["column_part", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "side"], ["sides"]),
        *(
            helper.make_node("Unsqueeze", [name, "last"], [f"{name}_4"])
            for name in ("column_part", "line_part", "sides")
        ),
        helper.make_node("Concat", ["column_part_4", "line_part_4", "sides_4", "sides_4"], ["pred_boxes"], axis=-1),
        helper.make_node("Mul", ["values", "gain"], ["amplified"]),
        helper.make_node("Add", ["amplified", "bias"], ["sure"]),
        helper.make_node("Unsqueeze", ["sure", "last"], ["sure_1"]),
        helper.make_node("Pad", ["sure_1", "others", "low"], ["logits"]),
    ]
    constants: Mapping[str, Any] = {
        "flat": np.array([-1, cells * cells]),
        "queries": np.array([queries]),
        "cells": np.array([cells]),
        "cells_real": np.float32(cells),
        "half": np.float32(0.5),
        "zero": np.float32(0),
        "side": np.float32(1 / cells),
        "last": np.array([2]),
        "gain": np.float32(20),
        "bias": np.float32(-10),
        "others": np.array([0, 0, 0, 0, 0, len(COCO_80) - 1]),
        "low": np.float32(-10),
    }
    graph = helper.make_graph(
        nodes,
        "light",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["N", 3, 640, 640])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", queries, len(COCO_80)]),
            helper.make_tensor_value_info("pred_boxes", TensorProto.FLOAT, ["N", queries, 4]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def detr_manifest(**outputs: str) -> ModelManifest:
    entry = {"name": "pixel_values", "layout": "nchw", "width": 640, "height": 640, "deviation": (255.0,)}
    return manifest("detr", outputs, COCO_80, **entry)


def test_rt_detr_from_a_picture_to_findings() -> None:
    picture = np.zeros((640, 640, 3), dtype=np.uint8)
    picture[64:96, 320:352] = 255
    picture[608:640, 0:32] = 200
    model = detr_manifest(logits="logits", boxes="pred_boxes")
    levels = ((picture - np.array(model.input.mean)) / np.array(model.input.deviation)).astype(np.float32)
    outputs = run(detr_graph(), {"pixel_values": levels.transpose(2, 0, 1)[None]})
    reader = reader_for(model)
    assert reader.further_inputs(3) == {}
    reader.check({name: ("N", *array.shape[1:]) for name, array in outputs.items()})
    bright, dim = reader.read({name: array[0] for name, array in outputs.items()}, WHOLE, 0.5)
    assert (bright.label, dim.label) == ("person", "person")
    assert bright.score > 0.999 > dim.score
    assert near(bright.box, 0.5, 0.1, 0.55, 0.15)
    assert near(dim.box, 0.0, 0.95, 0.05, 1.0)


def test_rt_detr_as_its_authors_export_it() -> None:
    reader = reader_for(detr_manifest(labels="labels", boxes="boxes", scores="scores"))
    sizes = reader.further_inputs(2)["orig_target_sizes"]
    assert sizes.dtype == np.int64
    assert sizes.tolist() == [[640, 640], [640, 640]]
    reader.check({"labels": ("N", 300), "boxes": ("N", 300, 4), "scores": ("N", 300)})
    outputs = {
        "labels": np.array([2, 0, 99, -1]),
        "boxes": np.array([[64, 0, 128, 640], [0, 0, 640, 320], [0, 0, 9, 9], [0, 0, 9, 9]], dtype=np.float32),
        "scores": np.array([0.6, 0.9, 0.99, 0.99], dtype=np.float32),
    }
    person, car = reader.read(outputs, WHOLE, 0.5)
    assert (person.label, car.label) == ("person", "car")
    assert near(car.box, 0.1, 0.0, 0.2, 1.0)


def test_an_autoencoder_says_how_unusual_the_picture_is_and_where() -> None:
    reader = reader_for(manifest("autoencoder", {"score": "s", "cells": "c"}, ("unusual",)))
    reader.check({"s": ("N",), "c": ("N", 8, 12)})
    cells = np.full((8, 12), 0.1, dtype=np.float32)
    cells[2, 3], cells[3, 6], cells[7, 11] = 0.5, 0.9, np.nan
    right_half = Placement(Box(0.5, 0.0, 1.0, 1.0))
    for placement, sides in ((WHOLE, (3 / 12, 2 / 8, 7 / 12, 4 / 8)), (right_half, (0.625, 0.25, 19 / 24, 0.5))):
        (found,) = reader.read({"s": np.array(0.9, dtype=np.float32), "c": cells}, placement, 0.5)
        assert (found.label, round(found.score, 3)) == ("unusual", 0.9)
        assert near(found.box, *sides)


def test_an_autoencoder_tells_of_usual_pictures_too() -> None:
    reader = reader_for(manifest("autoencoder", {"score": "s", "cells": "c"}))
    cells = np.full((8, 12), 0.2, dtype=np.float32)
    for score, told in ((0.2, 0.2), (-1.0, 0.0), (7.0, 1.0)):
        (found,) = reader.read({"s": np.array(score, dtype=np.float32), "c": cells}, WHOLE, 0.5)
        assert (found.label, round(found.score, 3)) == ("unusual", told)
        assert near(found.box, 0, 0, 1, 1)
    for score in (np.nan, np.inf):
        assert reader.read({"s": np.array(score, dtype=np.float32), "c": cells}, WHOLE, 0.5) == ()


BAD: list[tuple[ModelManifest, dict[str, tuple[int | str | None, ...]], str]] = [
    (manifest("ssd", {"boxes": "b", "scores": "s"}, COCO_90), {"b": ("N", 1917, 5), "s": ("N", 1917, 90)}, "'b'"),
    (manifest("ssd", {"boxes": "b", "scores": "s"}, COCO_90), {"b": ("N", 1917, 4), "s": ("N", 1917, 91)}, "'s'"),
    (manifest("ssd", {"boxes": "b", "scores": "s"}, COCO_90), {"b": ("N", 1917, 4), "s": ("N", 1916, 90)}, "'s'"),
    (manifest("ssd", {"boxes": "b", "scores": "s"}, COCO_90), {"b": ("N", 1917, 4)}, "'s'"),
    (manifest("ssd", {"boxes": "b", "scores": "s"}, COCO_90), {}, "'b'"),
    (manifest("nanodet", {}, LABELS), {}, "no outputs"),
    (manifest("nanodet", {}, LABELS), {"s": (1, 64, 3), "b": (1, 64, 31)}, "'b'"),
    (manifest("nanodet", {}, LABELS), {"s": (1, 64, 3), "b": (1, 63, 32)}, "'b'"),
    (manifest("nanodet", {}, LABELS), {"s": (1, 64, 3)}, "'s'"),
    (manifest("nanodet", {}, LABELS), {"s": (1, 64, 3), "b": ("N", "M", 32)}, "'b'"),
    (manifest("nanodet", {}, LABELS), {"s": (1, 64, 3), "t": (1, 64, 3), "b": (1, 64, 32)}, "'t'"),
    (manifest("nanodet", {"s": "s", "b": "b"}, LABELS), {"s": (1, 64, 3)}, "'b'"),
    (manifest("blazeface", {"faces": "f"}), {"f": (1, 2305, 17)}, "'f'"),
    (manifest("blazeface", {"faces": "f"}), {"f": (1, 2304, 16)}, "'f'"),
    (manifest("blazeface", {"scores": "s", "boxes": "b"}), {"s": (1, 512, 1), "b": (1, 384, 16)}, "'b'"),
    (manifest("embedding", {"vector": "v"}), {"v": (1, 2, 128)}, "'v'"),
    (manifest("movenet", {"points": "p"}), {"p": (1, 6, 56)}, "'p'"),
    (detr_manifest(), {"logits": ("N", 300, 91), "pred_boxes": ("N", 300, 4)}, "'logits'"),
    (detr_manifest(), {"logits": ("N", 300, 80), "pred_boxes": ("N", 4)}, "'pred_boxes'"),
    (detr_manifest(boxes="b", scores="s", labels="l"), {"b": (1, 300, 4), "s": (1, 300), "l": (1, 299)}, "'l'"),
    (manifest("autoencoder", {"score": "s", "cells": "c"}), {"s": ("N", 1), "c": ("N", 8, 12)}, "'s'"),
    (manifest("autoencoder", {"score": "s", "cells": "c"}), {"s": ("N",), "c": ("N", 12, 8)}, "'c'"),
    (manifest("autoencoder", {"score": "s", "cells": "c"}), {"s": ("N",)}, "'c'"),
    (manifest("yolo_world", {"boxes": "b", "scores": "s"}, LABELS), {"b": (1, 4, 80), "s": (1, 80, 3)}, "'b'"),
]


@pytest.mark.parametrize(("model", "outputs", "named"), BAD)
def test_outputs_of_another_shape_are_refused(
    model: ModelManifest, outputs: dict[str, tuple[int | str | None, ...]], named: str
) -> None:
    with pytest.raises(Failure, match=named) as caught:
        reader_for(model).check(outputs)
    assert caught.value.kind == "malformed"


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"nanodet", "detr"}))
def test_a_manifest_that_does_not_name_the_outputs_is_refused(reader: Any) -> None:
    with pytest.raises(Failure, match="tried names no output"):
        reader_for(manifest(reader, {}))


def test_a_model_whose_outputs_are_not_read_here_is_refused() -> None:
    with pytest.raises(Failure, match=r"tried \(ocr\)") as caught:
        reader_for(manifest("ocr", {}))
    assert caught.value.kind == "unsupported"


def test_findings_can_be_told_to_others_as_json() -> None:
    reader = reader_for(manifest("ssd", {"boxes": "b", "scores": "s"}, LABELS))
    outputs = {"b": np.array([[0.1, 0.2, 0.5, 0.6]], dtype=np.float32), "s": np.array([[0.7, 0, 0]], dtype=np.float32)}
    (found,) = reader.read(outputs, WHOLE, 0.5)
    assert isinstance(found, Finding)
    assert json.loads(json.dumps([found.score, found.box.left]))


def test_a_flood_of_candidates_gives_few_findings() -> None:
    reader = reader_for(manifest("ssd", {"boxes": "b", "scores": "s"}, COCO_90))
    place = np.arange(1917)[:, None] / 1917
    boxes = np.concatenate([place, place, place + 1e-4, place + 1e-4], axis=1)
    found = reader.read({"b": boxes, "s": np.full((1917, 90), 0.9, dtype=np.float32)}, WHOLE, 0.0)
    assert len(found) == 300
