"""What is known of a picture as a whole, taken from a small grey one."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from vms.domain.vision import Look

# Pictures are looked at in this width, in squares of so many pixels.
WIDTH_PX = 320
SQUARE_PX = 8
_MOST_ROWS = 120
# The cells of `Look.cells`.
CELL_COLUMNS, CELL_ROWS = 12, 8
# A square has changed when its mean differs by so many grey levels of 255, and by so many times what squares differ by.
_LEAST_LEVELS = 4.0
_NOISE_FACTOR = 5.0
# A picture is compared with one of about so long ago: what is slow moves less than that from one to the next.
_COMPARED_US = 1_000_000
_MOST_COMPARED = 32
# Squares that change so often are a clock in the picture, a lamp that blinks, a tree: after a minute they do not count.
_FLICKER_TAU_S = 60.0
_FLICKERS, _FLICKERS_NO_MORE = 0.6, 0.3
# After a longer pause all is new.
_LONGEST_PAUSE_US = 120_000_000

_Grey = NDArray[np.uint8]
_Level = NDArray[np.float32]


def height_for(width: int, height: int) -> int:
    """Rows of a picture of that shape when it is WIDTH_PX wide: whole squares."""
    return min(max(1, round(WIDTH_PX * height / max(1, width) / SQUARE_PX)), _MOST_ROWS) * SQUARE_PX


class Looker:
    """One camera's. Pictures are `height_for` × WIDTH_PX grey levels, in order of time."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, _Level]] = deque(maxlen=_MOST_COMPARED)
        self._flicker: _Level | None = None
        self._ignored: NDArray[np.bool_] | None = None
        self._last_us = 0
        self._averaging: dict[tuple[int, int], _Level] = {}

    def begin_anew(self) -> None:
        """What comes is another scene."""
        self._recent.clear()
        self._flicker = self._ignored = None

    def look(self, grey: _Grey, at_us: int) -> Look:
        """What is known of a picture."""
        levels = grey.astype(np.float32)
        squares = self._averages(levels, grey.shape[0] // SQUARE_PX, grey.shape[1] // SQUARE_PX)
        cells = self._averages(levels, CELL_ROWS, CELL_COLUMNS)
        across = np.abs(np.diff(levels, axis=1)).mean()
        down = np.abs(np.diff(levels, axis=0)).mean() if grey.shape[0] > 1 else 0.0
        return Look(
            brightness=round(float(levels.mean()) / 255, 4),
            contrast=round(float(levels.std()) / 255, 4),
            sharpness=round(float(across + down) / 2 / 255, 5),
            cells=tuple((cells / np.float32(255)).ravel().tolist()),
            activity=round(self._activity(squares, at_us), 4),
        )

    def _averages(self, levels: _Level, rows: int, columns: int) -> _Level:
        """Mean level of each of rows × columns parts."""
        down, across = self._matrix(rows, levels.shape[0]), self._matrix(columns, levels.shape[1])
        return np.asarray(down @ levels @ across.T, np.float32)

    def _matrix(self, parts: int, length: int) -> _Level:
        """Takes the mean of each part of so many pixels."""
        known = self._averaging.get((parts, length))
        if known is not None:
            return known
        made = np.zeros((parts, length), np.float32)
        for part in range(parts):
            begin = part * length // parts
            end = max((part + 1) * length // parts, begin + 1)
            made[part, begin:end] = 1 / (end - begin)
        self._averaging[parts, length] = made
        return made

    def _activity(self, squares: _Level, at_us: int) -> float:
        before = self._compared(squares, at_us)
        pause_s, self._last_us = (at_us - self._last_us) / 1e6, at_us
        self._recent.append((at_us, squares))
        if before is None:
            return 0.0
        difference = squares - before
        # Exposure and dusk move all alike.
        difference -= np.median(difference)
        size = np.abs(difference)
        changed = size > max(_LEAST_LEVELS, _NOISE_FACTOR * float(np.median(size)))
        if self._flicker is None or self._ignored is None or self._flicker.shape != squares.shape:
            self._flicker = np.zeros_like(squares)
            self._ignored = np.zeros(squares.shape, np.bool_)
        # As much as a minute, also where pictures are rare.
        share = np.float32(1 - np.exp(-min(pause_s, 5.0) / _FLICKER_TAU_S))
        self._flicker += share * (changed - self._flicker)
        self._ignored = np.where(self._ignored, self._flicker > _FLICKERS_NO_MORE, self._flicker > _FLICKERS)
        return float((changed & ~self._ignored).mean())

    def _compared(self, squares: _Level, at_us: int) -> _Level | None:
        """The picture to compare with: the oldest that is not too old, else the last."""
        recent = self._recent
        if recent and (
            recent[-1][1].shape != squares.shape or not -_COMPARED_US <= at_us - recent[-1][0] <= _LONGEST_PAUSE_US
        ):
            self.begin_anew()
        while len(recent) > 1 and at_us - recent[0][0] > _COMPARED_US:
            recent.popleft()
        return recent[0][1] if recent else None
