"""YOLO-World with its vocabulary written into the graph, exported to boxes and scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vms.adapters.inference.outputs import Shape, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.adapters.inference.suppression import candidates, findings, labelled
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

# Which the authors' configuration uses.
_OVERLAP = 0.7


class YoloWorldReader:
    """boxes N×A×4: left, top, right, bottom in pixels of the input; scores N×A×labels, 0–1. With the role labels (N×A,
    −1 where there is nothing), scores is N×A."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._boxes, self._scores = named(manifest, "boxes"), named(manifest, "scores")
        self._labels = manifest.outputs.get("labels")

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        boxes = require(self._manifest, outputs, self._boxes, (None, 4))
        places = boxes[1] if isinstance(boxes[1], int) else None
        if self._labels is None:
            require(self._manifest, outputs, self._scores, (places, len(self._manifest.labels)))
        else:
            require(self._manifest, outputs, self._scores, (places,))
            require(self._manifest, outputs, self._labels, (places,))

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        labels, entry = self._manifest.labels, self._manifest.input
        if self._labels is None:
            rows, columns, scores = candidates(outputs[self._scores], labels, least_score)
        else:
            rows, columns, scores = labelled(outputs[self._scores], outputs[self._labels], labels, least_score)
        boxes = outputs[self._boxes][rows].astype(np.float64) / np.array([entry.width, entry.height] * 2)
        return findings(boxes, columns, scores, labels, placement, _OVERLAP)
