"""Average precision as COCO defines it, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vms.adapters.evaluation.truth import Clip, Seen
from vms.domain.errors import Failure


@dataclass(frozen=True)
class DetectionScores:
    """ap: mean over the overlaps 0.50, 0.55, … 0.95; ap50, ap75: at that overlap; recall50: how many are found at 0.5
    at all, at whatever score."""

    ap: float
    ap50: float
    ap75: float
    recall50: float


def score_detection(
    clip: Clip, truth: Mapping[int, Sequence[Seen]], found: Mapping[int, Sequence[Seen]]
) -> DetectionScores:
    """Over the pictures in `truth`. Raises Failure(unavailable) where the library is not installed."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        detail = "average precision needs faster-coco-eval: pip install vms[evaluation]"
        raise Failure("unavailable", detail) from error
    annotations = [
        {
            "id": 0,
            "image_id": frame,
            "category_id": 1,
            "bbox": (box := _pixels(clip, seen)),
            "area": box[2] * box[3],
            "iscrowd": int(seen.is_ignored),
        }
        for frame, every in truth.items()
        for seen in every
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    results = [
        {"image_id": frame, "category_id": 1, "bbox": _pixels(clip, seen), "score": seen.score}
        for frame in truth
        for seen in found.get(frame, ())
    ]
    if not results:
        return DetectionScores(0.0, 0.0, 0.0, 0.0)
    document = {
        "info": {},
        "images": [{"id": frame, "width": clip.width, "height": clip.height} for frame in truth],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing"}],
    }
    expected = COCO(document)
    evaluation = COCOeval_faster(expected, expected.loadRes(results), "bbox", print_function=_silence, extra_calc=False)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    # Recall at the first overlap (0.5), of all sizes, with the most findings a picture.
    recall50 = float(evaluation.eval["recall"][0, 0, 0, -1])
    stats = evaluation.stats
    return DetectionScores(float(stats[0]), float(stats[1]), float(stats[2]), recall50)


def _pixels(clip: Clip, seen: Seen) -> list[float]:
    box = seen.box
    return [
        box.left * clip.width,
        box.top * clip.height,
        (box.right - box.left) * clip.width,
        (box.bottom - box.top) * clip.height,
    ]


def _silence(*_: Any) -> None:
    """Its table is not wanted."""
