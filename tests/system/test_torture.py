"""The short form of `make torture`: each kind of blow a few times, on real processes."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from benchmarks import torture
from benchmarks.report import Figure

BLOWS: dict[str, Callable[[], list[Figure]]] = {
    "kills": lambda: torture.kills(5, 2, servers=1),
    "power cuts": lambda: torture.power_cuts(4, 2),
    "full disk": lambda: torture.refusing_disk(errno.ENOSPC),
    "failing disk": lambda: torture.refusing_disk(errno.EIO),
    "failing volume": torture.failing_volume,
    "hanging volume": lambda: torture.failing_volume(hangs=True),
    "slow disk": lambda: torture.slow_disk(slow_s=5),
    "clock jumps": torture.clock_jumps,
}


@pytest.mark.parametrize("blow", BLOWS)
def test_little_is_lost_and_nothing_acknowledged(blow: str) -> None:
    figures = BLOWS[blow]()
    assert figures
    assert all(figure.verdict in ("met", "") for figure in figures), figures
