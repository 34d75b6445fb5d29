"""Boxes lie on the pictures that they are of: Chromium shows a square, and its box bears the same timestamp."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.live import in_chromium
from benchmarks.running_server import RunningServer
from tests import bright_square
from tests.system.test_analysis import _enable, _environment, _running


def test_boxes_bear_the_timestamp_of_their_picture(tmp_path: Path) -> None:
    cameras = bright_square.simulator(tmp_path)
    port = cameras.start()
    try:
        with RunningServer(tmp_path / "data", environment=_environment(tmp_path)) as server:
            camera_id = server.add_camera("Gate", f"rtsp://127.0.0.1:{port}/cam/0")
            _enable(server, camera_id)
            _running(server, camera_id)
            seen = in_chromium("boxes.mjs", server, camera_id, VMS_SECONDS="25")
    finally:
        cameras.stop()
    offsets = [abs(offset) for offset in seen["offsets"]]
    assert seen["boxes"] >= 10, seen
    # Of nearly every box the very picture was shown.
    assert len(offsets) >= 0.7 * seen["boxes"], seen
    # The square moves by 1.7 % of the width from picture to picture.
    assert median(offsets) < 0.03, offsets
