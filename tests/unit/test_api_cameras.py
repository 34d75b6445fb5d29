"""Cameras: validation, credentials, pages, merge patches, status."""

from __future__ import annotations

from typing import Any

import pytest

from tests.memory_installation import CAMERA, MemoryInstallation, problem_code
from vms.domain.cameras import CameraStatus
from vms.domain.errors import Failure
from vms.domain.time import parse_time

SECRET = "tr0ub4dor&3"


def test_a_camera_is_added_and_connected(vms: MemoryInstallation) -> None:
    answer = vms.client.post(
        "/api/v1/cameras",
        json={
            "name": " Gate ",
            "streams": {
                "main": {"url": "rtsp://192.0.2.10:554/main", "transport": "udp"},
                "sub": {"url": "rtsps://cam.example/sub"},
            },
            "credentials": {"username": "viewer", "password": SECRET},
            "recording": {"mode": "continuous"},
            "retention": {"days": 30, "max_bytes": None},
        },
    )
    assert answer.status_code == 201
    camera = answer.json()
    assert answer.headers["location"] == f"/api/v1/cameras/{camera['id']}"
    assert camera["name"] == "Gate"
    assert camera["streams"]["main"] == {"url": "rtsp://192.0.2.10:554/main", "transport": "udp"}
    assert camera["streams"]["sub"] == {"url": "rtsps://cam.example/sub", "transport": "tcp"}
    assert camera["credentials"] == {"username": "viewer"}
    assert camera["recording"]["mode"] == "continuous"
    assert camera["retention"] == {"days": 30, "max_bytes": None, "min_days": None, "main_days": None}
    assert parse_time(camera["created_at"]) <= vms.clock.now_us()
    assert SECRET not in answer.text
    source = vms.media.sources[camera["id"]]
    assert source.username == "viewer"
    assert source.password is not None
    assert source.password.get_secret_value() == SECRET
    assert set(source.recording.values()) == {"continuous"}


def test_the_password_is_sealed_and_never_shown(
    vms: MemoryInstallation, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    camera = vms.add_camera(streams={"main": {"url": f"rtsp://viewer:{SECRET.replace('&', '%26')}@192.0.2.10/a"}})
    kept = vms.cameras.get(camera["id"])
    assert kept.credentials is not None
    assert kept.credentials.sealed_password is not None
    assert SECRET.encode() not in kept.credentials.sealed_password
    assert vms.sealer.unseal(kept.credentials.sealed_password, camera["id"]) == SECRET
    answers = [
        vms.client.get("/api/v1/cameras").text,
        vms.client.get(f"/api/v1/cameras/{camera['id']}").text,
        vms.client.patch(f"/api/v1/cameras/{camera['id']}", json={"name": "x"}).text,
        # Refused ones repeat nothing of what was sent.
        vms.client.post(
            "/api/v1/cameras",
            json={
                "name": "y",
                "streams": {"main": {"url": f"ftp://a:{SECRET}@b"}},
                "credentials": {"password": SECRET},
            },
        ).text,
        vms.client.post(
            "/api/v1/cameras",
            json={**CAMERA, "name": "z", "credentials": {"username": "a", "password": SECRET + "\n"}},
        ).text,
        vms.client.post("/api/v1/cameras", content=f'{{"password": "{SECRET}').text,
        camera["streams"]["main"]["url"],
    ]
    for answer in answers:
        assert "tr0ub4dor" not in answer
    written = capfd.readouterr()
    assert "tr0ub4dor" not in written.out + written.err + caplog.text


def test_credentials_in_the_url_move_out(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(streams={"main": {"url": "rtsp://us%40er:p%3Ass@[2001:db8::1]:8554/a?b=c"}})
    assert camera["streams"]["main"]["url"] == "rtsp://[2001:db8::1]:8554/a?b=c"
    source = vms.media.sources[camera["id"]]
    assert source.username == "us@er"
    assert source.password is not None
    assert source.password.get_secret_value() == "p:ss"
    assert source.streams["main"].url == "rtsp://[2001:db8::1]:8554/a?b=c"


def test_explicit_credentials_win_over_those_in_the_url(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(
        streams={"main": {"url": "rtsp://a:b@192.0.2.1/"}}, credentials={"username": "c", "password": "d"}
    )
    assert vms.media.sources[camera["id"]].username == "c"


def _with(**fields: Any) -> dict[str, Any]:
    return {**CAMERA, **fields}


def _url(url: str) -> dict[str, Any]:
    return _with(streams={"main": {"url": url}})


@pytest.mark.parametrize(
    ("draft", "pointer"),
    [
        ({}, "/name"),
        (_with(name="  "), "/name"),
        (_with(name="a\nb"), "/name"),
        (_with(name="x" * 201), "/name"),
        (_with(name=5), "/name"),
        (_with(streams={}), "/streams/main"),
        (_with(streams={"main": {"url": "rtsp://192.0.2.1/"}, "third": {}}), "/streams/third"),
        (_with(colour="red"), "/colour"),
        (_with(id="x"), "/id"),
        (_with(streams={"main": {"url": "rtsp://192.0.2.1/", "transport": "quic"}}), "/streams/main/transport"),
        (_url("http://192.0.2.1/video.mp4"), "/streams/main/url"),
        (_url("file:///etc/passwd"), "/streams/main/url"),
        (_url("rtsp:///path"), "/streams/main/url"),
        (_url("rtsp://192.0.2.1:99999/"), "/streams/main/url"),
        (_url("rtsp://192.0.2.1:0/"), "/streams/main/url"),
        (_url("rtsp://[2001:db8::1/"), "/streams/main/url"),
        (_url("rtsp://192.0.2.1/a b"), "/streams/main/url"),
        (_url("rtsp://192.0.2.1/\r\nDESCRIBE"), "/streams/main/url"),
        (_url("192.0.2.1/stream"), "/streams/main/url"),
        (_url("rtsp://192.0.2.1/" + "x" * 3000), "/streams/main/url"),
        (_url("rtsp://us%0d%0aer:x@192.0.2.1/"), ""),
        (_with(credentials={"username": ""}), "/credentials/username"),
        (_with(credentials={"username": "a\r\n"}), "/credentials/username"),
        (_with(recording={"mode": "sometimes"}), "/recording/mode"),
        (_with(retention={"days": 0}), "/retention/days"),
        (_with(retention={"max_bytes": -1}), "/retention/max_bytes"),
    ],
)
def test_drafts_that_are_no_camera(vms: MemoryInstallation, draft: dict[str, Any], pointer: str) -> None:
    answer = vms.client.post("/api/v1/cameras", json=draft)
    assert answer.status_code == 422
    assert problem_code(answer) == "validation"
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert vms.media.sources == {}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "\xff"])
def test_bodies_that_are_no_document(vms: MemoryInstallation, body: str) -> None:
    answer = vms.client.post(
        "/api/v1/cameras", content=body.encode("latin-1"), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}
    problem_code(answer)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.",
        "cam.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "169.254.169.254",
        "[fe80::1]",
        "224.0.0.1",
    ],
)
def test_addresses_of_the_server_itself_are_refused(vms: MemoryInstallation, host: str) -> None:
    for streams in (
        {"main": {"url": f"rtsp://{host}/a"}},
        {"main": {"url": "rtsp://192.0.2.1/a"}, "sub": {"url": f"rtsp://{host}:8554/a"}},
    ):
        answer = vms.client.post("/api/v1/cameras", json=_with(streams=streams))
        assert answer.status_code == 422, host
        assert problem_code(answer) == "camera-address-refused"


