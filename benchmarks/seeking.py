"""Time to the first byte of `playback.mp4`, and the timeline's, in archives of a day and of thirty."""

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


def measure(days: float, *, seeks: int = 100, seed: int = 1) -> list[Figure]:
    """P95 over `seeks` random instants, ten seconds of playback each."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        server = RunningServer(data_dir)
        with server:
            camera_id = server.add_camera("archive", "rtsp://127.0.0.1:9/none", recording={"mode": "off"})
        archive = make_archive(data_dir, [camera_id], days=days)
        with server:
            start_s = server.start_s
            span = (archive.end - archive.start).total_seconds() - 30
            seek_ms = []
            for _ in range(seeks):
                at = archive.start + timedelta(seconds=chance.random() * span)
                seek_ms.append(_first_byte_ms(server.client, camera_id, at))
            timeline_ms = []
            for _ in range(20):
                began = time.perf_counter()
                ranges = server.get(
                    f"/cameras/{camera_id}/timeline", start=archive.start.isoformat(), end=archive.end.isoformat()
                )["ranges"]
                timeline_ms.append((time.perf_counter() - began) * 1000)
                assert ranges, "the archive shows nothing"
    return [
        Figure(f"seek in {days:g} days, first byte P95", percentile(seek_ms, 0.95), "ms", SEEK_TARGET_MS),
        Figure(f"seek in {days:g} days, first byte median", percentile(seek_ms, 0.5), "ms"),
        Figure(f"timeline of {days:g} days, P95", percentile(timeline_ms, 0.95), "ms", TIMELINE_TARGET_MS),
        Figure(f"start with {days:g} days", start_s, "s"),
    ]


def _first_byte_ms(client: httpx.Client, camera_id: str, at: datetime) -> float:
    began = time.perf_counter()
    parameters = {"start": at.isoformat(), "end": (at + timedelta(seconds=10)).isoformat()}
    with client.stream("GET", f"/cameras/{camera_id}/playback.mp4", params=parameters) as answer:
        answer.raise_for_status()
        next(answer.iter_raw(1))
        return (time.perf_counter() - began) * 1000
