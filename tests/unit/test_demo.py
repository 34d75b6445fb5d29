"""The demo's and the simulator's own decisions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.memory_installation import MemoryInstallation
from vms.adapters.footage import Encoding
from vms.app.cli.demo import _again, _read_lines, _set_up
from vms.app.cli.simulate import _pattern
from vms.domain.errors import Failure


def test_cameras_are_made_once_and_follow_the_simulator(vms: MemoryInstallation) -> None:
    own = vms.add_camera(name="Mine")
    vms.rooms.ingest._allow_loopback = True
    _set_up(vms.rooms.ingest, {"Bicycles": "rtsp://127.0.0.1:1/cam/0"})
    _set_up(vms.rooms.ingest, {"Bicycles": "rtsp://127.0.0.1:2/cam/0"})
    cameras = vms.client.get("/api/v1/cameras").json()["items"]
    assert [camera["name"] for camera in cameras] == ["Mine", "Bicycles"]
    assert cameras[0]["streams"] == own["streams"]
    assert cameras[1]["streams"]["main"]["url"] == "rtsp://127.0.0.1:2/cam/0"
    updated_at = cameras[1]["updated_at"]
    _set_up(vms.rooms.ingest, {"Bicycles": "rtsp://127.0.0.1:2/cam/0"})
    assert vms.client.get("/api/v1/cameras").json()["items"][1]["updated_at"] == updated_at


def test_more_cameras_than_clips_are_numbered() -> None:
    titles = ["a", "b"]
    assert [_again(titles, number) for number in (2, 3, 4)] == ["a 2", "b 2", "a 3"]


def test_a_simulator_that_ends_early_is_noticed() -> None:
    def lines(program: str) -> list[str]:
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            return _read_lines(process, 2)

    assert lines("print('rtsp://a'); print('rtsp://b')") == ["rtsp://a", "rtsp://b"]
    assert lines("print('rtsp://a')") == ["rtsp://a"]
    assert lines("") == []


def test_patterns_are_read() -> None:
    assert _pattern("1920x1080@30:4000") == Encoding(width=1920, height=1080, fps=30, bitrate_bps=4_000_000)
    assert _pattern("641x361") == Encoding(width=640, height=360, fps=30, bitrate_bps=4_000_000)


@pytest.mark.parametrize("text", ["", "x", "1920", "1920x", "0x0", "1920x1080@0", "1920x1080@30:x", "9999x9999@30:100"])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(Failure, match="--pattern"):
        _pattern(text)
