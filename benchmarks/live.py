"""Live video: the delay inside the server for one viewer, and the first picture in Chromium after the click."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.report import Figure
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

REPOSITORY = Path(__file__).parents[1]
WEB = REPOSITORY / "clients" / "web"


def measure(*, joins: int = 20) -> list[Figure]:
    """`joins` visits of one camera's page, each a new viewer at a random instant of a 2 s GOP."""
    clip = {"width": 1280, "height": 720, "bitrate_bps": 1_500_000}
    with (
        SimulatedCameras(1, clips=[clip]) as cameras,
        tempfile.TemporaryDirectory() as directory,
        RunningServer(Path(directory) / "data") as server,
    ):
        camera_id = server.add_camera("live", cameras.url(0))
        server.wait_for_state(camera_id, "online")
        run = subprocess.run(
            ["node", str(WEB / "e2e" / "first-picture.mjs")],
            cwd=WEB,
            env={
                **os.environ,
                "VMS_URL": server.url,
                "VMS_PASSWORD": server.password,
                "VMS_CAMERA": camera_id,
                "VMS_JOINS": str(joins),
            },
            capture_output=True,
            check=False,
            text=True,
            timeout=300,
        )
        if run.returncode != 0:
            raise RuntimeError(f"Chromium saw no picture:\n{run.stderr[-3000:]}")
        first_picture_ms: list[float] = json.loads(run.stdout.splitlines()[-1])
        metrics = server.client.get(f"{server.url}/metrics").text
    ordered = sorted(first_picture_ms)
    delay_ms = {
        line.split('quantile="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) * 1000
        for line in metrics.splitlines()
        if line.startswith("vms_unit_delay_seconds{")
    }
    return [
        Figure("delay in the server, socket to socket, P95", delay_ms.get("0.95", 99.0), "ms", 5),
        Figure("delay in the server, median", delay_ms.get("0.5", 99.0), "ms"),
        Figure("first picture in Chromium, P95", ordered[max(0, round(0.95 * len(ordered)) - 1)], "ms", 1000),
        Figure("first picture in Chromium, median", ordered[len(ordered) // 2], "ms"),
    ]
