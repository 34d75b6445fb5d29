"""Real processes on loopback: a server with its own data directory and simulated cameras with known frame numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

SMALL_CLIP = {"width": 320, "height": 180, "fps": 30, "seconds": 10, "bitrate_bps": 400_000, "gop_seconds": 2.0}
OTHER_CLIP = {"width": 256, "height": 144, "fps": 30, "seconds": 6, "bitrate_bps": 300_000, "gop_seconds": 1.0}


def pytest_configure() -> None:
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            pytest.exit(f"system tests need {program}: run `make tools`", returncode=2)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[RunningServer]:
    with RunningServer(data_dir) as running:
        yield running


@pytest.fixture
def cameras() -> Iterator[SimulatedCameras]:
    """Four cameras: 320×180, 30 fps, 2 s GOP, stamped; clip 1 has other dimensions."""
    with SimulatedCameras(4, stamp=True, clips=[SMALL_CLIP, OTHER_CLIP]) as running:
        yield running
