"""What a camera may take of its worker, and whether it lags behind: decisions alone."""

from __future__ import annotations

# What a camera may save up of its share.
_BURST_S = 1.0
# A camera lags by what its units come later than the promptest of so long.
_WINDOW_US = 15_000_000
LONGEST_LAG_US = 1_000_000


class Allowance:
    """A share of a core's time."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_s = _BURST_S
        self._at_s: float | None = None

    def spend(self, cpu_s: float) -> None:
        """What was used."""
        self._left_s -= cpu_s

    def is_spent(self, now_s: float) -> bool:
        """Whether it has to pause."""
        if self._at_s is not None:
            self._left_s = min(_BURST_S, self._left_s + self._share * max(0.0, now_s - self._at_s))
        self._at_s = now_s
        return self._left_s <= 0


class Lag:
    """How far behind what is read is. The first units of a tap are old, and clocks step: only what was better lately
    counts."""

    def __init__(self) -> None:
        self._began_us = 0
        self._least_us: int | None = None
        self._least_before_us: int | None = None

    def of(self, at_us: int, now_us: int) -> int:
        """µs by which a unit of that time is late."""
        delay_us = now_us - at_us
        if self._least_us is None or not 0 <= now_us - self._began_us <= _WINDOW_US:
            self._least_before_us = self._least_us
            self._least_us, self._began_us = delay_us, now_us
        self._least_us = min(self._least_us, delay_us)
        before_us = self._least_before_us if self._least_before_us is not None else self._least_us
        return delay_us - min(self._least_us, before_us)
