"""Recordings as bytes, where the front has no archive."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.memory_installation import MemoryInstallation, problem_code
from vms.adapters.memory.playback import SIZE_BYTES
from vms.contracts.grants import Grant
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.time import SECOND_US, format_time

MINUTE_US = 60 * SECOND_US


@pytest.fixture
def recorded(vms: MemoryInstallation) -> tuple[str, int]:
    """A camera and where its minute of recording begins."""
    camera_id = str(vms.add_camera()["id"])
    start_us = vms.clock.now_us() // SECOND_US * SECOND_US - MINUTE_US
    vms.record(camera_id, start_us, start_us + MINUTE_US)
    return camera_id, start_us


def _span(start_us: int, seconds: float = 60) -> dict[str, str]:
    return {"start": format_time(start_us), "end": format_time(start_us + int(seconds * SECOND_US))}


def test_playback_with_ranges(vms: MemoryInstallation, recorded: tuple[str, int]) -> None:
    camera_id, start_us = recorded
    path = f"/api/v1/cameras/{camera_id}/playback.mp4"
    whole = vms.client.get(path, params=_span(start_us - 5 * SECOND_US))
    assert (whole.status_code, len(whole.content)) == (200, SIZE_BYTES)
    assert whole.headers["vms-start"] == format_time(start_us)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["cache-control"] == "private, no-cache"
    etag = whole.headers["etag"]

    def ask(**headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return vms.client.get(path, params=_span(start_us - 5 * SECOND_US), headers=named)

    part = ask(range="bytes=1000-400000", if_range=etag)
    assert (part.status_code, part.content) == (206, whole.content[1000:400_001])
    assert part.headers["content-range"] == f"bytes 1000-400000/{SIZE_BYTES}"
    assert part.headers["content-length"] == "399001"
    assert ask(range="bytes=0-9", if_range='"other"').status_code == 200
    beyond = ask(range=f"bytes={SIZE_BYTES}-")
    assert (beyond.status_code, problem_code(beyond)) == (416, "range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{SIZE_BYTES}"
    same = ask(if_none_match=etag)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert problem_code(ask(if_match='"other"')) == "precondition-failed"
    head = vms.client.head(path, params=_span(start_us - 5 * SECOND_US), headers={"range": "bytes=0-1"})
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(SIZE_BYTES))


def test_who_may_play(vms: MemoryInstallation, recorded: tuple[str, int]) -> None:
    camera_id, start_us = recorded
    path = f"/api/v1/cameras/{camera_id}/playback.mp4"
    assert vms.anonymous.get(path, params=_span(start_us)).status_code == 401
    unknown = make_id(5, b"unknown!")
    answer = vms.client.get(f"/api/v1/cameras/{unknown}/playback.mp4", params=_span(start_us))
    assert problem_code(answer) == "camera-not-found"
    assert vms.client.get(path, params={"start": format_time(start_us)}).status_code == 422
    backwards = vms.client.get(path, params={"start": format_time(start_us), "end": format_time(start_us)})
    assert problem_code(backwards) == "span-reversed"
    nothing = vms.client.get(path, params=_span(start_us - 1000 * MINUTE_US))
    assert nothing.status_code == 404
    assert vms.client.get(path, params={**_span(start_us), "stream": "third"}).status_code == 422


def _token(vms: MemoryInstallation, camera_id: str, **bounds: Any) -> str:
    now_s = vms.clock.now_us() // SECOND_US
    fields = {"camera_id": camera_id, "action": "playback", "subject": "x", "starts_before": now_s + 300}
    return vms.grants.sign(Grant.model_validate({**fields, "expires_at": now_s + 3600, **bounds}))


def test_links_bound_what_may_be_played(vms: MemoryInstallation, recorded: tuple[str, int]) -> None:
    camera_id, start_us = recorded
    path = f"/api/v1/cameras/{camera_id}/playback.mp4"

    def status(token: str, seconds: float = 10, **more: str) -> int:
        return vms.anonymous.get(path, params={**_span(start_us, seconds), "token": token, **more}).status_code

    bounds = {"start_us": start_us, "end_us": start_us + 10 * SECOND_US, "stream": "main"}
    token = _token(vms, camera_id, **bounds)
    assert status(token) == 200
    assert status(token, 11) == 403
    assert status(token, stream="sub") == 403
    assert status(_token(vms, camera_id, action="live")) == 403
    assert status(_token(vms, make_id(5, b"unknown!"))) == 403
    assert status("garbage") == 401
    unused = _token(vms, camera_id)
    vms.clock.advance(301)
    assert status(token) == 200, "a link that was used in time goes on"
    assert status(unused) == 401
    vms.clock.advance(3600)
    assert status(token) == 401


def test_a_playlist_leads_to_its_segments(vms: MemoryInstallation, recorded: tuple[str, int]) -> None:
    camera_id, start_us = recorded
    base = f"/api/v1/cameras/{camera_id}/playback/"
    answer = vms.client.get(base + "index.m3u8", params=_span(start_us))
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    lines = answer.text.splitlines()
    init = next(line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP"))
    segment = next(line for line in lines if not line.startswith("#"))
    token = parse_qs(urlsplit(segment).query)["token"][0]
    grant = vms.grants.verify(token)
    assert (grant.start_us, grant.end_us, grant.stream) == (start_us, start_us + MINUTE_US, "main")
    # By the token in the address alone, as players ask, and long after.
    vms.clock.advance(1800)
    for uri in (init, segment):
        got = vms.anonymous.get(base + uri, headers={"range": "bytes=5-9"})
        assert (got.status_code, len(got.content)) == (206, 5)
        assert got.headers["cache-control"] == "private, max-age=3600"
    other = f"segment-{start_us - 1}-{start_us + 5}.m4s"
    assert vms.anonymous.get(base + other, params={"token": token}).status_code == 403
    for nonsense in ("segment-nonsense.m4s", "segment-..%2f..%2fx.m4s", "init-nonsense.mp4"):
        assert vms.anonymous.get(base + nonsense, params={"token": token}).status_code == 404
    linked = vms.anonymous.get(base + "index.m3u8", params={**_span(start_us), "token": token})
    assert f"?token={token}" in linked.text


def test_a_storage_service_that_is_down(
    vms: MemoryInstallation, recorded: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    camera_id, start_us = recorded

    def down(*_: object) -> None:
        raise Failure("unavailable", "the storage service does not answer", code="storage-down")

    monkeypatch.setattr(vms.media, "playback_open", down)
    answer = vms.client.get(f"/api/v1/cameras/{camera_id}/playback.mp4", params=_span(start_us))
    assert (answer.status_code, problem_code(answer)) == (503, "storage-down")
    assert answer.headers["retry-after"] == "2"
