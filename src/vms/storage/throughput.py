"""The rate at which the archive grows, from a counter read now and then."""

from __future__ import annotations

from collections import deque


class Throughput:
    """Bytes per second over the last `window_s` seconds of readings of a counter that only grows."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._readings: deque[tuple[float, int]] = deque()

    def read(self, at_s: float, total_bytes: int) -> None:
        """Notes that the counter showed `total_bytes` at `at_s`; a counter that went back starts anew."""
        if self._readings and total_bytes < self._readings[-1][1]:
            self._readings.clear()
        self._readings.append((at_s, total_bytes))
        while len(self._readings) > 2 and at_s - self._readings[1][0] >= self._window_s:
            self._readings.popleft()

    def bytes_per_second(self) -> float:
        """0 before there are two readings."""
        if len(self._readings) < 2:
            return 0.0
        (first_s, first_bytes), (last_s, last_bytes) = self._readings[0], self._readings[-1]
        return (last_bytes - first_bytes) / (last_s - first_s) if last_s > first_s else 0.0