def test_names_are_unique_without_regard_to_case(vms: MemoryInstallation) -> None:
    vms.add_camera(name="Straße")
    answer = vms.client.post("/api/v1/cameras", json=_with(name="STRASSE"))
    assert answer.status_code == 409
    assert problem_code(answer) == "camera-name-taken"
    other = vms.add_camera(name="other")
    assert vms.client.patch(f"/api/v1/cameras/{other['id']}", json={"name": "straße"}).status_code == 409
    assert vms.client.patch(f"/api/v1/cameras/{other['id']}", json={"name": "OTHER"}).status_code == 200


@pytest.mark.parametrize("camera_id", ["x", "01890a5d-ac96-774b-bcce-b302099a8057", "..%2f..%2fetc", "%00"])
def test_unknown_cameras(vms: MemoryInstallation, camera_id: str) -> None:
    for method, part in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/status"), ("GET", "/snapshot.jpg")):
        answer = vms.client.request(
            method, f"/api/v1/cameras/{camera_id}{part}", json={} if method == "PATCH" else None
        )
        assert answer.status_code == 404
        assert problem_code(answer) in {"camera-not-found", "not-found"}


def test_everything_needs_a_log_in_before_it_tells_what_exists(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera()["id"]
    for known in (camera_id, "01890a5d-ac96-774b-bcce-b302099a8057"):
        for part in ("", "/status", "/snapshot.jpg", "/timeline?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z"):
            assert vms.anonymous.get(f"/api/v1/cameras/{known}{part}").status_code == 401
    assert vms.anonymous.post("/api/v1/cameras", json=CAMERA).status_code == 401


def test_pages(vms: MemoryInstallation) -> None:
    added = [vms.add_camera(name=f"c{number}")["id"] for number in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    pages = 0
    while True:
        page = vms.client.get("/api/v1/cameras", params=query).json()
        seen += [camera["id"] for camera in page["items"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == added
    assert pages == 3
    exact = vms.client.get("/api/v1/cameras", params={"limit": "5"}).json()
    assert exact["next_cursor"] is None


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "é"}])
def test_pages_that_cannot_be(vms: MemoryInstallation, query: dict[str, str]) -> None:
    answer = vms.client.get("/api/v1/cameras", params=query)
    assert answer.status_code == 422
    problem_code(answer)


def test_a_patch_changes_what_it_names(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(
        streams={"main": {"url": "rtsp://192.0.2.1/a", "transport": "udp"}, "sub": {"url": "rtsp://192.0.2.1/b"}},
        credentials={"username": "u", "password": SECRET},
        retention={"days": 7},
    )
    path = f"/api/v1/cameras/{camera['id']}"

    def source_password() -> str | None:
        password = vms.media.sources[camera["id"]].password
        return None if password is None else password.get_secret_value()

    after = vms.client.patch(path, json={"name": "New", "streams": {"main": {"url": "rtsp://192.0.2.2/c"}}}).json()
    assert after["streams"]["main"] == {"url": "rtsp://192.0.2.2/c", "transport": "udp"}
    assert after["streams"]["sub"] == camera["streams"]["sub"]
    assert after["retention"]["days"] == 7
    assert after["updated_at"] > camera["updated_at"]
    assert source_password() == SECRET
    assert vms.client.patch(path, json={"credentials": {"username": "v"}}).json()["credentials"] == {"username": "v"}
    assert source_password() == SECRET
    vms.client.patch(path, json={"credentials": {"password": "second"}})
    assert source_password() == "second"
    vms.client.patch(path, json={"credentials": {"password": None}})
    assert source_password() is None
    after = vms.client.patch(path, json={"credentials": None, "streams": {"sub": None}, "retention": None}).json()
    assert after["credentials"] is None
    assert set(after["streams"]) == {"main"}
    assert set(after["retention"].values()) == {None}
    off = vms.client.patch(path, json={"recording": {"mode": "off"}}).json()
    assert off["recording"]["mode"] == "off"
    assert set(vms.media.sources[camera["id"]].recording.values()) == {"off"}


@pytest.mark.parametrize(
    "patch",
    [
        {"id": "x"},
        {"colour": 1},
        {"streams": {"main": None}},
        {"streams": None},
        {"name": None},
        {"streams": {"main": {"url": "http://192.0.2.1/"}}},
        {"streams": {"main": {"url": "rtsp://127.0.0.1/"}}},
        {"credentials": "x"},
    ],
)
def test_patches_that_leave_no_camera(vms: MemoryInstallation, patch: dict[str, Any]) -> None:
    camera = vms.add_camera()
    path = f"/api/v1/cameras/{camera['id']}"
    answer = vms.client.patch(path, json=patch)
    assert answer.status_code == 422
    problem_code(answer)
    assert vms.client.get(path).json() == camera


def test_a_camera_that_the_core_refuses_is_not_kept(vms: MemoryInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = vms.add_camera(name="kept")

    def refuse(camera_id: str, source: object) -> None:
        raise Failure("unavailable", "the core does not answer")

    monkeypatch.setattr(vms.media, "set_camera", refuse)
    answer = vms.client.post("/api/v1/cameras", json=CAMERA)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert vms.client.patch(f"/api/v1/cameras/{kept['id']}", json={"name": "new"}).status_code == 503
    assert [camera["name"] for camera in vms.client.get("/api/v1/cameras").json()["items"]] == ["kept"]


def test_a_removed_camera_is_disconnected(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera()["id"]
    assert vms.client.delete(f"/api/v1/cameras/{camera_id}").status_code == 204
    assert vms.client.get(f"/api/v1/cameras/{camera_id}").status_code == 404
    assert vms.media.sources == {}


def test_status_has_the_documented_form(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera()["id"]
    path = f"/api/v1/cameras/{camera_id}/status"
    assert vms.client.get(path).json()["state"] == "connecting"
    vms.media.states[camera_id] = CameraStatus(
        state="online", codec="h265", width=3840, height=2160, fps=25.0, last_frame_us=1_795_428_780_000_001
    )
    status = vms.client.get(path).json()
    documented = {
        "state", "reason", "codec", "width", "height", "fps", "bitrate_bps", "last_frame_at", "reconnects", "rtp_lost",
        "recording",
    }  # fmt: skip
    assert documented <= set(status)
    assert status["last_frame_at"] == "2026-11-23T10:13:00.000001Z"


def test_a_camera_whose_secret_is_lost_says_so_and_keeps_none_from_starting(vms: MemoryInstallation) -> None:
    broken = vms.add_camera(name="broken", credentials={"username": "u", "password": "p"})
    whole = vms.add_camera(name="whole")
    kept = vms.cameras.get(broken["id"])
    assert kept.credentials is not None
    lost = kept.credentials.model_copy(update={"sealed_password": b"\0" * 60})
    vms.cameras.replace(kept.model_copy(update={"credentials": lost}))
    vms.media.sources.clear()
    assert vms.rooms.ingest.start() == 2
    assert whole["id"] in vms.media.sources
    status = vms.client.get(f"/api/v1/cameras/{broken['id']}/status").json()
    assert status["state"] == "error"
    assert "sealed" in status["reason"]
