"""Two processes: one keeps cameras and archive, the other has users, interface and front."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from benchmarks.recorded_stamps import stamps_of_camera
from benchmarks.running_server import RunningServer, free_port
from benchmarks.running_storage import RunningStorage
from benchmarks.simulated_cameras import SimulatedCameras
from tests.e2e.test_webrtcbin import watch
from tests.system.players import probe


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[RunningStorage]:
    with RunningStorage(tmp_path / "node") as running:
        yield running


@pytest.fixture
def interface(storage: RunningStorage, tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "interface", environment=storage.for_server) as running:
        yield running


def _within(seconds: float, what: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def _status(server: RunningServer, path: str) -> int:
    return server.client.get(f"{server.url}{path}").status_code


def _frames(directory: Path, camera_id: str) -> list[int]:
    return [stamp.frame for stamp in stamps_of_camera(directory, camera_id)]


def _playlist(server: RunningServer, camera_id: str, span: dict[str, str]) -> tuple[str, list[bytes]]:
    """The playlist without its tokens, and the bytes of all that it names."""
    base = f"/cameras/{camera_id}/playback/"
    text = server.client.get(base + "index.m3u8", params=span).raise_for_status().text
    uris = [line.split('"')[1] if 'URI="' in line else line for line in text.splitlines() if "?token=" in line]
    with httpx.Client(base_url=server.client.base_url) as nobody:
        content = [nobody.get(base + uri).raise_for_status().content for uri in uris]
    for uri in uris:
        text = text.replace(uri, uri.partition("?")[0])
    return text, content


def test_recordings_are_the_same_as_from_one_process(
    storage: RunningStorage, interface: RunningServer, cameras: SimulatedCameras, tmp_path: Path
) -> None:
    camera_id = interface.add_camera("gate", cameras.url(0))
    assert interface.wait_for_state(camera_id, "online")["codec"] == "h264"
    (recorded,) = interface.wait_for_recording(camera_id, 8)
    start = datetime.fromisoformat(recorded["start"]) + timedelta(seconds=3.1)
    span = {"start": start.isoformat(), "end": (start + timedelta(seconds=4)).isoformat()}
    path = f"/cameras/{camera_id}/playback.mp4"
    apart = interface.client.get(path, params=span)
    assert apart.status_code == 200
    size = len(apart.content)
    part = interface.client.get(path, params=span, headers={"Range": f"bytes={size // 2}-"})
    assert (part.status_code, part.content) == (206, apart.content[size // 2 :])
    stale = interface.client.get(path, params=span, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, apart.content)
    same = interface.client.get(path, params=span, headers={"If-None-Match": apart.headers["etag"]})
    assert same.status_code == 304
    head = interface.client.head(path, params=span)
    assert (head.headers["content-length"], head.headers["etag"]) == (str(size), apart.headers["etag"])
    beyond = interface.client.get(path, params=span, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert (
        interface.client.get(path, params={"start": "2001-01-01T00:00:00Z", "end": "2001-01-01T00:01:00Z"}).status_code
        == 404
    )
    playlist, segments = _playlist(interface, camera_id, span)
    assert interface.client.get(f"/cameras/{camera_id}/snapshot.jpg").content[:2] == b"\xff\xd8"
    assert interface.client.get(f"/cameras/{camera_id}/frame.jpg", params={"at": span["start"]}).status_code == 200
    assert interface.get("/storage")["recorded_bytes"] > 0
    assert "vms_" in httpx.get(f"{interface.url}/metrics").text

    # A player asks by the address alone.
    link = interface.client.post(f"/cameras/{camera_id}/links", json={"protocol": "mp4", **span}).json()["url"]
    assert probe(link)["streams"][0]["codec_name"] == "h264"

    assert interface.stop() == 0
    assert storage.stop() == 0
    whole = tmp_path / "whole"
    shutil.copytree(interface.data_dir, whole, ignore=shutil.ignore_patterns("storage", "run"))
    shutil.copytree(storage.data_dir / "storage", whole / "storage")
    with RunningServer(whole, environment={"VMS_ADMIN_PASSWORD": interface.password}) as one:
        together = one.client.get(path, params=span)
        assert together.content == apart.content
        for name in ("etag", "vms-start", "content-type", "content-length", "cache-control", "accept-ranges"):
            assert together.headers[name] == apart.headers[name]
        assert _playlist(one, camera_id, span) == (playlist, segments)


def test_exports_come_to_the_interface(
    storage: RunningStorage, interface: RunningServer, cameras: SimulatedCameras
) -> None:
    ids = [interface.add_camera(f"camera {number}", cameras.url(number)) for number in range(2)]
    spans = [interface.wait_for_recording(camera_id, 3)[0] for camera_id in ids]
    span = {"start": min(entry["start"] for entry in spans), "end": max(entry["end"] for entry in spans)}
    for wanted, count in (("mp4", 1), ("mkv", 1), ("zip", 2)):
        order = interface.client.post("/exports", json={"camera_ids": ids[:count], "format": wanted, **span})
        export_id = order.raise_for_status().json()["id"]
        _within(30, lambda export_id=export_id: interface.get(f"/exports/{export_id}")["state"] != "running")  # type: ignore[misc]
        export = interface.get(f"/exports/{export_id}")
        assert export["state"] == "done", export
        answer = interface.client.get(f"/exports/{export_id}/download", headers={"Range": "bytes=0-99"})
        assert (answer.status_code, len(answer.content)) == (206, 100)
    assert list((storage.data_dir / "outgoing").iterdir()) == []
    assert len(list((interface.data_dir / "exports").iterdir())) == 3


def test_live_pictures_come_from_the_storage_service(
    storage: RunningStorage, interface: RunningServer, cameras: SimulatedCameras, tmp_path: Path
) -> None:
    camera_id = interface.add_camera("live", cameras.url(0))
    interface.wait_for_state(camera_id, "online")
    seen = watch(interface, camera_id, tmp_path)
    assert seen["pictures"] > 0


def test_a_storage_service_that_is_killed(
    storage: RunningStorage, interface: RunningServer, cameras: SimulatedCameras
) -> None:
    camera_id = interface.add_camera("killed", cameras.url(0))
    (before,) = interface.wait_for_recording(camera_id, 4)
    span = {"start": before["start"], "end": before["end"]}
    path = f"/cameras/{camera_id}/playback.mp4"
    whole = interface.client.get(path, params=span)
    storage.kill()
    calls = [
        (path, span),
        (f"/cameras/{camera_id}/timeline", span),
        (f"/cameras/{camera_id}/playback/index.m3u8", span),
        (f"/cameras/{camera_id}/status", {}),
        ("/storage", {}),
    ]
    for address, parameters in calls:
        began = time.monotonic()
        answer = interface.client.get(address, params=parameters)
        assert time.monotonic() - began < 1
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:vms:problem:storage-down"
        assert "retry-after" in answer.headers
    draft = {"name": "new", "streams": {"main": {"url": cameras.url(1)}}}
    assert interface.client.post("/cameras", json=draft).status_code == 503
    _within(2, lambda: _status(interface, "/readyz") == 503)
    assert _status(interface, "/healthz") == 200
    assert len(interface.get("/cameras")["items"]) == 1

    storage.start()
    assert _within(10, lambda: _status(interface, "/readyz") == 200) < 2
    again = interface.client.get(path, params=span)
    assert (again.content, again.headers["etag"]) == (whole.content, whole.headers["etag"])
    interface.wait_for_state(camera_id, "online")
    _within(30, lambda: len(interface.wait_for_recording(camera_id, 1)) == 2)
    assert interface.client.post("/cameras", json=draft).status_code == 201
    interface.stop()
    storage.stop()
    frames = _frames(storage.data_dir, camera_id)
    assert frames == sorted(set(frames))


def test_an_interface_that_is_killed(
    storage: RunningStorage, interface: RunningServer, cameras: SimulatedCameras
) -> None:
    kept, removed = (interface.add_camera(name, cameras.url(number)) for number, name in enumerate(("kept", "gone")))
    (before,) = interface.wait_for_recording(kept, 2)
    interface.wait_for_recording(removed, 1)
    interface.kill()
    time.sleep(3)
    # What one process is told while the other is away counts once both are there.
    interface.start()
    (after,) = interface.wait_for_recording(kept, 1)
    assert after["start"] == before["start"]
    longer = datetime.fromisoformat(after["end"]) - datetime.fromisoformat(before["end"])
    assert longer.total_seconds() >= 3
    assert interface.get(f"/cameras/{kept}/status")["reconnects"] == 0
    interface.client.delete(f"/cameras/{removed}").raise_for_status()

    # The storage service records what it was told of, also with nobody to tell it again.
    interface.stop()
    storage.stop()
    began = len(_frames(storage.data_dir, kept))
    gone = len(_frames(storage.data_dir, removed))
    storage.start()
    _within(20, lambda: len(list((storage.data_dir / "storage").rglob("video_*.mp4"))) == 3)
    time.sleep(2)
    storage.stop()
    assert len(_frames(storage.data_dir, kept)) > began
    assert len(_frames(storage.data_dir, removed)) == gone


def test_an_interface_with_another_token_is_told_so(storage: RunningStorage, tmp_path: Path) -> None:
    address = storage.for_server["VMS_STORAGE__ADDRESS"]
    environment = {"VMS_STORAGE__ADDRESS": address, "VMS_STORAGE__TOKEN": "x" * 40}
    with RunningServer(tmp_path / "interface", environment=environment) as interface:
        answer = interface.client.get(f"{interface.url}/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:vms:problem:storage-refuses-token")


def test_what_a_storage_service_cannot_start_with(storage: RunningStorage, tmp_path: Path) -> None:
    def refused(**environment: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "vms", "run", "storage", "--data-dir", str(tmp_path / "other")],
            env={**storage.environment, "VMS_WEBRTC__UDP_PORT": "0", **environment},
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
        )
        assert (run.returncode != 0, run.stdout) == (True, "")
        return run.stderr.splitlines()[-1]

    assert str(storage.port) in refused()
    assert "grpc.port" in refused(VMS_GRPC__PORT="0")
    assert "in clear" in refused(VMS_GRPC__HOST="0.0.0.0", VMS_GRPC__TLS="off")
    port = str(free_port())
    assert "certificate" in refused(
        VMS_GRPC__PORT=port, VMS_GRPC__CERTIFICATE_FILE="/nothing", VMS_GRPC__KEY_FILE="/nothing"
    )


def test_two_machines_speak_by_tls(tmp_path: Path) -> None:
    with RunningStorage(tmp_path / "node", environment={"VMS_GRPC__HOST": "0.0.0.0"}) as storage:
        certificate = storage.data_dir / "keys" / "tls_certificate.pem"
        environment = {**storage.for_server, "VMS_STORAGE__CERTIFICATE_FILE": str(certificate)}
        with RunningServer(tmp_path / "interface", environment=environment) as interface:
            assert _status(interface, "/readyz") == 200
            assert urlsplit(interface.url).scheme == "http"
