"""What the start after a kill costs: files that were being recorded are looked through and closed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.archive_check import check
from benchmarks.report import Figure
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras


def measure(cameras: int = 50, *, recorded_s: float = 10) -> list[Figure]:
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
        unreadable = len(check(data_dir / "storage").unreadable)
        server.stop()
    return [
        Figure(f"recordings repaired after a kill with {cameras} cameras", opened["files_repaired"], "files"),
        Figure("their repair", opened["duration_us"] / 1e6, "s", 2.0),
        Figure("start until ready, repair included", server.start_s, "s"),
        Figure("files unreadable after it", unreadable, "files", 0),
    ]
