"""What a browser hears of a camera that sends AAC, which browsers do not take: Opus, in step with the pictures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.running_server import RunningServer

WEB = Path(__file__).parents[2] / "clients" / "web"
IN_STEP_MS = 40
# The browser brings both together in small steps, and moves them apart again when this machine is busy.
WATCHED_S = 40
# Where its clip begins anew, the simulator lets sound go on without a gap: it is out of step from then on.
CLIP_S = 60
FLASH_S = 0.2


def make_clip(path: Path) -> None:
    """A white picture and a beep begin at each whole second."""
    begins = f"lt(mod(t\\,1)\\,{FLASH_S})"
    sound = f"aevalsrc=0.8*sin(2*PI*1000*t)*{begins}:s=16000"
    picture = (
        f"color=black:size=320x180:rate=25,drawbox=color=white:t=fill:enable={begins},"
        "noise=alls=10:allf=t,format=yuv420p"
    )
    arguments = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", str(CLIP_S), "-b:v", "300k"]
    arguments += ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-c:a", "aac", "-b:a", "48k"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *arguments, str(path)], check=True, timeout=120)


@pytest.fixture
def camera_url(tmp_path: Path) -> Iterator[str]:
    clip = tmp_path / "flash.mov"
    make_clip(clip)
    arguments = [sys.executable, "-m", "vms", "simulate", "--cameras", "1", "--port", "0", "--until-stdin-closes"]
    arguments += ["--cache-dir", str(tmp_path / "footage"), "--video", str(clip)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdin is not None and simulator.stdout is not None
        yield simulator.stdout.readline().strip()
        simulator.stdin.close()
        simulator.wait(10)


def listen(server: RunningServer, camera_id: str) -> dict[str, Any]:
    run = subprocess.run(
        ["node", str(WEB / "e2e" / "sound.mjs")],
        cwd=WEB,
        env={
            **os.environ,
            "VMS_URL": server.url,
            "VMS_PASSWORD": server.password,
            "VMS_CAMERA": camera_id,
            "VMS_SECONDS": str(WATCHED_S),
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    heard: dict[str, Any] = json.loads(run.stdout)
    return heard


def workers_of(server: RunningServer) -> list[int]:
    listing = subprocess.run(
        ["ps", "--ppid", str(server.pid), "-o", "pid=,args="], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in listing.stdout.splitlines() if "opus_worker" in line or "defunct" in line]


def metric(server: RunningServer, name: str) -> float:
    page = server.client.get(f"{server.url}/metrics").text
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


def test_the_sound_of_an_aac_camera_is_heard_in_step(camera_url: str, tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        camera_id = server.add_camera("Door", camera_url)
        server.wait_for_recording(camera_id, 2)
        assert workers_of(server) == []
        heard = listen(server, camera_id)
        assert heard["codec"] == "audio/opus"
        assert heard["packets"] > 6 * 50
        assert heard["loudest"] > 0.1, "beeps"
        settled = heard["apartMs"][-30:]
        assert len(settled) == 30
        assert abs(statistics.median(settled)) <= IN_STEP_MS, json.dumps(heard)
        # What is seen and heard, which includes what the page's own measuring takes.
        beeps = [min((beep - flash for flash in heard["flashes"]), key=abs) for beep in heard["beeps"][-4:]]
        assert len(beeps) == 4
        assert abs(statistics.median(beeps)) <= 1.5 * IN_STEP_MS, json.dumps(heard)
        # A page that is reloaded finds the worker still there; then it goes.
        deadline = time.monotonic() + 15
        while workers := workers_of(server):
            assert time.monotonic() < deadline, workers
            time.sleep(0.2)
        assert metric(server, "vms_whep_transcoders_running") == 0
        assert metric(server, "vms_whep_transcoder_restarts_total") == 0
