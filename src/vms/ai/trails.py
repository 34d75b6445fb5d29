"""Where feet were in the last seconds, and how they move."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from vms.domain.shapes import Place

# Longer ago than that it does not tell how something moves now, unless there are too few pictures.
_WINDOW_US = 2_000_000
_LEAST_SAMPLES = 4
_MOST_SAMPLES = 64
# Unseen for longer: what is found then starts anew.
_LONGEST_GAP_US = 2_000_000
# How something moves is told over at least so long, from steps of at least so much.
_LEAST_SPAN_US = 1_000_000
_STEP_US = 450_000


class Trail:
    """One track's way, in any plane."""

    __slots__ = ("_places", "_since_us")

    def __init__(self) -> None:
        self._places: deque[tuple[int, float, float]] = deque(maxlen=_MOST_SAMPLES)
        self._since_us = 0

    def add(self, at_us: int, place: Place, since_us: int) -> None:
        """A sighting of a track that there is since `since_us`; of another one of a thing the way begins anew."""
        places = self._places
        if places and (at_us - places[-1][0] > _LONGEST_GAP_US or since_us != self._since_us):
            places.clear()
        self._since_us = since_us
        places.append((at_us, *place))
        while len(places) > _LEAST_SAMPLES and at_us - places[0][0] > _WINDOW_US:
            places.popleft()

    def velocity(self) -> tuple[float, float] | None:
        """Per second: the median of steps of half a second, so that neither jitter nor one jump makes it; none before
        there is a second of it."""
        places = self._places
        if not places or places[-1][0] - places[0][0] < _LEAST_SPAN_US:
            return None
        steps_x, steps_y = [], []
        later = 0
        for at_us, x, y in places:
            while later < len(places) and places[later][0] - at_us < _STEP_US:
                later += 1
            if later == len(places):
                break
            then_us, then_x, then_y = places[later]
            seconds = (then_us - at_us) / 1e6
            steps_x.append((then_x - x) / seconds)
            steps_y.append((then_y - y) / seconds)
        if len(steps_x) < 2:
            return None
        return _median(steps_x), _median(steps_y)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
