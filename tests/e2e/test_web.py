"""The web page in headless Chromium against a real server with simulated cameras."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

WEB = Path(__file__).parents[2] / "clients" / "web"
CLIP = {"width": 640, "height": 360, "fps": 25, "seconds": 10, "bitrate_bps": 800_000, "gop_seconds": 2.0}


def test_page_in_chromium(tmp_path: Path) -> None:
    assert shutil.which("chromium"), "the browser tests need Debian's chromium: run `make tools`"
    specs = sorted(str(path) for path in (WEB / "e2e").glob("*.test.mjs"))
    assert specs, f"no browser specs under {WEB / 'e2e'}"
    environment = {"VMS_STATIC_DIR": str(WEB / "dist")}
    with (
        SimulatedCameras(4, clips=[CLIP]) as cameras,
        RunningServer(tmp_path / "data", environment=environment) as server,
    ):
        ids = [server.add_camera(f"Camera {n + 1}", cameras.url(n)) for n in range(4)]
        for camera_id in ids:
            server.wait_for_recording(camera_id, 8)
        run = subprocess.run(
            ["node", "--test", "--test-concurrency=1", *specs],
            cwd=WEB,
            env={**os.environ, "VMS_URL": server.url, "VMS_PASSWORD": server.password},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if run.returncode != 0:
        pytest.fail(f"{run.stdout[-6000:]}\n{run.stderr[-3000:]}")
