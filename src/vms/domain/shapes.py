"""Points, segments and polygons: what makes a drawn shape a shape. Any units; y grows downwards as in pictures."""

from __future__ import annotations

from collections.abc import Sequence

Place = tuple[float, float]


def turn(a: Place, b: Place, p: Place) -> float:
    """Twice the area of a, b, p: positive where p lies to the right of the way from a to b, as seen in the picture."""
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def area(polygon: Sequence[Place]) -> float:
    """Of a polygon that does not cross itself."""
    doubled = 0.0
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        doubled += x0 * y1 - x1 * y0
    return abs(doubled) / 2


def crosses_itself(points: Sequence[Place], *, closed: bool) -> bool:
    """Whether a line, or with `closed` the outline of a polygon, touches itself other than where its sides join.

    A line may end where it began.
    """
    corners = [point for at, point in enumerate(points) if at == 0 or point != points[at - 1]]
    if closed and len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    sides = list(zip(corners, [*corners[1:], corners[0]] if closed else corners[1:], strict=False))
    for first in range(len(sides)):
        for second in range(first + 1, len(sides)):
            a, b = sides[first]
            c, d = sides[second]
            if second == first + 1:
                if _folds_back(a, b, d):
                    return True
            elif first == 0 and second == len(sides) - 1 and d == a:
                if _folds_back(c, a, b):
                    return True
            elif _touch(a, b, c, d):
                return True
    return False


def is_convex(polygon: Sequence[Place]) -> bool:
    """Whether all corners turn the same way, and none is straight."""
    count = len(polygon)
    turns = [turn(polygon[at], polygon[(at + 1) % count], polygon[(at + 2) % count]) for at in range(count)]
    return (all(value > 0 for value in turns) or all(value < 0 for value in turns)) and not crosses_itself(
        polygon, closed=True
    )


def _folds_back(a: Place, b: Place, c: Place) -> bool:
    """Whether the way from b to c runs back over the way from a to b."""
    return turn(a, b, c) == 0 and (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0


def _touch(a: Place, b: Place, c: Place, d: Place) -> bool:
    """Whether two segments have a point in common."""
    sides = turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
    if (sides[0] > 0) != (sides[1] > 0) and (sides[2] > 0) != (sides[3] > 0) and 0 not in sides:
        return True
    return (
        (sides[0] == 0 and _between(a, b, c))
        or (sides[1] == 0 and _between(a, b, d))
        or (sides[2] == 0 and _between(c, d, a))
        or (sides[3] == 0 and _between(c, d, b))
    )


def _between(a: Place, b: Place, p: Place) -> bool:
    """Whether p, on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])
