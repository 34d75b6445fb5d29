"""What a face looks like as a direction in a space of many dimensions; alike where the angle is small."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vms.adapters.inference.outputs import Shape, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding


class EmbeddingReader:
    """Role vector: N×D. The finding is of the region that was looked at, labelled with the manifest's first label."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._vector = named(manifest, "vector")
        self._label = manifest.labels[0] if manifest.labels else "face"

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        require(self._manifest, outputs, self._vector, (None,))

    def read(self, outputs: Tensors, placement: Placement, _least_score: float) -> tuple[Finding, ...]:
        vector = outputs[self._vector].reshape(-1).astype(np.float64)
        largest = float(np.abs(vector).max(initial=0.0))
        # Written so that a NaN gives nothing.
        if not 0.0 < largest < np.inf:
            return ()
        unit = vector / largest
        unit /= np.linalg.norm(unit)
        return (Finding(self._label, 1.0, placement.region, vector=tuple(unit.tolist())),)
