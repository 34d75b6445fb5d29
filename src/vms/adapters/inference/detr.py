"""RT-DETR, in both of its exports. Neither needs overlapping boxes put out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vms.adapters.inference.outputs import Shape, logistic, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.adapters.inference.suppression import candidates, findings, labelled
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

SIZES_INPUT = "orig_target_sizes"


class DetrReader:
    """Hugging Face's export: role logits N×Q×labels, role boxes N×Q×4: middle, width and height as fractions.

    The authors' export, told by the roles labels and scores (N×Q): boxes N×Q×4 are left, top, right, bottom in pixels
    of the size in `orig_target_sizes` (width, height), for which the input's own is given."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._ready = "scores" in manifest.outputs
        if self._ready:
            self._boxes = named(manifest, "boxes")
            self._scores, self._labels = named(manifest, "scores"), named(manifest, "labels")
        else:
            self._boxes, self._logits = named(manifest, "boxes", "pred_boxes"), named(manifest, "logits", "logits")

    def further_inputs(self, count: int) -> Tensors:
        if not self._ready:
            return {}
        entry = self._manifest.input
        return {SIZES_INPUT: np.array([[entry.width, entry.height]] * count, dtype=np.int64)}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        boxes = require(self._manifest, outputs, self._boxes, (None, 4))
        queries = boxes[1] if isinstance(boxes[1], int) else None
        if self._ready:
            require(self._manifest, outputs, self._scores, (queries,))
            require(self._manifest, outputs, self._labels, (queries,))
        else:
            require(self._manifest, outputs, self._logits, (queries, len(self._manifest.labels)))

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        labels, boxes = self._manifest.labels, outputs[self._boxes].astype(np.float64)
        if self._ready:
            columns = outputs[self._labels]
            rows, columns, scores = labelled(outputs[self._scores], columns, labels, least_score)
            return findings((boxes / self._size())[rows], columns, scores, labels, placement, None)
        rows, columns, scores = candidates(logistic(outputs[self._logits]), labels, least_score)
        with np.errstate(over="ignore", invalid="ignore"):
            middle, half = boxes[rows, :2], boxes[rows, 2:] / 2
            corners = np.concatenate([middle - half, middle + half], axis=1)
        return findings(corners, columns, scores, labels, placement, None)

    def _size(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([self._manifest.input.width, self._manifest.input.height] * 2, dtype=np.float64)
