"""Whether the wall clock can be believed enough to remove by age."""

from __future__ import annotations

import structlog

from vms.domain.retention import DAY_US
from vms.domain.time import SECOND_US

log = structlog.get_logger(__name__)
# A clock that was set by more is not believed at once.
LARGEST_STEP_US = DAY_US
CONFIRMED_AFTER_S = 600.0


class ClockWatch:
    """Compares the wall clock with one that is never set. At the start, the newest recording stands for what the wall
    clock showed last."""

    def __init__(self) -> None:
        # The wall and the steady clock at one instant; steps are measured from there, so that small ones add up.
        self._anchor: tuple[int, float] | None = None
        self._believed_from_s = 0.0

    def is_believed(self, now_us: int, monotonic_s: float, newest_us: int | None) -> bool:
        """Call it once a turn. A clock that was set by more than a day, either way, counts again once it has gone on
        for ten minutes without another such step."""
        if self._anchor is None:
            step_us = 0 if newest_us is None else now_us - newest_us
            self._anchor = (now_us, monotonic_s)
        else:
            step_us = now_us - self._anchor[0] - round((monotonic_s - self._anchor[1]) * SECOND_US)
        if abs(step_us) > LARGEST_STEP_US:
            log.warning(
                "the clock was set by more than a day, or nothing was recorded for so long; nothing is removed by age "
                "until it has been steady for ten minutes",
                step_s=step_us // SECOND_US,
            )
            self._anchor = (now_us, monotonic_s)
            self._believed_from_s = monotonic_s + CONFIRMED_AFTER_S
        return monotonic_s >= self._believed_from_s
