"""Where in the picture things stand, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from vms.contracts.analysis import HeatMap
from vms.domain.vision import Track

COLUMNS = 32
ROWS = 18
# Between two pictures something stood where it was, but not for longer than that.
_LONGEST_PAUSE_US = 2_000_000


class Heat:
    """Seconds of feet per cell. Of what is guessed nothing is known."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS, labels: Collection[str] = ()) -> None:
        self._columns = columns
        self._rows = rows
        self._labels = frozenset(labels)
        self._seconds = [0.0] * (columns * rows)
        self._last_us: int | None = None

    def see(self, at_us: int, tracks: Iterable[Track]) -> None:
        """What a picture showed; pictures come in order of time."""
        last_us, self._last_us = self._last_us, at_us
        if last_us is None or at_us <= last_us:
            return
        seconds = min(at_us - last_us, _LONGEST_PAUSE_US) / 1e6
        for track in tracks:
            if not track.seen or (self._labels and track.label not in self._labels):
                continue
            foot = track.foot
            column = min(max(int(foot.x * self._columns), 0), self._columns - 1)
            row = min(max(int(foot.y * self._rows), 0), self._rows - 1)
            self._seconds[row * self._columns + column] += seconds

    def map(self) -> HeatMap:
        return HeatMap(
            columns=self._columns, rows=self._rows, seconds=tuple(round(seconds, 3) for seconds in self._seconds)
        )
