"""How many events a second are acknowledged (each safe on the disk by then), and how long a post takes."""

from __future__ import annotations

import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.report import Figure
from benchmarks.running_server import RunningServer

CAMERAS = 8


def measure(posters: int = 32, window_s: float = 10) -> list[Figure]:
    """`posters` clients post one event after another, each over a connection of its own, and read a page at the end."""
    with tempfile.TemporaryDirectory() as directory, RunningServer(Path(directory) / "data") as server:
        camera_ids = [
            server.add_camera(f"camera {number}", "rtsp://127.0.0.1:9/none", recording={"mode": "off"})
            for number in range(CAMERAS)
        ]
        durations: list[float] = []
        until = time.monotonic() + window_s

        def post(number: int) -> None:
            with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.client.headers, timeout=30) as client:
                own = []
                while time.monotonic() < until:
                    event = {"camera_id": camera_ids[number % CAMERAS], "type": "motion", "text": "a car at the gate"}
                    began = time.monotonic()
                    client.post("/events", json=event).raise_for_status()
                    own.append(time.monotonic() - began)
                durations.extend(own)

        began = time.monotonic()
        threads = [threading.Thread(target=post, args=(number,)) for number in range(posters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed_s = time.monotonic() - began
        now = datetime.now(UTC)
        asked = time.monotonic()
        span = {"start": (now - timedelta(minutes=5)).isoformat(), "end": now.isoformat()}
        server.get("/events", camera_id=camera_ids[0], limit=100, q="gate", **span)
        page_s = time.monotonic() - asked
    ordered = sorted(durations)
    return [
        Figure(f"events acknowledged, {posters} posters", len(ordered) / elapsed_s, "events/s", None),
        Figure("a post, median", ordered[len(ordered) // 2] * 1000, "ms", None),
        Figure("a post, P95", ordered[int(len(ordered) * 0.95)] * 1000, "ms", 100),
        Figure("a page of 100 with a word", page_s * 1000, "ms", None),
    ]
