"""Made scenes to learn from and to be judged: a street whose light changes slowly, with noise, and something that moves
in its lane, or where nothing ever is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH = 96
HEIGHT = 64
_LANE_TOP = 40


class Street:
    """The same seed shows the same street."""

    def __init__(self, seed: int, *, noise_levels: float = 4.0) -> None:
        self._random = np.random.default_rng(seed)
        self._noise_levels = noise_levels
        coarse = self._random.uniform(40, 200, (8, 12)).astype(np.float32)
        self._ground = np.kron(coarse, np.ones((8, 8), dtype=np.float32))
        self._nth = 0

    def normal(self, count: int) -> NDArray[np.uint8]:
        """Pictures in order: every second shows something in the lane."""
        return np.array([self._picture(in_lane=nth % 2 == 0) for nth in range(count)])

    def unusual(self, count: int, *, size_px: int = 10) -> NDArray[np.uint8]:
        """As ever, and something above the lane."""
        pictures = []
        for _ in range(count):
            at = (int(self._random.integers(2, 24)), int(self._random.integers(2, WIDTH - size_px - 2)))
            pictures.append(self._picture(in_lane=True, thing=(*at, size_px)))
        return np.array(pictures)

    def lit(self, picture: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
        """The same picture in other light."""
        lit: NDArray[np.uint8] = np.clip(picture.astype(np.float32) * factor, 0, 255).astype(np.uint8)
        return lit

    def _picture(self, *, in_lane: bool, thing: tuple[int, int, int] | None = None) -> NDArray[np.uint8]:
        self._nth += 1
        light = 1 + 0.25 * np.sin(self._nth / 150)
        # The sun wanders: one side gets a little brighter.
        side = 1 + 0.08 * np.sin(self._nth / 200) * np.linspace(-1, 1, WIDTH, dtype=np.float32)
        picture = self._ground * np.float32(light) * side[np.newaxis, :]
        if in_lane:
            left = int(self._random.integers(0, WIDTH - 8))
            picture[_LANE_TOP : _LANE_TOP + 14, left : left + 8] = self._random.uniform(20, 230)
        if thing is not None:
            top, left, size = thing
            patch = picture[top : top + size, left : left + size]
            patch[:] = np.where(patch > 120, patch - 70, patch + 70)
        picture += self._random.normal(0, self._noise_levels, picture.shape).astype(np.float32)
        shown: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
        return shown
