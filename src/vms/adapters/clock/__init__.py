"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """Satisfies `vms.contracts.clock.Clock`."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()
