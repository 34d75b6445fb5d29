"""BlazeFace (arXiv 1907.05047): faces with six marks (right eye, left eye, nose, mouth, right ear, left ear)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.adapters.inference.outputs import Shape, logistic, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.adapters.inference.suppression import candidates, findings
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

_OVERLAP = 0.3
_LABELS = ("face",)
# Of a face, after its score: middle, size, six marks.
_NUMBERS = 16
# How many places a row of numbers can stand for → grids of cells (a side, faces in a cell), in MediaPipe's models.
_GRIDS = {
    2304: ((48, 1),),
    896: ((16, 2), (8, 6)),
    512: ((16, 2),),
    384: ((8, 6),),
}


class BlazefaceReader:
    """Role faces: N×A×17, or several (faces_1, …); or pairs of scores… N×A×1 and boxes… N×A×16. Scores are logits;
    boxes and marks are in pixels of the input from the middle of their cell."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        roles = manifest.outputs
        self._faces = [name for role, name in sorted(roles.items()) if role.startswith("faces")]
        self._pairs = [
            (name, named(manifest, role.replace("scores", "boxes", 1)))
            for role, name in sorted(roles.items())
            if role.startswith("scores")
        ]
        if not self._faces and not self._pairs:
            raise Failure("malformed", f"the manifest of {manifest.name} names no output for 'faces'")

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        for name in self._faces:
            require(self._manifest, outputs, name, *((places, 1 + _NUMBERS) for places in _GRIDS))
        for scores, boxes in self._pairs:
            shape = require(self._manifest, outputs, scores, *((places, 1) for places in _GRIDS))
            require(self._manifest, outputs, boxes, (shape[1] if isinstance(shape[1], int) else None, _NUMBERS))

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        tables = [outputs[name] for name in self._faces]
        tables += [np.concatenate([outputs[scores], outputs[boxes]], axis=1) for scores, boxes in self._pairs]
        centres = np.concatenate([_centres(len(table)) for table in tables])
        table = np.concatenate(tables)
        rows, columns, values = candidates(logistic(table[:, :1]), _LABELS, least_score)
        size = np.array([self._manifest.input.width, self._manifest.input.height], dtype=np.float64)
        pairs = table[rows, 1:].reshape(len(rows), _NUMBERS // 2, 2) / size
        middle, half, points = centres[rows] + pairs[:, 0], pairs[:, 1] / 2, centres[rows, None] + pairs[:, 2:]
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        return findings(boxes, columns, values, _LABELS, placement, _OVERLAP, points)


def _centres(places: int) -> NDArray[Any]:
    """The middle of each place's cell, as fractions."""
    parts = []
    for side, each in _GRIDS[places]:
        down, across = np.divmod(np.arange(side * side), side)
        parts.append(np.repeat((np.stack([across, down], axis=1) + 0.5) / side, each, axis=0))
    return np.concatenate(parts)
