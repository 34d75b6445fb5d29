"""Areas, lines and planes in the picture. Places are fractions of the picture; distances are in heights of the picture,
so that they are the same in all directions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vms.domain.motion import Box
from vms.domain.shapes import Place, turn

# Somebody whose box ends with the picture stands in the last row, not below it.
_LAST = 1 - 1e-6
# How far the lower edge of a box jitters: a share of its height, within bounds for what is tiny or fills the picture.
_JITTER = 0.1
_LEAST_MARGIN = 0.008
_MOST_MARGIN = 0.05
# Nearer to the horizon a row of the picture is farther than anything can be seen: how deep, of the middle's depth.
_HORIZON = 1e-3


class Area:
    """A polygon that places are in or not."""

    def __init__(self, polygon: Sequence[Place]) -> None:
        self._sides = tuple(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
        self._left = min(x for x, _ in polygon)
        self._right = max(x for x, _ in polygon)
        self._top = min(y for _, y in polygon)
        self._bottom = max(y for _, y in polygon)

    def contains(self, x: float, y: float) -> bool:
        """By the even-odd rule."""
        x, y = min(max(x, 0.0), _LAST), min(max(y, 0.0), _LAST)
        if x < self._left or x > self._right or y < self._top or y > self._bottom:
            return False
        inside = False
        for (x0, y0), (x1, y1) in self._sides:
            if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                inside = not inside
        return inside

    def distance(self, x: float, y: float, aspect: float) -> float:
        """To its outline."""
        return min(distance_to_segment(x, y, a, b, aspect) for a, b in self._sides)


def distance_to_segment(x: float, y: float, a: Place, b: Place, aspect: float) -> float:
    """From a place to the nearest of a segment."""
    along_x, along_y = (b[0] - a[0]) * aspect, b[1] - a[1]
    to_x, to_y = (x - a[0]) * aspect, y - a[1]
    length_squared = along_x * along_x + along_y * along_y
    share = (to_x * along_x + to_y * along_y) / length_squared if length_squared else 0.0
    share = min(max(share, 0.0), 1.0)
    return math.hypot(to_x - share * along_x, to_y - share * along_y)


def margin(box: Box) -> float:
    """How far from an edge the foot of a box has to be before it is on one side for certain."""
    return min(max(_JITTER * (box.bottom - box.top), _LEAST_MARGIN), _MOST_MARGIN)


def crossing(a: Place, b: Place, before: Place, now: Place) -> int:
    """Whether the way from `before` to `now` goes over the segment from a to b: 1 from left to right, as seen going
    from a to b, -1 from right to left, else 0.

    What lies on a line counts as left of it, everywhere alike: so a way through a corner of a line crosses one of the
    sides that meet there, and a way in two steps crosses what the way in one step would.
    """
    was_right, is_right = turn(a, b, before) > 0, turn(a, b, now) > 0
    if was_right == is_right:
        return 0
    # The way back is the same way.
    one, other = (before, now) if before < now else (now, before)
    if (turn(one, other, a) > 0) == (turn(one, other, b) > 0):
        return 0
    return 1 if is_right else -1


def overlap(one: Box, other: Box) -> float:
    """What two boxes share of what they cover together, 0–1."""
    common = common_area(one, other)
    if common <= 0:
        return 0.0
    return common / (box_area(one) + box_area(other) - common)


def common_area(one: Box, other: Box) -> float:
    """What two boxes share."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return width * height if width > 0 and height > 0 else 0.0


def box_area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


class Plane:
    """The ground, by four places in the picture that are known on it in metres."""

    def __init__(self, corners: Sequence[Place], metres: Sequence[Place]) -> None:
        # From their middle: it is before the camera for certain, where the horizon is not.
        self._x = sum(x for x, _ in corners) / len(corners)
        self._y = sum(y for _, y in corners) / len(corners)
        rows, values = [], []
        for (left, top), (east, north) in zip(corners, metres, strict=True):
            x, y = left - self._x, top - self._y
            rows += [
                [x, y, 1, 0, 0, 0, -east * x, -east * y],
                [0, 0, 0, x, y, 1, -north * x, -north * y],
            ]
            values += [east, north]
        solved = np.linalg.solve(np.array(rows, dtype=np.float64), np.array(values, dtype=np.float64))
        self._matrix = tuple(float(value) for value in solved)

    def place(self, x: float, y: float) -> Place | None:
        """In metres; none for what lies above the horizon."""
        a, b, c, d, e, f, g, h = self._matrix
        x, y = x - self._x, y - self._y
        depth = g * x + h * y + 1
        if depth <= _HORIZON:
            return None
        return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
