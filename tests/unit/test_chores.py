"""Background work goes on after a turn that failed, and ends when told."""

from __future__ import annotations

import threading

from vms.domain.errors import Failure
from vms.storage.chores import Chore, Chores


def test_a_chore_goes_on_after_failures_until_it_is_stopped() -> None:
    turns: list[int] = []
    enough = threading.Event()

    def run(stopping: threading.Event) -> None:
        assert not stopping.is_set()
        turns.append(len(turns))
        if len(turns) == 1:
            raise Failure("unavailable", "the disk sleeps")
        if len(turns) == 2:
            raise ZeroDivisionError
        enough.set()

    chores = Chores([Chore("turns", 0.001, run)])
    chores.start()
    assert enough.wait(10)
    chores.stop(10)
    done = len(turns)
    assert done >= 3
    assert not any(thread.name == "turns" for thread in threading.enumerate())


def test_stopping_before_the_start_is_no_fault() -> None:
    Chores([Chore("never", 1.0, lambda _: None)]).stop(0.1)
