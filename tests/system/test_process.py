"""The process: one per data directory, clean ends, disks that fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.running_server import RunningServer, free_port
from benchmarks.simulated_cameras import SimulatedCameras


def test_a_second_process_is_refused(server: RunningServer, data_dir: Path) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "vms", "serve", "--data-dir", str(data_dir), "--port", str(free_port())],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert second.returncode != 0
    assert second.stdout == ""
    assert str(data_dir) in second.stderr.splitlines()[-1]


def test_a_port_in_use_is_refused(server: RunningServer, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "vms", "serve", "--data-dir", str(tmp_path / "other"), "--port", str(server.port)],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert second.returncode != 0
    assert str(server.port) in second.stderr


def test_sigterm_ends_at_once_with_a_download_under_way(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("end", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 3)
    parameters = {"start": span["start"], "end": span["end"]}
    token = server.client.headers["Authorization"]
    with (
        httpx.Client() as client,
        client.stream(
            "GET",
            f"{server.url}/api/v1/cameras/{camera_id}/playback.mp4",
            params=parameters,
            headers={"Authorization": token},
        ),
    ):
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5


def test_a_clean_end_leaves_nothing_to_repair(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("clean", cameras.url(0))
    server.wait_for_recording(camera_id, 1)
    assert server.stop() == 0
    before = server.log_path.stat().st_size
    server.start()
    server.stop()
    with server.log_path.open() as log:
        log.seek(before)
        opened = [json.loads(line) for line in log if '"archive opened"' in line]
    assert opened[0]["files_checked"] >= 1
    assert opened[0]["files_repaired"] == 0


def test_recordings_survive_a_restart(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("restart", cameras.url(0))
    (before,) = server.wait_for_recording(camera_id, 3)
    assert server.stop() == 0
    server.start()
    ranges = server.wait_for_recording(camera_id, 6)
    assert ranges[0]["start"] == before["start"]
    assert ranges[0]["end"] >= before["end"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], check=True)
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_stops_nothing_else_and_recording_resumes(small_disk: Path, cameras: SimulatedCameras) -> None:
    with RunningServer(small_disk / "data", log=small_disk.parent / "full.log") as server:
        camera_id = server.add_camera("full", cameras.url(0))
        ranges = server.wait_for_recording(camera_id, 2)
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass
        deadline = time.monotonic() + 15
        while server.get(f"/cameras/{camera_id}/status")["recording"]:
            assert time.monotonic() < deadline, "still called recording on a full disk"
            time.sleep(0.2)
        status = server.get(f"/cameras/{camera_id}/status")
        assert status["state"] == "online"
        ballast.unlink()
        deadline = time.monotonic() + 15
        while not server.get(f"/cameras/{camera_id}/status")["recording"]:
            assert time.monotonic() < deadline, "recording did not resume"
            time.sleep(0.2)
        after = server.wait_for_recording(camera_id, 5)
        assert after[0]["start"] == ranges[0]["start"]


def test_a_read_only_disk_is_refused_and_loses_nothing(small_disk: Path, cameras: SimulatedCameras) -> None:
    data_dir, log = small_disk / "data", small_disk.parent / "read-only.log"
    with RunningServer(data_dir, log=log) as server:
        camera_id = server.add_camera("read-only", cameras.url(0))
        (before,) = server.wait_for_recording(camera_id, 2)
        assert server.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        refused = subprocess.run(
            [sys.executable, "-m", "vms", "serve", "--data-dir", str(data_dir), "--port", str(free_port())],
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
        )
        assert refused.returncode != 0
        assert refused.stdout == ""
        last = refused.stderr.splitlines()[-1]
        assert str(data_dir) in last and "read-only" in last.lower(), refused.stderr
        assert "Traceback" not in refused.stderr
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        server.start()
        ranges = server.wait_for_recording(camera_id, 3)
        assert ranges[0]["start"] == before["start"]
        assert ranges[0]["end"] >= before["end"]


def test_metrics_name_every_camera(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("metrics", cameras.url(0))
    server.wait_for_recording(camera_id, 2)
    text = httpx.get(f"{server.url}/metrics").text
    for name in ("vms_camera_fps", "vms_camera_bitrate", "vms_camera_status"):
        assert any(line.startswith(name + "{") and camera_id in line for line in text.splitlines()), name
    for name in ("vms_write_throughput", "vms_disk_usage_bytes"):
        assert name in text


def test_no_password_in_logs_or_answers(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera(
        "secret", cameras.url(0), credentials={"username": "viewer", "password": "tr0ub4dor-secret"}
    )
    server.wait_for_state(camera_id, "online")
    assert "tr0ub4dor-secret" not in server.client.get(f"/cameras/{camera_id}").text
    server.stop()
    assert "tr0ub4dor-secret" not in server.log_path.read_text()
    assert b"tr0ub4dor-secret" not in b"".join(p.read_bytes() for p in server.data_dir.glob("*.sqlite3*"))
