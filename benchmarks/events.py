"""How many events a second are acknowledged (each safe on the disk by then), and how long a post takes."""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.process_usage import usage
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
        together = threading.Barrier(posters + 1)

        def post(number: int) -> None:
            # A client that costs little: on a small machine it shares the server's cores.
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
            headers = {"Authorization": server.client.headers["Authorization"], "Content-Type": "application/json"}
            body = json.dumps(
                {"camera_id": camera_ids[number % CAMERAS], "type": "motion", "text": "a car at the gate"}
            )
            connection.connect()
            own = []
            together.wait()
            until = time.monotonic() + window_s
            while time.monotonic() < until:
                began = time.monotonic()
                connection.request("POST", "/api/v1/events", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 201:
                    raise RuntimeError(f"the server answered {answer.status}: {text!r}")
                own.append(time.monotonic() - began)
            connection.close()
            durations.extend(own)

        threads = [threading.Thread(target=post, args=(number,)) for number in range(posters)]
        for thread in threads:
            thread.start()
        before = usage([server.pid])
        together.wait()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        elapsed_s = time.monotonic() - began
        cpu_s = usage([server.pid]).cpu_s - before.cpu_s
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
        Figure("server's CPU per event", cpu_s / len(ordered) * 1000, "ms", None),
        Figure("a page of 100 with a word", page_s * 1000, "ms", None),
    ]
