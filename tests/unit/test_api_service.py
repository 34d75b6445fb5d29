"""Health, metrics, documentation, headers, limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.memory_installation import MemoryInstallation, problem_code
from vms.adapters.tokens import JwtSigner
from vms.api import metrics
from vms.contracts.files import VolumeStatus
from vms.contracts.media import MediaMetrics
from vms.contracts.storage import StorageUsage
from vms.domain.cameras import Camera, CameraStatus, StreamSource
from vms.domain.errors import Failure


def test_health(vms: MemoryInstallation) -> None:
    assert vms.anonymous.get("/healthz").json() == {"status": "ok"}
    assert vms.anonymous.get("/readyz").status_code == 200
    vms.ready = Failure("unavailable", "the database does not answer")
    answer = vms.anonymous.get("/readyz")
    assert answer.status_code == 503
    assert problem_code(answer) == "unavailable"
    assert vms.anonymous.get("/healthz").status_code == 200


def test_every_answer_has_security_headers(vms: MemoryInstallation) -> None:
    for path in ("/healthz", "/api/v1/cameras", "/nothing", "/docs"):
        headers = vms.anonymous.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers
    secure = vms.anonymous.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert "max-age" in secure.headers["strict-transport-security"]


def test_paths_and_methods_that_are_none(vms: MemoryInstallation) -> None:
    assert problem_code(vms.anonymous.get("/nothing")) == "not-found"
    assert problem_code(vms.anonymous.put("/healthz")) == "method-not-allowed"


def test_other_pages_may_ask(vms: MemoryInstallation) -> None:
    preflight = vms.anonymous.options(
        "/api/v1/cameras",
        headers={
            "Origin": "https://elsewhere.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers


def test_the_interface_describes_itself(vms: MemoryInstallation) -> None:
    document = vms.anonymous.get("/openapi.json").json()
    assert "/api/v1/cameras/{camera_id}/timeline" in document["paths"]
    assert "/api/v1/cameras/{camera_id}/playback.mp4" in document["paths"]
    assert not any(path.startswith("/internal") for path in document["paths"])
    draft = document["components"]["schemas"]["CameraDraft"]
    assert draft["additionalProperties"] is False
    page = vms.anonymous.get("/docs")
    assert "/openapi.json" in page.text
    assert "https://" not in page.text
    assert "sha256-" in page.headers["content-security-policy"]


def test_bodies_have_a_bound(vms: MemoryInstallation) -> None:
    large = b"x" * ((1 << 20) + 1)
    announced = vms.client.post("/api/v1/cameras", content=large)
    assert announced.status_code == 413
    assert problem_code(announced) == "request-too-large"

    def pieces() -> Iterator[bytes]:
        yield large[: 1 << 19]
        yield large[1 << 19 :]

    chunked = vms.client.post("/api/v1/cameras", content=pieces())
    assert chunked.status_code == 413
    strange = vms.client.post("/api/v1/cameras", content=b"{}", headers={"Content-Length": "-1"})
    assert strange.status_code == 413


def test_an_unexpected_error_says_nothing_of_itself(vms: MemoryInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(vms.cameras, "page", fail)
    with TestClient(vms.rooms.application, raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/cameras", headers=dict(vms.client.headers))
    assert answer.status_code == 500
    assert problem_code(answer) == "internal"
    assert "secret" not in answer.text


def test_metrics_name_the_cameras(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera(name='Gate "7"\\')["id"]
    vms.show(camera_id)
    answer = vms.anonymous.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    labels = f'{{camera="{camera_id}",name="Gate \\"7\\"\\\\"}}'
    assert f"vms_camera_fps{labels} 30" in lines
    assert f"vms_camera_bitrate{labels} 4000000" in lines
    assert f"vms_camera_status{labels} 1" in lines
    assert "vms_disk_usage_bytes 600" in lines
    assert "vms_write_throughput 0" in lines
    assert len([line for line in lines if line.startswith("vms_camera_state{")]) == 5
    assert len({line for line in lines if line.startswith("# TYPE")}) == len(
        [line for line in lines if line.startswith("# TYPE")]
    )


def test_metrics_are_for_this_machine_or_a_session(vms: MemoryInstallation) -> None:
    away = {"X-Forwarded-For": "203.0.113.9"}
    assert vms.anonymous.get("/metrics", headers=away).status_code == 401
    assert vms.client.get("/metrics", headers=away).status_code == 200
    # Only what the front adds last counts.
    spoofed = {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}
    assert vms.anonymous.get("/metrics", headers=spoofed).status_code == 401
    assert vms.anonymous.get("/metrics", headers={"X-Forwarded-For": "::ffff:127.0.0.1"}).status_code == 200
    assert vms.anonymous.get("/metrics", headers={"X-Forwarded-For": "nonsense"}).status_code == 401


def test_metrics_of_a_camera_that_never_showed_anything() -> None:
    camera = Camera(id="c", name="n\nm", streams={"main": StreamSource(url="rtsp://h/")}, created_us=0, updated_us=0)
    usage = StorageUsage(media=MediaMetrics(), write_bytes_per_second=1.5)
    text = metrics.exposition([camera], {"c": CameraStatus()}, usage)
    assert 'vms_camera_status{camera="c",name="n\\nm"} 0' in text.splitlines()
    assert "vms_write_throughput 1.5" in text.splitlines()
    assert "vms_whep_switches_down_total 0" in text.splitlines()
    assert "vms_camera_last_frame_timestamp_seconds{" not in text


def test_metrics_of_volumes() -> None:
    bad = VolumeStatus(
        name="disk2", path="/mnt/2", weight=1, tier="slow", reserve_bytes=1, state="failing", reason="disk failure",
        free_bytes=7, total_bytes=9, recorded_bytes=2, bytes_written_total=3, write_errors_total=4,
    )  # fmt: skip
    usage = StorageUsage(media=MediaMetrics(volumes=(bad,)), write_bytes_per_second=0)
    lines = metrics.exposition([], {}, usage).splitlines()
    for line in (
        'vms_volume_free_bytes{volume="disk2"} 7',
        'vms_volume_total_bytes{volume="disk2"} 9',
        'vms_volume_recorded_bytes{volume="disk2"} 2',
        'vms_volume_state{volume="disk2",state="failing"} 1',
        'vms_volume_state{volume="disk2",state="ok"} 0',
        'vms_volume_written_bytes_total{volume="disk2"} 3',
        'vms_volume_write_errors_total{volume="disk2"} 4',
    ):
        assert line in lines


def test_storage_usage(vms: MemoryInstallation) -> None:
    usage = vms.client.get("/api/v1/storage").json()
    assert usage["disk_free_bytes"] == 400
    assert vms.anonymous.get("/api/v1/storage").status_code == 401


@pytest.fixture
def limited(tmp_path: Path, token_signer: JwtSigner) -> MemoryInstallation:
    return MemoryInstallation(tmp_path / "exports", token_signer, requests_per_minute=10)


def test_the_rate_is_bounded_per_address_and_per_session(limited: MemoryInstallation) -> None:
    from_elsewhere = {"X-Forwarded-For": "203.0.113.9"}
    for _ in range(10):
        assert limited.anonymous.get("/api/v1/cameras", headers=from_elsewhere).status_code == 401
    refused = limited.anonymous.get("/api/v1/cameras", headers=from_elsewhere)
    assert refused.status_code == 429
    assert problem_code(refused) == "rate-limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert refused.headers["x-content-type-options"] == "nosniff"
    # Neither a made-up token nor a made-up sender gets round it; another address is not hit.
    forged = {**from_elsewhere, "Authorization": "Bearer x.y.z"}
    assert limited.anonymous.get("/api/v1/cameras", headers=forged).status_code == 429
    spoofed = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
    assert limited.anonymous.get("/api/v1/cameras", headers=spoofed).status_code == 429
    assert limited.anonymous.get("/api/v1/cameras", headers={"X-Forwarded-For": "203.0.113.10"}).status_code == 401
    # A session has ten times as much, wherever it comes from.
    for _ in range(100):
        assert limited.client.get("/api/v1/cameras", headers=from_elsewhere).status_code == 200
    assert limited.client.get("/api/v1/cameras").status_code == 429
    limited.clock.advance(60)
    assert limited.anonymous.get("/api/v1/cameras", headers=from_elsewhere).status_code == 401
    assert limited.client.get("/api/v1/cameras").status_code == 200


def test_log_ins_count_against_the_address_even_with_a_session(limited: MemoryInstallation) -> None:
    statuses = [
        limited.client.post("/api/v1/auth/token", data={"username": "admin", "password": "x"}).status_code
        for _ in range(12)
    ]
    assert statuses.count(401) == 9  # the fixture's own log-in was the tenth
    assert statuses[-1] == 429


def test_media_and_health_are_not_counted(limited: MemoryInstallation) -> None:
    camera_id = limited.add_camera()["id"]
    paths = ["/healthz", "/readyz", "/metrics"]
    paths += [f"/api/v1/cameras/{camera_id}/{part}" for part in ("snapshot.jpg", "frame.jpg", "playback.mp4")]
    for _ in range(5):
        for path in paths:
            assert limited.anonymous.get(path).status_code != 429


@pytest.mark.parametrize("path", ["/graphql", "/ws/cameras/x/live"])
def test_what_is_not_built_yet_says_so(vms: MemoryInstallation, path: str) -> None:
    answer = vms.client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (501, "urn:vms:problem:not-available-yet")
