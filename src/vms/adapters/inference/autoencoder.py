"""A camera's auto-encoder: how unlike the picture is to what was learned, and where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vms.adapters.inference.outputs import Shape, named, require
from vms.adapters.inference.placement import Placement, Tensors
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

ROWS = 8
COLUMNS = 12
# The score at the threshold that training found; of a cell as of the picture.
_UNUSUAL = 0.5


class AutoencoderReader:
    """Roles score: N, and cells: N×8×12, 0–1. Always one finding, also of a usual picture, whatever the least score:
    that something is over is told by those. Its box is around the cells that are unusual, or the whole picture."""

    def __init__(self, manifest: ModelManifest) -> None:
        self._manifest = manifest
        self._score = named(manifest, "score")
        self._cells = named(manifest, "cells")
        self._label = manifest.labels[0] if manifest.labels else "unusual"

    def further_inputs(self, _count: int) -> Tensors:
        return {}

    def check(self, outputs: Mapping[str, Shape]) -> None:
        require(self._manifest, outputs, self._score, ())
        require(self._manifest, outputs, self._cells, (ROWS, COLUMNS))

    def read(self, outputs: Tensors, placement: Placement, _least_score: float) -> tuple[Finding, ...]:
        score = float(outputs[self._score])
        if not np.isfinite(score):
            return ()
        # NaN is not unusual.
        rows, columns = np.nonzero(outputs[self._cells] >= _UNUSUAL)
        box = None
        if rows.size:
            left, right = int(columns.min()) / COLUMNS, (int(columns.max()) + 1) / COLUMNS
            top, bottom = int(rows.min()) / ROWS, (int(rows.max()) + 1) / ROWS
            box = placement.box(left, top, right, bottom)
        return (Finding(self._label, min(1.0, max(0.0, score)), box or placement.region),)
