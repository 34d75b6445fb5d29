"""Background work goes on after a turn that failed, and ends when told."""

from __future__ import annotations

import threading

import pytest

from vms.domain.errors import Failure
from vms.storage import chores as chores_module
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


def test_a_failure_that_lasts_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter(["asleep", "asleep", "gone", None, "gone"])
    logged: list[object] = []
    enough = threading.Event()

    def run(_: threading.Event) -> None:
        reason = next(reasons, "over")
        if reason == "over":
            enough.set()
        elif reason is not None:
            raise Failure("unavailable", reason)

    monkeypatch.setattr(chores_module.log, "warning", lambda _, **fields: logged.append(fields["reason"]))
    chores = Chores([Chore("turns", 0.001, run)])
    chores.start()
    assert enough.wait(10)
    chores.stop(10)
    assert logged == ["asleep", "gone", "gone"]


def test_stopping_before_the_start_is_no_fault() -> None:
    Chores([Chore("never", 1.0, lambda _: None)]).stop(0.1)
