"""Boxes as arrays, and how much they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.adapters.evaluation.truth import Seen

Array = NDArray[Any]


def overlaps(a: Sequence[Seen], b: Sequence[Seen]) -> Array:
    """Intersection over union of each of `a` (rows) with each of `b` (columns)."""
    left, right = _corners(a)[:, None], _corners(b)[None, :]
    sides = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    both = np.prod(np.maximum(sides, 0.0), axis=2)
    areas = _areas(left) + _areas(right) - both
    return np.asarray(np.divide(both, areas, out=np.zeros_like(both), where=areas > 0))


def _corners(seen: Sequence[Seen]) -> Array:
    boxes = [(one.box.left, one.box.top, one.box.right, one.box.bottom) for one in seen]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _areas(corners: Array) -> Array:
    return np.asarray(np.prod(corners[..., 2:] - corners[..., :2], axis=-1))
