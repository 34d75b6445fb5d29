"""CPU and memory per camera while recording, beside `ffmpeg -c copy` (one process a camera) in the same run.

The simulator and the measured processes share the machine; only the measured ones are counted. Every recording is
checked for gaps by the frame numbers inside the files.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.process_usage import Usage, usage, usage_of_tree
from benchmarks.recorded_stamps import stamps_of_camera
from benchmarks.report import Figure
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

CPU_TARGETS_PERCENT = {50: 0.17, 200: 0.25}
MEMORY_TARGET_MIB = 3.0


def measure(cameras: int, *, window_s: float = 30, warm_up_s: float = 10, ffmpeg_cameras: int = 10) -> list[Figure]:
    """CPU percent of one core per camera and MiB per camera, ours at `cameras` and ffmpeg's at `ffmpeg_cameras`."""
    with SimulatedCameras(cameras, stamp=True) as simulator, tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory) / "data"
        with RunningServer(data_dir, environment=_lean()) as server:
            time.sleep(3)
            idle = usage_of_tree(server.pid)
            ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(cameras)]
            for camera_id in ids:
                server.wait_for_state(camera_id, "online", timeout_s=30)
            time.sleep(warm_up_s)
            before, began = usage_of_tree(server.pid), time.monotonic()
            time.sleep(window_s)
            after, elapsed_s = usage_of_tree(server.pid), time.monotonic() - began
        gaps = sum(_gaps(data_dir, camera_id) for camera_id in ids)
        ours = _per_camera(before, after, elapsed_s, cameras)
        ffmpeg = _ffmpeg(simulator, ffmpeg_cameras, Path(directory), window_s)
    memory_mib = (after.pss_bytes - idle.pss_bytes) / cameras / 2**20
    return [
        Figure(f"CPU per camera at {cameras}", ours, "% of a core", CPU_TARGETS_PERCENT.get(cameras)),
        Figure(f"memory per camera at {cameras}", memory_mib, "MiB", MEMORY_TARGET_MIB),
        Figure(f"frames missing in files at {cameras}", gaps, "frames", 0),
        Figure(f"ffmpeg -c copy, CPU per camera at {ffmpeg_cameras}", ffmpeg, "% of a core"),
        Figure(f"ffmpeg's CPU over ours at {cameras}", ffmpeg / ours if ours else 0.0, "×"),
    ]


def _lean() -> dict[str, str]:
    return {"VMS_RECORDING__THUMBNAILS": "false", "VMS_RECORDING__CHECKSUMS": "false"}


def _per_camera(before: Usage, after: Usage, elapsed_s: float, cameras: int) -> float:
    return (after.cpu_s - before.cpu_s) / elapsed_s / cameras * 100


def _gaps(data_dir: Path, camera_id: str) -> int:
    frames = [stamp.frame for stamp in stamps_of_camera(data_dir, camera_id)]
    if not frames:
        return 1
    return (frames[-1] - frames[0] + 1) - len(set(frames))


def _ffmpeg(simulator: SimulatedCameras, cameras: int, directory: Path, window_s: float) -> float:
    processes = [
        subprocess.Popen(
            [
                *("ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", simulator.url(n)),
                *("-c", "copy", "-f", "segment", "-segment_time", "60", str(directory / f"ffmpeg_{n}_%03d.mp4")),
            ],
            stderr=subprocess.DEVNULL,
        )
        for n in range(cameras)
    ]
    try:
        time.sleep(8)
        pids = [process.pid for process in processes]
        before, began = usage(pids), time.monotonic()
        time.sleep(window_s)
        after, elapsed_s = usage(pids), time.monotonic() - began
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)
    return _per_camera(before, after, elapsed_s, cameras)
