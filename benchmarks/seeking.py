"""Time to the first byte of `playback.mp4`, the timeline's, and the start's, in archives of a day and of thirty."""

from __future__ import annotations

import random
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.archive import make_archive
from benchmarks.report import Figure, percentile
from benchmarks.running_server import RunningServer

SEEK_TARGET_MS = 20.0
TIMELINE_TARGET_MS = 50.0
START_TARGET_S = 5.0


def measure(days: float, *, cameras: int = 1, seeks: int = 100, seed: int = 1) -> list[Figure]:
    """P95 over `seeks` random instants of random cameras, ten seconds of playback each."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        server = RunningServer(data_dir)
        with server:
            ids = [
                server.add_camera(f"archive {n}", "rtsp://127.0.0.1:9/none", recording={"mode": "off"})
                for n in range(cameras)
            ]
        archive = make_archive(data_dir, ids, days=days)
        with server:
            start_s = server.start_s
            span = (archive.end - archive.start).total_seconds() - 30
            seek_ms = []
            for _ in range(seeks):
                at = archive.start + timedelta(seconds=chance.random() * span)
                seek_ms.append(_first_byte_ms(server.client, chance.choice(ids), at))
            timeline_ms = []
            for turn in range(max(20, cameras)):
                camera_id = ids[turn % cameras]
                began = time.perf_counter()
                ranges = server.get(
                    f"/cameras/{camera_id}/timeline", start=archive.start.isoformat(), end=archive.end.isoformat()
                )["ranges"]
                timeline_ms.append((time.perf_counter() - began) * 1000)
                assert ranges, "the archive shows nothing"
    what = f"{days:g} days" if cameras == 1 else f"{days:g} days of {cameras} cameras"
    return [
        Figure(f"seek in {what}, first byte P95", percentile(seek_ms, 0.95), "ms", SEEK_TARGET_MS),
        Figure(f"seek in {what}, first byte median", percentile(seek_ms, 0.5), "ms"),
        Figure(f"timeline of {what}, P95", percentile(timeline_ms, 0.95), "ms", TIMELINE_TARGET_MS),
        Figure(f"start with {what} ({archive.files} files)", start_s, "s", START_TARGET_S),
    ]


def _first_byte_ms(client: httpx.Client, camera_id: str, at: datetime) -> float:
    began = time.perf_counter()
    parameters = {"start": at.isoformat(), "end": (at + timedelta(seconds=10)).isoformat()}
    with client.stream("GET", f"/cameras/{camera_id}/playback.mp4", params=parameters) as answer:
        answer.raise_for_status()
        next(answer.iter_raw(1))
        return (time.perf_counter() - began) * 1000
