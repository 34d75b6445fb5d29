"""SIGTERM to exit: 5 s at most."""

from __future__ import annotations

import os
import threading

import structlog

log = structlog.get_logger(__name__)
# What is not closed by then is repaired at the next start.
CLOSE_S = 3.8
EXIT_S = 4.7


def end_in_time(status: int) -> None:
    """Ends the process at the deadline whatever hangs: files are repaired at the next start, a supervisor's kill
    would leave no more."""

    def end() -> None:
        log.error("not everything stopped in time")
        os._exit(status)

    timer = threading.Timer(EXIT_S, end)
    timer.daemon = True
    timer.start()
