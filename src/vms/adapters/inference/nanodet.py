"""NanoDet: per grid of cells, a score for each label and, for each side of a box, how likely it is so far away
(generalised focal loss, arXiv 2006.04388)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.adapters.inference.outputs import Shape
from vms.adapters.inference.placement import Placement, Tensors
from vms.adapters.inference.suppression import candidates, findings
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

_OVERLAP = 0.6
_STRIDES_PX = (4, 8, 16, 32, 64, 128)


class NanodetReader:
    """For each grid of H×W cells, scores N×(H·W)×labels, 0–1, and distances N×(H·W)×(4·bins). Which is which, and the
    cells' size, tell from the shapes; the manifest's `outputs` says which outputs these are, all when it is empty."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._names = tuple(manifest.outputs.values())

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        pairs = self._pairs({name: shape[1:] for name, shape in outputs.items()})
        for rows, (scores, distances) in pairs.items():
            if not scores or not distances:
                raise self._failure(scores or distances, f"stands alone among the outputs with {rows} rows")

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        boxes, columns, scores = [], [], []
        for rows, (score_name, distance_name) in self._pairs({n: array.shape for n, array in outputs.items()}).items():
            cells, labels, values = candidates(outputs[score_name], self._manifest.labels, least_score)
            boxes.append(self._boxes(outputs[distance_name][cells], cells, self._stride_px(rows)))
            columns.append(labels)
            scores.append(values)
        all_scores = np.concatenate(scores)
        best = np.argsort(-all_scores, kind="stable")
        all_boxes, all_columns = np.concatenate(boxes)[best], np.concatenate(columns)[best]
        return findings(all_boxes, all_columns, all_scores[best], self._manifest.labels, placement, _OVERLAP)

    def _boxes(self, distances: NDArray[Any], cells: NDArray[np.intp], stride_px: int) -> NDArray[Any]:
        """As fractions of the input."""
        entry = self._manifest.input
        across = math.ceil(entry.width / stride_px)
        centres = np.stack([cells % across, cells // across], axis=1) * stride_px + stride_px / 2
        bins = distances.reshape(len(cells), 4, distances.shape[1] // 4).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            likely = np.exp(bins - bins.max(axis=2, keepdims=True))
            expected = (likely @ np.arange(bins.shape[2], dtype=np.float32)) / likely.sum(axis=2) * stride_px
        corners = np.concatenate([centres - expected[:, :2], centres + expected[:, 2:]], axis=1)
        return np.asarray(corners / np.array([entry.width, entry.height] * 2))

    def _pairs(self, shapes: Mapping[str, Shape]) -> dict[int, tuple[str, str]]:
        """Rows → outputs with its scores and its distances. Raises Failure(malformed)."""
        pairs: dict[int, tuple[str, str]] = {}
        for name in self._names or tuple(shapes):
            if name not in shapes:
                raise self._failure(name, "is missing")
            sizes = [size for size in shapes[name] if isinstance(size, int)]
            if len(sizes) != 2 or len(shapes[name]) != 2:
                raise self._failure(name, f"has the shape {shapes[name]} for a picture, and (cells, numbers) is wanted")
            rows, width = sizes
            self._stride_px(rows, name)
            scores, distances = pairs.get(rows, ("", ""))
            if width == len(self._manifest.labels) and not scores:
                pairs[rows] = name, distances
            elif width % 4 == 0 and width >= 8 and not distances:
                pairs[rows] = scores, name
            else:
                raise self._failure(name, f"has {width} numbers for a cell: neither scores nor distances")
        if not pairs:
            raise Failure("malformed", f"{self._manifest.name} has no outputs")
        return pairs

    def _stride_px(self, rows: int, name: str = "") -> int:
        entry = self._manifest.input
        for stride_px in _STRIDES_PX:
            if math.ceil(entry.width / stride_px) * math.ceil(entry.height / stride_px) == rows:
                return stride_px
        raise self._failure(name, f"has {rows} rows, which no grid on {entry.width}×{entry.height} pixels has")

    def _failure(self, name: str, what: str) -> Failure:
        return Failure("malformed", f"output {name!r} of {self._manifest.name} {what}")
