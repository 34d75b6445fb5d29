"""MoveNet for one person: seventeen joints, in COCO's order (nose, eyes, ears, shoulders, elbows, wrists, hips, knees,
ankles; left before right)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vms.adapters.inference.outputs import Shape, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.adapters.inference.suppression import key_points
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

JOINTS = 17
# A joint below is guessed from the others: it says nothing of where the body ends.
_LEAST_JOINT_SCORE = 0.2


class MovenetReader:
    """Role points: N×1×17×3, of each joint y, x as fractions of the input, and a score. The finding's score is the mean
    of the joints'; its box is around the joints that are seen."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._points = named(manifest, "points")
        self._label = manifest.labels[0] if manifest.labels else "person"

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        require(self._manifest, outputs, self._points, (1, JOINTS, 3))

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        joints = outputs[self._points].reshape(JOINTS, 3).astype(np.float64)
        if not np.isfinite(joints).all():
            return ()
        points, scores = np.clip(joints[:, 1::-1], 0.0, 1.0), np.clip(joints[:, 2], 0.0, 1.0)
        score = float(scores.mean())
        seen = points[scores >= _LEAST_JOINT_SCORE]
        if score < least_score or len(seen) < 2:
            return ()
        box = placement.box(*seen.min(axis=0).tolist(), *seen.max(axis=0).tolist())
        if box is None:
            return ()
        return (Finding(self._label, score, box, key_points(points, scores, placement)),)
