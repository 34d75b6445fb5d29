"""What a storage service in a process of its own costs: the same questions to one process and to two."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx

from benchmarks.archive import MadeArchive, make_archive
from benchmarks.report import Figure, percentile
from benchmarks.running_server import RunningServer
from benchmarks.running_storage import RunningStorage

PLAYED_MINUTES = 20


def measure(*, asks: int = 100, seed: int = 1) -> list[Figure]:
    """Over an archive of a day: the first byte of ten seconds, the day's timeline, and 20 minutes as fast as can be."""
    with tempfile.TemporaryDirectory() as directory:
        one_dir, node_dir, interface_dir = (Path(directory) / name for name in ("one", "node", "interface"))
        with RunningServer(one_dir) as server:
            camera_id = server.add_camera("archive", "rtsp://127.0.0.1:9/none", recording={"mode": "off"})
        password = {"VMS_ADMIN_PASSWORD": server.password}
        archive = make_archive(one_dir, [camera_id], days=1)
        shutil.copytree(one_dir, interface_dir, ignore=shutil.ignore_patterns("storage", "run"))
        with RunningServer(one_dir, environment=password) as one:
            together = _ask(one, camera_id, archive, asks, seed)
        node_dir.mkdir()
        (one_dir / "storage").rename(node_dir / "storage")
        with (
            RunningStorage(node_dir) as storage,
            RunningServer(interface_dir, environment={**password, **storage.for_server}) as interface,
        ):
            apart = _ask(interface, camera_id, archive, asks, seed)
    figures = []
    for name, unit in (("playback, first byte", "ms"), ("timeline of a day", "ms")):
        for share, what in ((0.5, "median"), (0.95, "P95")):
            both = [percentile(times[name], share) for times in (together, apart)]
            figures.append(Figure(f"{name}, {what}, one process", both[0], unit))
            figures.append(Figure(f"{name}, {what}, over gRPC", both[1], unit))
            figures.append(Figure(f"{name}, {what}, added by gRPC", both[1] - both[0], unit))
    figures.append(Figure("playback, one process", max(together["MB/s"]), "MB/s"))
    figures.append(Figure("playback, over gRPC", max(apart["MB/s"]), "MB/s"))
    return figures


def _ask(server: RunningServer, camera_id: str, archive: MadeArchive, asks: int, seed: int) -> dict[str, list[float]]:
    chance = random.Random(seed)
    span_s = (archive.end - archive.start).total_seconds() - PLAYED_MINUTES * 60
    path = f"/cameras/{camera_id}/playback.mp4"
    first_ms, timeline_ms, rates = [], [], []
    for number in range(asks + 5):
        at = archive.start + timedelta(seconds=chance.random() * span_s)
        span = {"start": at.isoformat(), "end": (at + timedelta(seconds=10)).isoformat()}
        began = time.perf_counter()
        with server.client.stream("GET", path, params=span) as answer:
            answer.raise_for_status()
            next(answer.iter_raw(1))
            taken_ms = (time.perf_counter() - began) * 1000
        day = {"start": archive.start.isoformat(), "end": archive.end.isoformat()}
        began = time.perf_counter()
        assert server.get(f"/cameras/{camera_id}/timeline", **day)["ranges"], "the archive shows nothing"
        # The first few fill caches of both kinds of server.
        if number >= 5:
            first_ms.append(taken_ms)
            timeline_ms.append((time.perf_counter() - began) * 1000)
    for number in range(3):
        at = archive.start + timedelta(hours=number)
        rates.append(_megabytes_per_s(server.client, path, at.isoformat(), at + timedelta(minutes=PLAYED_MINUTES)))
    return {"playback, first byte": first_ms, "timeline of a day": timeline_ms, "MB/s": rates}


def _megabytes_per_s(client: httpx.Client, path: str, start: str, end: object) -> float:
    began = time.perf_counter()
    received = 0
    with client.stream("GET", path, params={"start": start, "end": str(end).replace(" ", "T")}) as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw(1 << 20):
            received += len(piece)
    return received / 1e6 / (time.perf_counter() - began)
