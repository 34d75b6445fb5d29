"""What the storage service does again and again: keep to the retention, hash, verify, make thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from vms.domain.errors import Failure

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Chore:
    """`run` is called every `period_s`, the first time at once; it returns early when `stopping` is set. A failure is
    logged, once while it stays the same, and the next turn comes as usual."""

    name: str
    period_s: float
    run: Callable[[threading.Event], None]


class Chores:
    """Each chore on a thread of its own, so that a long one holds up no other."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._repeat, args=(chore,), name=chore.name, daemon=True) for chore in self._chores
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Tells all of them, then waits for each at most `timeout_s`."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)

    def _repeat(self, chore: Chore) -> None:
        logged: str | None = None
        while not self._stopping.is_set():
            try:
                chore.run(self._stopping)
                logged = None
            except Failure as failure:
                if failure.detail != logged:
                    log.warning("chore failed", chore=chore.name, reason=failure.detail)
                logged = failure.detail
            except Exception:
                # The supervisor of background work: one bad turn must not end all that follow.
                log.exception("chore failed", chore=chore.name)
            self._stopping.wait(chore.period_s)
