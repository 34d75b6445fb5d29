"""How long things took in the last minute. Times are µs of a clock that never steps back. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from vms.contracts.analysis import BOUNDS_MS

_WINDOW_US = 60_000_000
_MOST = 2048


class Delays:
    """Of one camera. Whoever asks may be on another thread than whoever adds."""

    def __init__(self) -> None:
        self._took: deque[tuple[int, int]] = deque(maxlen=_MOST)

    def add(self, took_us: int, now_us: int) -> None:
        """One that ended now."""
        self._took.append((now_us, took_us))

    def __len__(self) -> int:
        return len(self._took)

    def per_second(self, now_us: int) -> float:
        """How many there were a second, over the last ten."""
        recent = sum(1 for at_us, _ in self._took.copy() if at_us > now_us - 10_000_000)
        return recent / 10

    def percentile_ms(self, share: float, now_us: int) -> float:
        """Nearest rank; 0 where there are none."""
        ordered = sorted(took_us for at_us, took_us in self._took.copy() if at_us >= now_us - _WINDOW_US)
        if not ordered:
            return 0.0
        return ordered[min(len(ordered) - 1, round(share * len(ordered)))] / 1000


@dataclass
class Histogram:
    """How often something took so long: per bound those at most as long, and all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    sum_ms: float = 0.0

    def add(self, took_ms: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS_MS, took_ms)] += 1
        self.sum_ms += took_ms
