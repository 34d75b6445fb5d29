"""How fast the bare model is on this machine's CPU: nothing before or after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vms.adapters.models.archives import read_file
from vms.adapters.models.graphs import feeds, open_graph
from vms.contracts.inference import InstalledModel

_WARM_UP = 3


@dataclass(frozen=True)
class Timing:
    """Of a model with so many pictures at once. ms per picture."""

    model: str
    batch: int
    threads: int
    runs: int
    p50_ms: float
    p95_ms: float
    pictures_per_second: float


def time_model(
    model: InstalledModel,
    *,
    batch: int,
    seconds: float,
    threads: int = 1,
    clock_s: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Runs it for so long on ONNX Runtime. Raises Failure(malformed) for one that does not load."""
    manifest = model.manifest
    session = open_graph(manifest.name, read_file(model.path), threads=threads, optimised=True)
    pictures = feeds(session, manifest.input, batch)
    names = list(manifest.outputs.values())
    for _ in range(_WARM_UP):
        session.run(names, pictures)
    spent: list[float] = []
    until = clock_s() + seconds
    while not spent or clock_s() < until:
        start = clock_s()
        session.run(names, pictures)
        spent.append(clock_s() - start)
    ordered = sorted(each * 1000 / batch for each in spent)
    return Timing(
        model=manifest.name,
        batch=batch,
        threads=threads,
        runs=len(spent),
        p50_ms=ordered[len(ordered) // 2],
        p95_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))],
        pictures_per_second=len(spent) * batch / sum(spent),
    )
