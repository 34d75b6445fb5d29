"""The devices of this machine, as a pool that runs models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from vms.adapters.inference.backends import WorkerOptions
from vms.adapters.inference.detection import ask, choose
from vms.adapters.inference.runner import WorkerRunner
from vms.ai.pool import DevicePool
from vms.ai.queues import Limits
from vms.contracts.clock import Clock
from vms.contracts.inference import DeviceKind, ModelShelf, Runner
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)


def open_pool(
    shelf: ModelShelf,
    *,
    devices: Sequence[str] | None,
    latency_budget_us: int,
    clock: Clock,
    kinds: Mapping[str, DeviceKind] | None = None,
    cache_dir: Path | None = None,
) -> DevicePool:
    """A pool over the machine's devices, not started yet; asking for them begins with `start`, and takes seconds.

    `devices`: ids (`cuda:0`) or kinds (`cuda`); None for the best of each piece of hardware. `kinds` binds models, by
    name, to a kind of device. `cache_dir` keeps what back-ends compile. Until a device is there jobs are dropped, which
    says why.
    """
    bound = dict(kinds or {})

    def find_runners() -> Sequence[Runner]:
        found = choose(ask(), devices, sorted(set(bound.values())))
        for asked, why in found.missing.items():
            log.warning("no such device", device=asked, reason=why)
        if not found.devices:
            raise Failure("unavailable", "; ".join(found.missing.values()) or "this machine has no device")
        for device in found.devices:
            log.info("device chosen", device=device.id, backend=device.backend, reason=device.reason)
        threads = max(1, (os.cpu_count() or 1) // 2)
        kept = str(cache_dir) if cache_dir is not None else None
        return [WorkerRunner(WorkerOptions(device=device, threads=threads, cache_dir=kept)) for device in found.devices]

    # Of a camera the newest picture alone waits: under load it is fresh rather than in a row of stale ones.
    limits = Limits(most_waiting=1)
    return DevicePool(find_runners, shelf, clock, latency_budget_us=latency_budget_us, limits=limits, kinds=bound)
