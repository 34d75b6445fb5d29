"""Links, live sessions, stills, timelines."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.memory_installation import MemoryInstallation, problem_code
from vms.domain.errors import Failure
from vms.domain.time import format_time, parse_time

OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\na=rtpmap:96 H264/90000\r\n"
SDP = {"Content-Type": "application/sdp"}
NOW_US = 1_795_428_780_000_000
HOUR_US = 3_600_000_000


@pytest.fixture
def camera_id(vms: MemoryInstallation) -> str:
    camera = vms.add_camera(
        streams={"main": {"url": "rtsp://192.0.2.1/a"}, "sub": {"url": "rtsp://192.0.2.1/b"}},
    )
    identifier = str(camera["id"])
    vms.show(identifier)
    vms.record(identifier, NOW_US - HOUR_US, NOW_US - HOUR_US // 2)
    vms.record(identifier, NOW_US - HOUR_US // 2 + 5_000_000, NOW_US)
    return identifier


def _link(vms: MemoryInstallation, camera_id: str, **body: Any) -> Any:
    return vms.client.post(f"/api/v1/cameras/{camera_id}/links", json=body)


def test_a_whep_link_opens_a_live_session_without_a_header(vms: MemoryInstallation, camera_id: str) -> None:
    answer = _link(vms, camera_id, protocol="whep")
    assert answer.status_code == 200
    link = answer.json()
    assert set(link) == {"url", "expires_at"}
    assert link["url"].startswith("http://testserver/api/v1/cameras/")
    assert 295_000_000 < parse_time(link["expires_at"]) - vms.clock.now_us() <= 300_000_000
    opened = vms.anonymous.post(link["url"], content=OFFER, headers={**SDP, "Origin": "https://elsewhere.example"})
    assert opened.status_code == 201
    assert opened.headers["content-type"] == "application/sdp"
    assert opened.text.startswith("v=0")
    location = opened.headers["location"]
    assert location.startswith(f"/api/v1/cameras/{camera_id}/live/whep/")
    assert "Location" in opened.headers["access-control-expose-headers"]
    assert opened.headers["access-control-allow-origin"] == "*"
    trickle = {"Content-Type": "application/trickle-ice-sdpfrag"}
    # The session goes on after the five minutes to start it are over.
    vms.clock.advance(400)
    assert vms.anonymous.patch(location, content="a=candidate:1", headers=trickle).status_code == 204
    assert vms.anonymous.delete(location).status_code == 204
    assert vms.anonymous.delete(location).status_code == 404
    late = vms.anonymous.post(link["url"], content=OFFER, headers=SDP)
    assert late.status_code == 401
    assert problem_code(late) == "link-expired"


def test_an_ice_restart_is_refused_as_whep_wants_it(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = vms.client.post(f"/api/v1/cameras/{camera_id}/live/whep", content=OFFER, headers=SDP).headers["location"]

    def refuse(session_id: str, fragment: str) -> None:
        raise Failure("unsupported", "ICE restart: close this session and open a new one instead")

    monkeypatch.setattr(vms.media, "whep_patch", refuse)
    trickle = {"Content-Type": "application/trickle-ice-sdpfrag"}
    refused = vms.client.patch(location, content="a=ice-ufrag:other", headers=trickle)
    assert (refused.status_code, problem_code(refused)) == (422, "unsupported")
    assert "open a new one" in refused.json()["detail"]


def test_whep_with_a_session(vms: MemoryInstallation, camera_id: str) -> None:
    path = f"/api/v1/cameras/{camera_id}/live/whep"
    opened = vms.client.post(f"{path}?stream=sub", content=OFFER, headers=SDP)
    assert opened.status_code == 201
    assert "token" not in opened.headers["location"]
    assert vms.client.delete(opened.headers["location"]).status_code == 204
    assert vms.anonymous.post(path, content=OFFER, headers=SDP).status_code == 401


def test_whep_of_whichever_stream_suits(vms: MemoryInstallation, camera_id: str) -> None:
    path = f"/api/v1/cameras/{camera_id}/live/whep"
    opened = vms.client.post(f"{path}?stream=auto&height=270", content=OFFER, headers=SDP)
    assert opened.status_code == 201
    assert "application/json" in opened.headers["accept-patch"]
    location = opened.headers["location"]
    session_id = location.rpartition("/")[2]
    assert vms.media.watched[session_id] == ("auto", 270)
    assert vms.client.patch(location, json={"height": 1080}).status_code == 204
    assert vms.media.watched[session_id] == ("auto", 1080)
    for wrong in ({"height": 0}, {"height": 20_000}, {"height": "tall"}, {}, {"height": 5, "width": 5}):
        assert problem_code(vms.client.patch(location, json=wrong)) == "validation"
    broken = vms.client.patch(location, content=b"{", headers={"Content-Type": "application/json"})
    assert problem_code(broken) == "malformed"
    assert problem_code(vms.client.patch(f"{path}/nobody", json={"height": 5})) == "session-not-found"
    assert vms.anonymous.patch(location, json={"height": 5}).status_code == 401
    assert vms.client.post(f"{path}?stream=auto&height=0", content=OFFER, headers=SDP).status_code == 422
    # A camera of one stream has that.
    alone = vms.add_camera(name="no sub")["id"]
    vms.show(alone)
    opened = vms.client.post(f"/api/v1/cameras/{alone}/live/whep?stream=auto", content=OFFER, headers=SDP)
    assert vms.media.watched[opened.headers["location"].rpartition("/")[2]] == ("main", None)


def test_whep_that_cannot_be(vms: MemoryInstallation, camera_id: str) -> None:
    path = f"/api/v1/cameras/{camera_id}/live/whep"

    def post(content: str | bytes = OFFER, headers: dict[str, str] = SDP, query: str = "") -> Any:
        return vms.client.post(path + query, content=content, headers=headers)

    assert problem_code(post(content="hello")) == "malformed-sdp"
    assert problem_code(post(content=b"\xff\xfe")) == "malformed-sdp"
    assert problem_code(post(content=OFFER + "x" * 70_000)) == "malformed-sdp"
    foreign = post(content=OFFER.replace("H264", "VP8"))
    assert (foreign.status_code, problem_code(foreign)) == (406, "no-common-codec")
    assert post(headers={"Content-Type": "application/json"}).status_code == 415
    assert post(query="?stream=third").status_code == 422
    vms.media.max_viewers = 0
    full = post()
    assert (full.status_code, problem_code(full)) == (503, "too-many-viewers")
    assert full.headers["retry-after"]
    vms.media.max_viewers = 8
    vms.media.states.clear()
    assert problem_code(post()) == "camera-shows-nothing"
    alone = vms.add_camera(name="no sub")["id"]
    missing = vms.client.post(f"/api/v1/cameras/{alone}/live/whep?stream=sub", content=OFFER, headers=SDP)
    assert problem_code(missing) == "stream-not-found"
    wrong = vms.client.patch(f"{path}/session-1", content="x", headers={"Content-Type": "text/plain"})
    assert wrong.status_code == 415


def test_links_are_for_one_camera_one_action_and_one_stream(vms: MemoryInstallation, camera_id: str) -> None:
    other = vms.add_camera(name="other")["id"]
    vms.show(other)
    link = _link(vms, camera_id, protocol="whep", stream="sub").json()
    token = parse_qs(urlsplit(link["url"]).query)["token"][0]

    def post(path: str) -> Any:
        return vms.anonymous.post(path, content=OFFER, headers=SDP)

    assert post(link["url"]).status_code == 201
    assert post(f"/api/v1/cameras/{camera_id}/live/whep?token={token}").status_code == 201
    assert vms.media.sessions
    assert post(f"/api/v1/cameras/{other}/live/whep?token={token}").status_code == 403
    assert post(f"/api/v1/cameras/{camera_id}/live/whep?stream=main&token={token}").status_code == 403
    assert post(f"/api/v1/cameras/{camera_id}/live/whep?stream=auto&token={token}").status_code == 403
    frame = f"/api/v1/cameras/{camera_id}/frame.jpg?at={format_time(NOW_US - 1)}&token={token}"
    assert vms.anonymous.get(frame).status_code == 403
    assert post(f"/api/v1/cameras/{camera_id}/live/whep?token={token}x").status_code == 401
    assert post(f"/api/v1/cameras/{camera_id}/live/whep?token=").status_code == 401


def test_links_of_recordings(vms: MemoryInstallation, camera_id: str) -> None:
    start, end = format_time(NOW_US - HOUR_US), format_time(NOW_US)
    for protocol, path in (("mp4", "playback.mp4"), ("hls", "playback/index.m3u8")):
        url = urlsplit(_link(vms, camera_id, protocol=protocol, start=start, end=end).json()["url"])
        assert url.path == f"/api/v1/cameras/{camera_id}/{path}"
        query = parse_qs(url.query)
        assert (query["start"], query["end"]) == ([start], [end])
        grant = vms.grants.verify(query["token"][0])
        assert (grant.action, grant.start_us, grant.end_us) == ("playback", NOW_US - HOUR_US, NOW_US)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"protocol": "srt"}, 501, "protocol-not-available"),
        ({"protocol": "rtsp"}, 501, "protocol-not-available"),
        ({"protocol": "ws"}, 501, "protocol-not-available"),
        ({"protocol": "hls"}, 501, "protocol-not-available"),
        ({"protocol": "mp4"}, 422, "start-missing"),
        ({"protocol": "whep", "start": "2026-11-23T10:00:00Z"}, 422, "times-not-allowed"),
        (
            {"protocol": "mp4", "start": "2026-11-23T10:00:00Z", "end": "2026-11-23T09:00:00Z"},
            422,
            "span-reversed",
        ),
        ({"protocol": "gopher"}, 422, "validation"),
        ({"protocol": "mp4", "start": "yesterday"}, 422, "validation"),
        ({"protocol": "mp4", "start": 5}, 422, "validation"),
        ({"protocol": "whep", "extra": 1}, 422, "validation"),
        ({}, 422, "validation"),
    ],
)
def test_links_that_cannot_be(
    vms: MemoryInstallation, camera_id: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = _link(vms, camera_id, **body)
    assert answer.status_code == status
    assert problem_code(answer) == code


def test_a_timeline_shows_ranges_and_gaps(vms: MemoryInstallation, camera_id: str) -> None:
    path = f"/api/v1/cameras/{camera_id}/timeline"
    whole = {"start": format_time(NOW_US - 2 * HOUR_US), "end": format_time(NOW_US + HOUR_US)}
    timeline = vms.client.get(path, params=whole).json()
    assert [entry["stream"] for entry in timeline["ranges"]] == ["main", "main"]
    assert timeline["ranges"][0]["start"] == format_time(NOW_US - HOUR_US)
    assert timeline["gaps"] == [
        {"start": timeline["ranges"][0]["end"], "end": timeline["ranges"][1]["start"], "cause": "unknown"}
    ]
    assert timeline["events"] == []
    # A + that nobody encoded arrives as a space.
    offset = vms.client.get(f"{path}?start=2026-11-23T10:00:00+01:00&end=2026-11-23T12:00:00.5Z")
    assert offset.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?start=2026-11-23T10:00:00Z",
        "?start=2026-11-23T10:00:00Z&end=2026-11-23T10:00:00Z",
        "?start=2026-11-23T11:00:00Z&end=2026-11-23T10:00:00Z",
        "?start=2024-11-23T11:00:00Z&end=2026-11-23T10:00:00Z",
        "?start=2026-11-23T10:00:00&end=2026-11-24T10:00:00Z",
        "?start=1700000000&end=1700000001",
    ],
)
def test_timelines_that_cannot_be(vms: MemoryInstallation, camera_id: str, query: str) -> None:
    answer = vms.client.get(f"/api/v1/cameras/{camera_id}/timeline{query}")
    assert answer.status_code == 422
    problem_code(answer)


def test_stills(vms: MemoryInstallation, camera_id: str) -> None:
    now = vms.client.get(f"/api/v1/cameras/{camera_id}/snapshot.jpg?height=180")
    assert now.status_code == 200
    assert now.headers["content-type"] == "image/jpeg"
    assert now.headers["cache-control"] == "no-store"
    assert parse_time(now.headers["vms-captured-at"]) <= vms.clock.now_us()
    at = format_time(NOW_US - 1_000_000)
    then = vms.client.get(f"/api/v1/cameras/{camera_id}/frame.jpg", params={"at": at})
    assert then.status_code == 200
    assert then.headers["vms-captured-at"] == at


def test_stills_that_are_not_there(vms: MemoryInstallation, camera_id: str) -> None:
    path = f"/api/v1/cameras/{camera_id}/frame.jpg"
    for at in (NOW_US + HOUR_US, NOW_US - HOUR_US // 2 + 1_000_000):
        answer = vms.client.get(path, params={"at": format_time(at)})
        assert answer.status_code == 404
        assert problem_code(answer) == "nothing-recorded"
    assert vms.client.get(path).status_code == 422
    assert vms.client.get(path, params={"at": "now"}).status_code == 422
    assert vms.client.get(path, params={"at": format_time(NOW_US - 1), "height": "5"}).status_code == 422
    vms.media.states.clear()
    assert vms.client.get(f"/api/v1/cameras/{camera_id}/snapshot.jpg").status_code == 409


@pytest.mark.parametrize("kind", ["malformed", "unsupported", "unavailable", "internal"])
def test_a_picture_that_cannot_be_decoded_is_a_conflict(
    vms: MemoryInstallation, camera_id: str, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Failure(kind, "the decoder gave up")

    monkeypatch.setattr(vms.media, "picture_now", fail)
    answer = vms.client.get(f"/api/v1/cameras/{camera_id}/snapshot.jpg")
    assert answer.status_code == 409
    assert problem_code(answer) == "no-picture"


def test_a_link_for_a_minute_gives_stills_of_that_minute_and_that_stream_alone(
    vms: MemoryInstallation, camera_id: str
) -> None:
    start_us, end_us = NOW_US - HOUR_US, NOW_US - HOUR_US + 60_000_000
    link = _link(
        vms, camera_id, protocol="mp4", stream="main", start=format_time(start_us), end=format_time(end_us)
    ).json()
    token = parse_qs(urlsplit(link["url"]).query)["token"][0]

    def status(at_us: int, query: str = "") -> int:
        path = f"/api/v1/cameras/{camera_id}/frame.jpg?at={format_time(at_us)}&token={token}{query}"
        return vms.anonymous.get(path).status_code

    assert status(start_us) == status(end_us - 1) == status(start_us, "&stream=main") == 200
    assert status(start_us - 1) == status(end_us) == status(start_us, "&stream=sub") == 403
    live = _link(vms, camera_id, protocol="whep", stream="sub").json()
    live_token = parse_qs(urlsplit(live["url"]).query)["token"][0]
    snapshot = f"/api/v1/cameras/{camera_id}/snapshot.jpg?token={live_token}"
    assert vms.anonymous.get(snapshot).status_code == 200
    assert vms.anonymous.get(snapshot + "&stream=main").status_code == 403
