"""When what failed is tried again. Seconds of a clock that never steps back."""

from __future__ import annotations

from dataclasses import dataclass

# Twice as long each time; what ran for a while is forgiven.
FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 300.0
_FORGIVEN_AFTER_S = 120.0


@dataclass
class BackOff:
    """Of one camera, or one process."""

    pause_s: float = 0.0
    not_before_s: float = 0.0
    began_s: float = 0.0

    def begin(self, now_s: float) -> None:
        """It runs."""
        self.began_s = now_s

    def fail(self, now_s: float) -> None:
        """It failed, running or before it ran."""
        if self.began_s and now_s - self.began_s >= _FORGIVEN_AFTER_S:
            self.pause_s = 0.0
        self.pause_s = min(_LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self.pause_s))
        self.not_before_s = now_s + self.pause_s
