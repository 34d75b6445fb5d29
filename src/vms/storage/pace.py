"""How fast background work may read."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Pace:
    """At most so many bytes a second, over all threads that share it; None: as fast as it goes.

    What was not read in a pause is not made up for: work on a disk that others use must not come in bursts.
    """

    def __init__(self, bytes_per_s: int | None, monotonic_s: Callable[[], float]) -> None:
        self._bytes_per_s = bytes_per_s
        self._monotonic_s = monotonic_s
        self._free_s = 0.0
        self._lock = threading.Lock()

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._bytes_per_s is not None

    def spend(self, size_bytes: int, stopping: threading.Event) -> None:
        """Waits until so many bytes may have been read, or `stopping` is set."""
        if self._bytes_per_s is None:
            return
        with self._lock:
            now_s = self._monotonic_s()
            self._free_s = max(self._free_s, now_s) + size_bytes / self._bytes_per_s
            wait_s = self._free_s - now_s
        stopping.wait(wait_s)
