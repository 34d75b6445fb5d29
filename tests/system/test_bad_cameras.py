"""Cameras that are wrong in the ways cameras are wrong: a clear state, and nothing already recorded is lost."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from benchmarks.running_server import RunningServer, free_port
from benchmarks.simulated_cameras import SimulatedCameras
from tests.system.conftest import SMALL_CLIP


def test_unreachable_host(server: RunningServer) -> None:
    camera_id = server.add_camera("nobody", f"rtsp://127.0.0.1:{free_port()}/cam/0")
    status = server.wait_for_state(camera_id, "offline")
    assert "refused" in status["reason"].lower(), status
    assert server.client.get(f"/cameras/{camera_id}/snapshot.jpg").status_code in (404, 409)


def test_wrong_password(server: RunningServer) -> None:
    with SimulatedCameras(1, username="viewer", password="right", clips=[SMALL_CLIP]) as cameras:
        camera_id = server.add_camera("locked", cameras.url(0), credentials={"username": "viewer", "password": "wrong"})
        server.wait_for_state(camera_id, "unauthorized")
        answer = server.client.patch(
            f"/cameras/{camera_id}", json={"credentials": {"username": "viewer", "password": "right"}}
        )
        assert answer.status_code == 200, answer.text
        assert "right" not in answer.text
        server.wait_for_state(camera_id, "online")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"\x00\xff" * 500])
def test_something_that_is_not_rtsp(server: RunningServer, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        camera_id = server.add_camera("web server", f"rtsp://127.0.0.1:{listener.getsockname()[1]}/")
        status = server.wait_for_state(camera_id, "error")
        assert status["reason"], status


def test_no_such_path(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("path", cameras.url(0).replace("/cam/0", "/cam/99"))
    deadline = time.monotonic() + 10
    while (status := server.get(f"/cameras/{camera_id}/status"))["state"] not in ("error", "offline"):
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    assert "404" in status["reason"]


def test_stall_counts_as_lost_and_comes_back(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("stall", cameras.url(0))
    server.wait_for_state(camera_id, "online")
    cameras.fault(0, stall_ms=7000)
    server.wait_for_state(camera_id, "offline", timeout_s=12)
    server.wait_for_state(camera_id, "online", timeout_s=15)


def test_lost_and_reordered_packets(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("lossy", cameras.url(0), transport="udp")
    server.wait_for_state(camera_id, "online")
    cameras.fault(0, reorder_ratio=0.05, drop_ratio=0.01)
    server.wait_for_recording(camera_id, 5)
    status = server.get(f"/cameras/{camera_id}/status")
    assert status["state"] == "online"
    assert status["rtp_lost"] > 0


def test_camera_clock_jump_keeps_server_time(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("clock", cameras.url(0))
    server.wait_for_recording(camera_id, 2)
    cameras.fault(0, clock_jump_ms=3_600_000)
    ranges = server.wait_for_recording(camera_id, 6)
    recorded = server.get(f"/cameras/{camera_id}/status")
    assert recorded["state"] == "online"
    assert len(ranges) <= 2
