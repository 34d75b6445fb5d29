"""Clocks, passed in so that tests own the time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The wall clock and a clock that never steps back."""

    def now_us(self) -> int:
        """µs since the Unix epoch."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary instant."""
        ...
