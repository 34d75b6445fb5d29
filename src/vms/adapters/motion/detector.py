"""Motion in grey pictures: what differs from a background that is learned all the time.

Per pixel a running mean and a running mean deviation; a pixel has changed when it differs from the mean by more than a
threshold over its own noise. Per cell of 8 × 8 pixels the share of changed pixels; cells that changed and have a
neighbour that did are where something moves. When nearly all cells change at once, the light did: learn anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vms.domain.motion import Box, MotionSettings, Sighting

CELL_PX = 8
# Pictures are looked at in this width.
WIDTH_PX = 320
# More cells than this at once are the light (or the camera was turned).
_GLOBAL_SHARE = 0.7
# Grey levels (of 255) that noise is taken for at first, and never below.
_FIRST_NOISE = 4.0
_LEAST_NOISE = 1.0
# How fast the background follows what is quiet, and what is not: a parked car is part of it after two minutes.
_QUIET_TAU_S = 8.0
_MOVING_TAU_S = 60.0
_NOISE_TAU_S = 10.0
# Until so much has been seen, nothing counts.
_LEARNING_S = 4.0
# A longer pause may have changed anything.
_LONGEST_PAUSE_S = 30.0

_Grey = NDArray[np.uint8]
_Level = NDArray[np.float32]
_Cells = NDArray[np.bool_]


def height_for(width: int, height: int) -> int:
    """Rows of a picture of that shape when it is WIDTH_PX wide: whole cells."""
    if width <= 0 or height <= 0:
        return 0
    return min(max(1, round(WIDTH_PX * height / width / CELL_PX)), 120) * CELL_PX


class Detector:
    """One camera's. Pictures are `height` × WIDTH_PX grey levels, of any height of whole cells, in order of time."""

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings
        weak = (100 - settings.sensitivity) / 99
        # Grey levels over the background, times the noise, share of a cell, and cells: from 100 to 1.
        self._least_levels = np.float32(6 + 34 * weak)
        self._noise_factor = np.float32(3.5 + 3.5 * weak)
        self._cell_share = 0.15 + 0.45 * weak
        self._least_cells_share = 0.001 + 0.03 * weak**2
        self._background: _Level | None = None
        self._noise: _Level | None = None
        self._allowed: _Cells | None = None
        self._seen_us = 0
        self._learning_until_us = 0
        self._learned = 0
        # How often everything changed at once.
        self.light_changes = 0

    def see(self, picture: _Grey, at_us: int) -> Sighting:
        """What moves in a picture."""
        levels = picture.astype(np.float32)
        pause_s = (at_us - self._seen_us) / 1e6
        background, noise = self._background, self._noise
        if (
            background is None
            or noise is None
            or background.shape != levels.shape
            or not 0 <= pause_s <= _LONGEST_PAUSE_S
        ):
            self._learn(levels, at_us)
            return Sighting(at_us)
        self._seen_us = at_us
        assert self._allowed is not None  # noqa: S101 (made with the background)
        difference = levels - background
        # Exposure and dusk move all pixels alike; a lamp moves most of them one way.
        low, middle, high = np.quantile(difference[::4, ::4], (1 - _GLOBAL_SHARE, 0.5, _GLOBAL_SHARE))
        lit = low > self._least_levels or high < -self._least_levels
        difference -= np.float32(middle)
        size = np.abs(difference)
        changed = size > np.maximum(self._least_levels, self._noise_factor * noise)
        cells = _per_cell(changed) > self._cell_share
        counted = cells & self._allowed
        allowed_count = max(1, int(self._allowed.sum()))
        if lit or counted.sum() > _GLOBAL_SHARE * allowed_count or cells.mean() > _GLOBAL_SHARE:
            self.light_changes += 1
            # Or the camera sees almost nothing and its noise is all there is: learn that too.
            noise += np.float32(0.3) * (np.minimum(size, np.float32(25)) - noise)
            self._learn(levels, at_us)
            return Sighting(at_us)
        self._follow(levels, size, changed, pause_s)
        moving = counted & _has_neighbour(counted)
        count = int(moving.sum())
        if at_us < self._learning_until_us or count < max(2, self._least_cells_share * allowed_count):
            return Sighting(at_us)
        return Sighting(at_us, round(count / allowed_count, 4), _box(moving))

    def _learn(self, levels: _Level, at_us: int) -> None:
        if self._allowed is None or self._background is None or self._background.shape != levels.shape:
            self._allowed = allowed_cells(self._settings.mask, levels.shape[0] // CELL_PX, levels.shape[1] // CELL_PX)
        self._background = levels
        if self._noise is None or self._noise.shape != levels.shape:
            self._noise = np.full_like(levels, _FIRST_NOISE)
        self._seen_us = at_us
        self._learning_until_us = at_us + int(_LEARNING_S * 1e6)
        self._learned = 1

    def _follow(self, levels: _Level, size: _Level, changed: NDArray[np.bool_], pause_s: float) -> None:
        assert self._background is not None and self._noise is not None  # noqa: S101
        self._learned += 1
        learning = self._seen_us < self._learning_until_us
        quiet, moving, known = (1 - np.exp(-pause_s / tau) for tau in (_QUIET_TAU_S, _MOVING_TAU_S, _NOISE_TAU_S))
        if learning:
            # The first pictures are averaged.
            quiet = moving = known = max(quiet, 1 / self._learned)
        share = np.where(changed, np.float32(moving), np.float32(quiet))
        self._background += share * (levels - self._background)
        # Leaves in the wind change again and again: what changes counts as noise too, but as little of it.
        share = np.where(changed, np.float32(moving), np.float32(known))
        self._noise += share * (np.minimum(size, np.float32(40)) - self._noise)
        np.maximum(self._noise, np.float32(_LEAST_NOISE), out=self._noise)


def _per_cell(changed: NDArray[np.bool_]) -> _Level:
    """The share of changed pixels of each cell."""
    rows, columns = changed.shape[0] // CELL_PX, changed.shape[1] // CELL_PX
    per_column = np.add.reduceat(changed, np.arange(0, columns * CELL_PX, CELL_PX), axis=1, dtype=np.uint8)
    sums = per_column.reshape(rows, CELL_PX, columns).sum(axis=1, dtype=np.float32)
    share: _Level = sums / np.float32(CELL_PX * CELL_PX)
    return share


def _has_neighbour(cells: _Cells) -> _Cells:
    """Whether any of the eight around a cell is set."""
    wide = np.pad(cells, 1)
    rows, columns = cells.shape
    found = np.zeros_like(cells)
    for down in range(3):
        for right in range(3):
            if (down, right) != (1, 1):
                found |= wide[down : down + rows, right : right + columns]
    return found


def _box(cells: _Cells) -> Box:
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    down, across = cells.shape
    return Box(
        left=round(float(columns[0]) / across, 4),
        top=round(float(rows[0]) / down, 4),
        right=round(float(columns[-1] + 1) / across, 4),
        bottom=round(float(rows[-1] + 1) / down, 4),
    )


def allowed_cells(mask: Sequence[Sequence[tuple[float, float]]], rows: int, columns: int) -> _Cells:
    """The cells whose centre lies in no polygon (even-odd rule)."""
    y = ((np.arange(rows) + 0.5) / rows)[:, np.newaxis]
    x = ((np.arange(columns) + 0.5) / columns)[np.newaxis, :]
    masked = np.zeros((rows, columns), dtype=np.bool_)
    for polygon in mask:
        inside = np.zeros((rows, columns), dtype=np.bool_)
        for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            if y0 == y1:
                continue
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        masked |= inside
    return ~masked
