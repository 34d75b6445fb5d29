"""What analysis kept does not stay for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from vms.contracts.analysis import AnalysisLog, CountRepository
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
_DAY_US = 86_400_000_000
# What is kept of cameras that nothing is recorded of, and counts.
_UNRECORDED_US = 30 * _DAY_US
_COUNTED_US = 400 * _DAY_US


def drop_old(
    kept: AnalysisLog,
    counts: CountRepository,
    recorded_since_us: Callable[[str], int | None],
    now_us: int,
    stopping: threading.Event,
) -> None:
    """Files go with the recordings of their camera, or after a month where there are none; counts after 400 days."""
    for camera_id in kept.cameras():
        if stopping.is_set():
            return
        try:
            since_us = recorded_since_us(camera_id)
            before_us = now_us - _UNRECORDED_US if since_us is None else min(since_us, now_us - _DAY_US)
            if removed := kept.remove_before(camera_id, before_us):
                log.info("analysis without recordings removed", camera_id=camera_id, hours=removed)
        except Failure as failure:
            log.warning("old analysis is not removed", camera_id=camera_id, reason=failure.detail)
    # Also of cameras that nothing else is left of.
    counts.drop(None, now_us - _COUNTED_US)
