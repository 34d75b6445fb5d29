"""Pictures out of a real server's recordings, as training takes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.running_server import RunningServer
from tests import bright_square
from vms.app.cli.connection import Connection
from vms.app.cli.key_frames import key_frames, recorded
from vms.domain.recordings import Span
from vms.domain.time import parse_time


def test_key_frames_of_a_recording(tmp_path: Path) -> None:
    cameras = bright_square.simulator(tmp_path)
    port = cameras.start()
    try:
        with RunningServer(tmp_path / "data") as server:
            camera_id = server.add_camera("Gate", f"rtsp://127.0.0.1:{port}/cam/0")
            ranges = server.wait_for_recording(camera_id, 8)
            # From the middle between two key frames, for six seconds.
            start = datetime.fromisoformat(ranges[0]["start"]) + timedelta(seconds=1.5)
            span = Span(start_us=parse_time(start.isoformat()), end_us=parse_time(start.isoformat()) + 6_000_000)
            with Connection(url=server.url, password=server.password).open() as client:
                spans = recorded(client, camera_id, span)
                assert set(spans) == {"main"}
                found = list(key_frames(client, camera_id, "main", spans["main"], 500_000))
            assert 5 <= len(found) <= 7
            assert {frame.picture.shape for frame in found} == {(bright_square.HEIGHT, bright_square.WIDTH, 3)}
            shares = [frame.share for frame in found]
            assert shares == sorted(shares) and shares[-1] > 0.7
            told = subprocess.run(
                [
                    *(sys.executable, "-m", "vms", "ai", "train-anomaly", "Gate", "--minutes", "5"),
                    *("--data-dir", str(tmp_path / "data"), "--server", server.url),
                ],
                env={**os.environ, "VMS_PASSWORD": server.password},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert told.returncode == 1
            assert "are too few to learn from: at least 200 are needed" in told.stderr
            assert re.search(r"vms: [1-9]\d* pictures", told.stderr)
    finally:
        cameras.stop()
