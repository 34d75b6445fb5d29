"""Events over the interface: kept, found, closed, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.memory_installation import MemoryInstallation, problem_code
from vms.api.routes import media
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.time import format_time
from vms.storage import events as storage_events

MINUTE_US = 60_000_000


@pytest.fixture
def camera_id(vms: MemoryInstallation) -> str:
    return str(vms.add_camera()["id"])


def _post(vms: MemoryInstallation, camera_id: str, **fields: Any) -> httpx2.Response:
    event = {"camera_id": camera_id, "type": "motion", "start": format_time(vms.clock.now_us()), **fields}
    return vms.client.post("/api/v1/events", json=event)


def _kept(vms: MemoryInstallation, camera_id: str, **fields: Any) -> dict[str, Any]:
    answer = _post(vms, camera_id, **fields)
    assert answer.status_code == 201, answer.text
    event: dict[str, Any] = answer.json()
    return event


def _ids(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event["id"] for event in answer.json()["items"]]


def test_an_event_comes_back_as_it_was_posted(vms: MemoryInstallation, camera_id: str) -> None:
    now = format_time(vms.clock.now_us())
    fields = {
        "type": "line.crossed",
        "start": now,
        "end": now,
        "score": 0.5,
        "text": "Straße 😀",
        "data": {"b": [1, None, {"ü": 1.5}]},
    }
    answer = _post(vms, camera_id, **fields)
    event = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/events/{event['id']}"
    assert event == {
        **fields,
        "id": event["id"],
        "camera_id": camera_id,
        "source": "api:admin",
        "created_at": event["created_at"],
    }
    assert vms.client.get(f"/api/v1/events/{event['id']}").json() == event
    assert vms.client.get("/api/v1/events").json() == {"items": [event], "next_cursor": None}
    bare = vms.client.post("/api/v1/events", json={"camera_id": camera_id, "type": "motion"}).json()
    assert (bare["start"], bare["end"], bare["data"]) == (bare["created_at"], None, {})
    assert bare["start"] > now


def test_what_is_acknowledged_lies_in_the_journal(vms: MemoryInstallation, camera_id: str, tmp_path: Path) -> None:
    event = _kept(vms, camera_id, text="gate")
    journals = list(tmp_path.rglob("events_*.journal"))
    assert [journal.parts[-3] for journal in journals] == [camera_id]
    assert event["id"] in journals[0].read_text()


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"type": "Motion"}, "validation", "/type"),
        ({"type": "motion."}, "validation", "/type"),
        ({"type": ""}, "validation", "/type"),
        ({"type": "m" * 65}, "validation", "/type"),
        ({"id": "not-an-id"}, "validation", "/id"),
        ({"id": "0190163D-8694-7000-8000-000000000000"}, "validation", "/id"),
        ({"start": "1999-12-31T23:59:59Z"}, "time-out-of-range", "/start"),
        ({"start": "2999-01-01T00:00:00Z"}, "time-out-of-range", "/start"),
        ({"start": "yesterday"}, "validation", "/start"),
        ({"end": "2001-01-01T00:00:00Z"}, "span-reversed", "/end"),
        ({"end": "2999-01-01T00:00:00Z"}, "span-too-long", "/end"),
        ({"text": "a\nb"}, "validation", "/text"),
        ({"text": "bell\u0007"}, "validation", "/text"),
        ({"text": "x" * 1025}, "validation", "/text"),
        ({"data": {"k": "x" * 16384}}, "data-too-large", "/data"),
        ({"data": {"k": "nul\u0000"}}, "validation", "/data"),
        ({"data": {"nul\u0000": 1}}, "validation", "/data"),
        ({"data": {"k": 2**64}}, "validation", "/data"),
        ({"data": [1]}, "validation", "/data"),
        ({"score": 1.5}, "validation", "/score"),
        ({"source": "ai"}, "validation", "/source"),
    ],
)
def test_events_that_cannot_be(
    vms: MemoryInstallation, camera_id: str, fields: dict[str, Any], code: str, pointer: str
) -> None:
    answer = _post(vms, camera_id, **fields)
    assert answer.status_code == 422, answer.text
    assert problem_code(answer) == code
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert vms.client.get("/api/v1/events").json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"camera_id":"CAMERA","type":"motion","text":"\\ud800"}',
        b'{"camera_id":"CAMERA","type":"motion","data":{"k":"\\udfff"}}',
        b'{"camera_id":"CAMERA","type":"motion","data":{"k":NaN}}',
        b'{"camera_id":"CAMERA","type":"motion","data":{"k":Infinity}}',
        b'{"camera_id":"CAMERA","type":"motion","score":NaN}',
        b'{"camera_id":"CAMERA","type":"motion","data":{"k":' + b"[" * 40 + b"]" * 40 + b"}}",
        b'{"camera_id":"CAMERA","type":"motion","data":{"k":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"camera_id":"CAMERA","type":"motion","data":{"k":' + b"9" * 5000 + b"}}",
        b'{"camera_id":',
        b"[]",
    ],
    ids=range(10),
)
def test_bodies_that_json_or_we_cannot_bear(vms: MemoryInstallation, camera_id: str, body: bytes) -> None:
    answer = vms.client.post(
        "/api/v1/events",
        content=body.replace(b"CAMERA", camera_id.encode()),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}, answer.text
    problem_code(answer)


def test_an_event_of_no_camera(vms: MemoryInstallation) -> None:
    for camera in (make_id(1, b"\0" * 8), "../../etc"):
        answer = _post(vms, camera)
        assert (answer.status_code, problem_code(answer)) == (404, "camera-not-found")


def test_the_same_event_twice_is_one_and_another_is_refused(vms: MemoryInstallation, camera_id: str) -> None:
    event_id = make_id(vms.clock.now_us(), b"\1" * 8)
    first = _kept(vms, camera_id, id=event_id, text="a")
    vms.clock.advance(1.0)
    again = _post(vms, camera_id, id=event_id, text="a", start=first["start"])
    assert (again.status_code, again.json()) == (200, first)
    other = _post(vms, camera_id, id=event_id, text="b", start=first["start"])
    assert (other.status_code, problem_code(other)) == (409, "event-exists")
    assert _ids(vms.client.get("/api/v1/events")) == [event_id]


def test_an_open_event_is_closed_by_a_second_post_or_a_patch(vms: MemoryInstallation, camera_id: str) -> None:
    start = format_time(vms.clock.now_us())
    ids = [make_id(vms.clock.now_us(), bytes([number]) * 8) for number in (1, 2)]
    for event_id in ids:
        assert _kept(vms, camera_id, id=event_id, start=start)["end"] is None
    vms.clock.advance(60.0)
    end = format_time(vms.clock.now_us())
    closed = _post(vms, camera_id, id=ids[0], start=start, end=end)
    assert (closed.status_code, closed.json()["end"]) == (200, end)
    late = _post(vms, camera_id, id=ids[0], start=start)
    assert (late.status_code, late.json()["end"]) == (200, end)
    patched = vms.client.patch(f"/api/v1/events/{ids[1]}", json={"end": end, "text": "seen", "score": 1})
    assert patched.status_code == 200
    assert (patched.json()["end"], patched.json()["text"], patched.json()["score"]) == (end, "seen", 1.0)
    assert vms.client.get(f"/api/v1/events/{ids[1]}").json() == patched.json()
    assert vms.client.patch(f"/api/v1/events/{ids[1]}", json={"end": end}).status_code == 200
    vms.clock.advance(1.0)
    other_end = format_time(vms.clock.now_us())
    refused = vms.client.patch(f"/api/v1/events/{ids[1]}", json={"end": other_end})
    assert (refused.status_code, problem_code(refused)) == (409, "event-ended")
    refused = _post(vms, camera_id, id=ids[0], start=start, end=other_end)
    assert (refused.status_code, problem_code(refused)) == (409, "event-exists")


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"end": None}, "validation"),
        ({"text": None}, "validation"),
        ({"end": "2000-01-01T00:00:00Z"}, "span-reversed"),
        ({"end": "2999-01-01T00:00:00Z"}, "span-too-long"),
        ({"text": "\u0000"}, "validation"),
        ({"score": -1}, "validation"),
        ({"type": "other"}, "validation"),
    ],
)
def test_changes_that_cannot_be(vms: MemoryInstallation, camera_id: str, patch: dict[str, Any], code: str) -> None:
    event = _kept(vms, camera_id)
    answer = vms.client.patch(f"/api/v1/events/{event['id']}", json=patch)
    assert (answer.status_code, problem_code(answer)) == (422, code)
    assert vms.client.get(f"/api/v1/events/{event['id']}").json() == event


def test_events_that_are_not_there(vms: MemoryInstallation) -> None:
    for event_id in (make_id(1, b"\0" * 8), "..", "x"):
        for answer in (
            vms.client.get(f"/api/v1/events/{event_id}"),
            vms.client.patch(f"/api/v1/events/{event_id}", json={"text": "a"}),
        ):
            if event_id != "..":
                assert (answer.status_code, problem_code(answer)) == (404, "event-not-found")


def test_lists_are_pages_newest_first_with_filters(vms: MemoryInstallation, camera_id: str) -> None:
    other_camera = str(vms.add_camera(name="Yard")["id"])
    vms.clock.advance(600.0)
    now_us = vms.clock.now_us()
    kinds = [("motion", "cat"), ("line.crossed", "A CAT and a dog"), ("io.input", "100%"), ("motion", "")]
    ids = []
    for number, (kind, text) in enumerate(kinds):
        at = format_time(now_us - number * MINUTE_US)
        camera = other_camera if number == 3 else camera_id
        ids.append(_kept(vms, camera, type=kind, text=text, start=at, end=at)["id"])
    get = vms.client.get
    assert _ids(get("/api/v1/events")) == ids
    page = get("/api/v1/events", params={"limit": 3})
    assert _ids(page) == ids[:3]
    rest = get("/api/v1/events", params={"limit": 3, "cursor": page.json()["next_cursor"]})
    assert _ids(rest) == ids[3:]
    assert rest.json()["next_cursor"] is None
    assert _ids(get("/api/v1/events", params={"camera_id": other_camera})) == ids[3:]
    assert _ids(get("/api/v1/events", params={"camera_id": [camera_id, other_camera]})) == ids
    assert _ids(get("/api/v1/events", params={"type": ["motion", "io.input"]})) == [ids[0], ids[2], ids[3]]
    assert _ids(get("/api/v1/events", params={"q": "cat"})) == ids[:2]
    assert _ids(get("/api/v1/events", params={"q": "DOG Line"})) == [ids[1]]
    assert _ids(get("/api/v1/events", params={"q": "%"})) == [ids[2]]
    span = {"start": format_time(now_us - 2 * MINUTE_US), "end": format_time(now_us)}
    assert _ids(get("/api/v1/events", params=span)) == ids[1:3]


def test_questions_that_cannot_be(vms: MemoryInstallation) -> None:
    for params, code in (
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "span-reversed"),
        ({"cursor": "zzz"}, "bad-cursor"),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OmE"}, "bad-cursor"),
        ({"camera_id": "../x"}, "validation"),
        ({"limit": "0"}, "validation"),
        ({"limit": "1001"}, "validation"),
        ({"start": "then"}, "validation"),
    ):
        answer = vms.client.get("/api/v1/events", params=params)
        assert (answer.status_code, problem_code(answer)) == (422, code), params


def test_who_may(vms: MemoryInstallation, camera_id: str) -> None:
    event = _kept(vms, camera_id)
    body = {"camera_id": camera_id, "type": "motion"}
    assert vms.anonymous.post("/api/v1/events", json=body).status_code == 401
    assert vms.anonymous.get("/api/v1/events").status_code == 401
    viewer = vms.as_user("ana", "viewer")
    operator = vms.as_user("bob", "operator")
    for answer in (
        viewer.post("/api/v1/events", json=body),
        viewer.get("/api/v1/events"),
        viewer.get(f"/api/v1/events/{event['id']}"),
        viewer.patch(f"/api/v1/events/{event['id']}", json={"text": "a"}),
    ):
        assert (answer.status_code, problem_code(answer)) == (403, "forbidden")
    made = operator.post("/api/v1/events", json=body)
    assert (made.status_code, made.json()["source"]) == (201, "api:bob")
    assert operator.get("/api/v1/events").status_code == 200
    assert operator.patch(f"/api/v1/events/{event['id']}", json={"text": "a"}).status_code == 200


def test_a_disk_that_refuses_is_told_and_the_event_is_not_there(
    vms: MemoryInstallation, camera_id: str, tmp_path: Path
) -> None:
    cameras = tmp_path / "exports" / "storage" / "cameras"
    cameras.mkdir(parents=True)
    (cameras / camera_id).write_text("in the way")
    answer = _post(vms, camera_id)
    assert (answer.status_code, problem_code(answer)) == (503, "events-not-written")
    assert "not kept: " in answer.json()["detail"]
    assert answer.headers["retry-after"]
    assert _ids(vms.client.get("/api/v1/events")) == []
    (cameras / camera_id).unlink()
    _kept(vms, camera_id)


def test_the_timeline_has_the_events_and_says_when_some_are_left_out(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = vms.clock.now_us()
    span = {"start": format_time(now_us), "end": format_time(now_us + MINUTE_US)}
    vms.clock.advance(60.0)
    made = [_kept(vms, camera_id, start=format_time(now_us + number), type=f"t{number}") for number in range(3)]
    marks = [{key: event[key] for key in ("id", "type", "start", "end")} for event in made]
    path = f"/api/v1/cameras/{camera_id}/timeline"
    answer = vms.client.get(path, params=span).json()
    assert (answer["events"], answer["events_cut"]) == (marks, False)
    monkeypatch.setattr(media, "MOST_TIMELINE_EVENTS", 2)
    answer = vms.client.get(path, params=span).json()
    assert (answer["events"], answer["events_cut"]) == (marks[1:], True)


def test_the_catalogue_may_fail_without_losing_an_event(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = vms.events.put

    def refuse(*_: object) -> None:
        raise Failure("unavailable", "the database does not work")

    monkeypatch.setattr(vms.events, "put", refuse)
    event = _kept(vms, camera_id)
    assert vms.client.get(f"/api/v1/events/{event['id']}").json() == event
    monkeypatch.setattr(vms.events, "put", put)
    vms.rooms.events.tidy(vms.stopping)
    assert _ids(vms.client.get("/api/v1/events")) == [event["id"]]


def test_events_of_an_hour_that_is_over_move_and_stay_findable(
    vms: MemoryInstallation, camera_id: str, tmp_path: Path
) -> None:
    first = _kept(vms, camera_id)
    vms.clock.advance(7200.0)
    vms.rooms.events.tidy(vms.stopping)
    assert not list(tmp_path.rglob("events_*.journal"))
    assert len(list(tmp_path.rglob("events_*.parquet"))) == 1
    vms.client.headers["Authorization"] = f"Bearer {vms.log_in()['access_token']}"
    late = _kept(vms, camera_id, start=first["start"], text="late")
    end = format_time(vms.clock.now_us())
    vms.client.patch(f"/api/v1/events/{first['id']}", json={"end": end})
    for _ in range(2):
        report = vms.rooms.events.rebuild_events()
        assert (report.hours, report.events, report.problems) == (1, 2, [])
        found = {event["id"]: event for event in vms.client.get("/api/v1/events").json()["items"]}
        assert found == {first["id"]: {**first, "end": end}, late["id"]: late}
        vms.rooms.events.tidy(vms.stopping)
        assert not list(tmp_path.rglob("events_*.journal"))


def test_a_disk_that_hangs_holds_nobody_up_for_long(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_events, "COMMIT_WAIT_S", 0.05)
    with vms.rooms.events._writing:
        answer = _post(vms, camera_id)
        assert (answer.status_code, problem_code(answer)) == (503, "events-not-written")
