"""SIGKILL at random instants: what is lost per camera, by the sender's frame numbers, and how long repair takes.

The simulator's stamp holds frame number and send time. What was sent before the kill and is in no file is lost;
the loss is the time from the last recorded frame's sending to the kill.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.recorded_stamps import stamps_of_file
from benchmarks.report import Figure, percentile
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras


def measure(kills: int = 50, cameras: int = 4, *, seed: int = 1) -> list[Figure]:
    """Losses over `kills` kills of a server recording `cameras` cameras."""
    chance = random.Random(seed)
    losses_s: list[float] = []
    unreadable = 0
    starts_s: list[float] = []
    with SimulatedCameras(cameras, stamp=True) as simulator, tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        server = RunningServer(data_dir)
        ids: list[str] = []
        for _ in range(kills):
            server.start()
            starts_s.append(server.start_s)
            if not ids:
                ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(cameras)]
            for camera_id in ids:
                server.wait_for_state(camera_id, "online", timeout_s=30)
            # The camera's first fragment must have been cut, or there is nothing that could be lost.
            time.sleep(1.2 + chance.random() * 2)
            killed_us = time.time_ns() // 1000
            server.kill()
            for camera_id in ids:
                newest = _newest(data_dir, camera_id)
                if newest is None or not _readable(newest):
                    unreadable += 1
                    continue
                stamps = stamps_of_file(newest)
                losses_s.append((killed_us - max(stamp.sent_us for stamp in stamps)) / 1e6 if stamps else 99.0)
        server.start()
        repaired = sum(not _readable(path) for path in data_dir.rglob("video_*.mp4"))
        server.stop()
    return [
        Figure(f"lost per camera, worst of {kills} kills", max(losses_s, default=99.0), "s", 0.6),
        Figure("lost per camera, median", percentile(losses_s, 0.5), "s", 0.35),
        Figure("newest files unreadable right after a kill", unreadable, "files", 0),
        Figure("files unreadable after the last start", repaired, "files", 0),
        Figure("start until ready, P95", percentile(starts_s, 0.95), "s"),
    ]


def measure_repair(cameras: int = 50, *, recorded_s: float = 10) -> list[Figure]:
    """What the start after a kill costs a server that was recording `cameras` cameras."""
    with SimulatedCameras(cameras) as simulator, tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        server = RunningServer(data_dir)
        server.start()
        ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(cameras)]
        for camera_id in ids:
            server.wait_for_recording(camera_id, 1)
        time.sleep(recorded_s)
        server.kill()
        server.start()
        opened = server.logged("archive opened")
        unreadable = sum(not _readable(path) for path in data_dir.rglob("video_*.mp4"))
        server.stop()
    return [
        Figure(f"recordings repaired after a kill with {cameras} cameras", opened["files_repaired"], "files"),
        Figure("their repair", opened["duration_us"] / 1e6, "s", 2.0),
        Figure("start until ready, repair included", server.start_s, "s"),
        Figure("files unreadable after it", unreadable, "files", 0),
    ]


def _newest(data_dir: Path, camera_id: str) -> Path | None:
    files = (data_dir / "storage" / "cameras" / camera_id).rglob("video_*.mp4")
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)


def _readable(path: Path) -> bool:
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", str(path)],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    return probe.returncode == 0 and bool(probe.stdout.strip())
