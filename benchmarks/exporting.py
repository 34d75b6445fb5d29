"""Speed of an export of one hour, warm, as a multiple of real time."""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.archive import make_archive
from benchmarks.report import Figure
from benchmarks.running_server import RunningServer


def measure() -> list[Figure]:
    """One hour of 4 Mbit/s, second run of two."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        server = RunningServer(data_dir)
        with server:
            camera_id = server.add_camera("archive", "rtsp://127.0.0.1:9/none", recording={"mode": "off"})
        archive = make_archive(data_dir, [camera_id], days=0.1)
        speeds = []
        with server:
            start = archive.start + timedelta(minutes=10)
            for _ in range(2):
                began = time.monotonic()
                request = {
                    "camera_ids": [camera_id],
                    "start": start.isoformat(),
                    "end": (start + timedelta(hours=1)).isoformat(),
                    "format": "mp4",
                }
                job = server.client.post("/exports", json=request).raise_for_status().json()
                while job["state"] not in ("done", "failed"):
                    time.sleep(0.05)
                    job = server.get(f"/exports/{job['id']}")
                if job["state"] != "done":
                    raise RuntimeError(f"the export failed: {job}")
                speeds.append(3600 / (time.monotonic() - began))
                server.client.delete(f"/exports/{job['id']}").raise_for_status()
    return [Figure("export of an hour, warm", speeds[-1], "× real time", 500, at_least=True)]
