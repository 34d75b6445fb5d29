"""The web page in headless Chromium against a real server with simulated cameras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

WEB = Path(__file__).parents[2] / "clients" / "web"
CLIP = {"width": 640, "height": 360, "fps": 25, "seconds": 10, "bitrate_bps": 800_000, "gop_seconds": 2.0}

WALL_CLIP = {"width": 320, "height": 180, "fps": 12, "seconds": 10, "bitrate_bps": 150_000, "gop_seconds": 2.0}


def test_pagein_chromium(tmp_path: Path) -> None:
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


def test_wall_of_sixteen_comes_back_after_a_restart(tmp_path: Path) -> None:
    """Sixteen tiles play again by themselves within ten seconds of the server being ready."""
    environment = {"VMS_STATIC_DIR": str(WEB / "dist"), "VMS_ADMIN_PASSWORD": "wall-of-sixteen"}
    with (
        SimulatedCameras(16, clips=[WALL_CLIP]) as cameras,
        RunningServer(tmp_path / "data", environment=environment) as server,
    ):
        for number in range(16):
            server.add_camera(f"Camera {number + 1}", cameras.url(number))
        viewer = subprocess.Popen(
            ["node", str(WEB / "e2e" / "wall-restart.mjs")],
            cwd=WEB,
            env={**os.environ, "VMS_URL": server.url, "VMS_PASSWORD": server.password, "VMS_TILES": "16"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert viewer.stdin is not None and viewer.stdout is not None
        try:
            said = viewer.stdout.readline()
            assert said == "live\n", said + viewer.stdout.read()
            server.stop()
            server.start()
            viewer.stdin.write("ready\n")
            viewer.stdin.flush()
            told = viewer.stdout.read()
        finally:
            viewer.kill()
            viewer.communicate(timeout=10)
    result = json.loads(told)
    assert result["backMs"] <= 10_000, result
    assert "reconnecting" in result["states"] or "stalled" in result["states"], result
    assert result["faults"] == []
