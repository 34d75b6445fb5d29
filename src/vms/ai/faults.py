"""Which model, or which camera's pictures, end the devices' processes; and when a device is tried again.

Times are µs of a clock that never steps back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_IN_A_ROW = 3
_MODEL_ASIDE_US = 300_000_000
_CAMERA_ASIDE_US = 60_000_000
_FIRST_PAUSE_US = 1_000_000
_LONGEST_PAUSE_US = 300_000_000
_FORGIVEN_AFTER_US = 120_000_000


@dataclass
class _Record:
    in_a_row: int = 0
    aside_until_us: int = 0


class Suspects:
    """What is set aside after it ended a process three times in a row.

    A camera's pictures are counted where they were looked at by themselves: of a batch nobody knows which it was. That
    way one camera whose pictures are poison does not cost the others their model.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[str, str | None], _Record] = {}

    def crashed(self, model: str, cameras: Iterable[str], now_us: int) -> None:
        """A process ended while it looked at pictures of these cameras (or loaded the model: of none)."""
        among = set(cameras)
        self._count(model, None, now_us, _MODEL_ASIDE_US)
        if len(among) == 1:
            self._count(model, among.pop(), now_us, _CAMERA_ASIDE_US)

    def succeeded(self, model: str, cameras: Iterable[str]) -> None:
        """They were looked at, or the model was loaded (of no camera): neither is at fault."""
        for camera_id in cameras:
            self._records.pop((model, camera_id), None)
            self._records.pop((model, None), None)

    def reason_aside(self, model: str, camera_id: str, now_us: int) -> str | None:
        """Why the model does not look at this camera's pictures now."""
        if self._is_aside(model, camera_id, now_us):
            return f"its pictures ended the process of model {model} {_IN_A_ROW} times in a row: left out for a minute"
        if self._is_aside(model, None, now_us):
            return f"model {model} ended its process {_IN_A_ROW} times in a row: set aside for five minutes"
        return None

    def _count(self, model: str, camera_id: str | None, now_us: int, aside_us: int) -> None:
        record = self._records.setdefault((model, camera_id), _Record())
        record.in_a_row += 1
        if record.in_a_row >= _IN_A_ROW:
            # Tried again afterwards; one more and it is set aside anew.
            record.aside_until_us = now_us + aside_us

    def _is_aside(self, model: str, camera_id: str | None, now_us: int) -> bool:
        record = self._records.get((model, camera_id))
        return record is not None and now_us < record.aside_until_us


@dataclass
class BackOff:
    """When a device is tried again: at once, after 1 s, then twice as long each time; two good minutes forgive all."""

    pause_us: int = 0
    not_before_us: int = 0
    _failures: int = 0
    _began_us: int | None = None

    def begin(self, now_us: int) -> None:
        """It runs."""
        self._began_us = now_us

    def fail(self, now_us: int) -> None:
        """It failed, running or before it ran."""
        if self._began_us is not None and now_us - self._began_us >= _FORGIVEN_AFTER_US:
            self._failures = 0
        self._began_us = None
        self.pause_us = 0 if not self._failures else min(_LONGEST_PAUSE_US, _FIRST_PAUSE_US << (self._failures - 1))
        self._failures = min(self._failures + 1, 20)
        self.not_before_us = now_us + self.pause_us
