"""In what scale auto-encoders see a picture."""

from __future__ import annotations

# Pixels; and of the cells in which errors are summed.
WIDTH = 96
HEIGHT = 64
CELL_PX = 8
# Grey levels that a picture's deviation is taken for at least: the noise of a dark picture is not its content.
LEAST_DEVIATION = 2.0
