"""Single-shot detectors whose graph gives decoded boxes: coco-ssd (TensorFlow's object detection models)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vms.adapters.inference.outputs import Shape, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.adapters.inference.suppression import candidates, findings
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

# Which the models' own post-processing uses.
_OVERLAP = 0.5
# ymin, xmin, ymax, xmax.
_SIDES = [1, 0, 3, 2]


class SsdReader:
    """boxes N×A×1×4 or N×A×4: ymin, xmin, ymax, xmax as fractions; scores N×A×labels, 0–1."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._boxes, self._scores = named(manifest, "boxes"), named(manifest, "scores")

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        boxes = require(self._manifest, outputs, self._boxes, (None, 1, 4), (None, 4))
        anchors = boxes[1] if isinstance(boxes[1], int) else None
        require(self._manifest, outputs, self._scores, (anchors, len(self._manifest.labels)))

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        boxes = outputs[self._boxes].reshape(-1, 4)
        rows, columns, values = candidates(np.asarray(outputs[self._scores]), self._manifest.labels, least_score)
        return findings(boxes[rows][:, _SIDES], columns, values, self._manifest.labels, placement, _OVERLAP)
