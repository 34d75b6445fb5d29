"""What a camera's policy means at an instant, and what the media core is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.memory_installation import MemoryInstallation, problem_code
from vms.domain.errors import Failure
from vms.domain.recording_policy import NEVER_US, RecordingPolicy, StreamName, plan
from vms.domain.time import parse_time

BOTH: list[StreamName] = ["main", "sub"]
STREAMS = {"main": {"url": "rtsp://192.0.2.1/a"}, "sub": {"url": "rtsp://192.0.2.1/b"}}
OFFICE = {"time_zone": "UTC", "week": {"mon": [{"from": "08:00", "to": "18:00", "mode": "motion"}]}}


def _recordings(policy: dict[str, Any], at_us: int = 0, started_until_us: int | None = None) -> tuple[str, str]:
    planned = plan(RecordingPolicy.model_validate(policy), BOTH, at_us, started_until_us)
    return planned.streams["main"].recording, planned.streams["sub"].recording


@pytest.mark.parametrize(
    ("policy", "usual", "started"),
    [
        ({}, ("continuous", "continuous"), ("continuous", "continuous")),
        ({"mode": "off"}, ("off", "off"), ("off", "off")),
        ({"mode": "manual"}, ("off", "off"), ("continuous", "continuous")),
        ({"mode": "motion"}, ("buffered", "buffered"), ("buffered", "buffered")),
        ({"mode": "event", "streams": {"sub": "continuous"}}, ("buffered", "continuous"), ("buffered", "continuous")),
        ({"mode": "manual", "streams": {"sub": "off"}}, ("off", "off"), ("continuous", "off")),
        ({"mode": "schedule", "schedule": OFFICE}, ("off", "off"), ("continuous", "continuous")),
    ],
)
def test_what_each_mode_records(policy: dict[str, Any], usual: tuple[str, str], started: tuple[str, str]) -> None:
    assert _recordings(policy) == usual
    assert _recordings(policy, 5, NEVER_US) == started
    assert _recordings(policy, 5, 5) == usual


def test_inside_a_slot_of_motion_the_buffer_waits_for_motion() -> None:
    monday_us = parse_time("2026-11-23T12:00:00Z")
    policy = RecordingPolicy.model_validate({"mode": "schedule", "schedule": OFFICE, "pre_event_s": 90})
    planned = plan(policy, ["main"], monday_us, None)
    wanted = planned.streams["main"].wanted
    assert wanted is not None
    assert (wanted.pre_event_s, wanted.wants("motion"), wanted.wants("line_crossed")) == (90, True, False)
    assert planned.changes_us == parse_time("2026-11-23T18:00:00Z")


def test_events_are_all_but_motion_unless_named() -> None:
    every = plan(RecordingPolicy.model_validate({"mode": "event"}), ["main"], 0, None).streams["main"].wanted
    named = (
        plan(RecordingPolicy.model_validate({"mode": "event", "event_types": ["motion", "door"]}), ["main"], 0, None)
        .streams["main"]
        .wanted
    )
    assert every is not None
    assert named is not None
    assert [every.wants(name) for name in ("motion", "door", "fire")] == [False, True, True]
    assert [named.wants(name) for name in ("motion", "door", "fire")] == [True, True, False]


@pytest.mark.parametrize(
    "policy",
    [
        {"mode": "sometimes"},
        {"mode": "schedule"},
        {"streams": {"sub": "schedule"}},
        {"streams": {"third": "off"}},
        {"streams": {"main": "now and then"}},
        {"pre_event_s": -1},
        {"pre_event_s": 601},
        {"pre_event_s": "a minute"},
        {"post_event_s": 3601},
        {"event_types": []},
        {"event_types": ["Line Crossed"]},
        {"colour": "red"},
    ],
)
def test_policies_that_are_none(vms: MemoryInstallation, policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RecordingPolicy.model_validate(policy)
    camera = vms.add_camera()
    patched = vms.client.patch(f"/api/v1/cameras/{camera['id']}", json={"recording": policy})
    assert (patched.status_code, problem_code(patched)) == (422, "validation")
    assert vms.client.get(f"/api/v1/cameras/{camera['id']}").json()["recording"] == camera["recording"]


def test_the_media_core_is_told_what_to_record_of_each_stream(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(streams=STREAMS, recording={"mode": "event", "streams": {"sub": "continuous"}})
    path = f"/api/v1/cameras/{camera['id']}"
    assert vms.media.sources[camera["id"]].recording == {"main": "buffered", "sub": "continuous"}
    assert vms.client.get(f"{path}/recording").json() == {
        "streams": {"main": "buffered", "sub": "continuous"},
        "started": None,
        "changes_at": None,
    }
    vms.client.patch(path, json={"recording": {"streams": {"sub": None}}})
    assert vms.media.sources[camera["id"]].recording == {"main": "buffered", "sub": "buffered"}
    spans = sorted(vms.history.spans(), key=lambda span: (span.stream, span.start_us))
    assert [(span.stream, span.kind, span.end_us is None) for span in spans] == [
        ("main", "buffered", True),
        ("sub", "continuous", False),
        ("sub", "buffered", True),
    ]
    # What was recorded continuously is covered until after the change, and what comes from before it.
    assert spans[1].end_us is not None
    assert spans[1].end_us > spans[2].start_us


def test_a_schedule_changes_what_is_recorded_when_its_time_comes(vms: MemoryInstallation) -> None:
    week = {"mon": [{"from": "00:00", "to": "24:00"}], "tue": [{"from": "00:00", "to": "24:00", "mode": "motion"}]}
    camera = vms.add_camera(recording={"mode": "schedule", "schedule": {"time_zone": "UTC", "week": week}})
    source = vms.media.sources[camera["id"]]
    # The clock begins on Monday 2026-11-23 at 10:13 UTC.
    assert source.recording == {"main": "continuous"}
    assert vms.rooms.ingest.replan_due() == 0
    assert vms.media.sources[camera["id"]] is source
    vms.clock.advance(14 * 3600)
    assert vms.rooms.ingest.replan_due() == 1
    assert vms.media.sources[camera["id"]].recording == {"main": "buffered"}
    assert vms.rooms.ingest.replan(camera["id"]) is False
    vms.clock.advance(-14 * 3600)
    assert vms.rooms.ingest.replan_due() == 1
    assert vms.media.sources[camera["id"]].recording == {"main": "continuous"}


def test_a_span_closed_after_the_clock_went_back_covers_what_it_recorded(vms: MemoryInstallation) -> None:
    camera = vms.add_camera()
    vms.clock.advance(3600)
    vms.rooms.ingest.replan(camera["id"])
    until_us = vms.clock.now_us()
    vms.clock.advance(-7200)
    vms.client.patch(f"/api/v1/cameras/{camera['id']}", json={"recording": {"mode": "motion"}})
    closed = next(span for span in vms.history.spans() if span.kind == "continuous")
    assert closed.end_us is not None
    assert closed.end_us >= until_us - 1


def test_recording_by_hand(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(recording={"mode": "manual"})
    path = f"/api/v1/cameras/{camera['id']}/recording"
    operator = vms.as_user("ona", "operator")
    assert vms.media.sources[camera["id"]].recording == {"main": "off"}
    started = operator.post(path, json={"state": "start", "seconds": 60})
    assert started.status_code == 200, started.text
    assert started.json()["started"]["by"] == "ona"
    assert started.json()["changes_at"] == started.json()["started"]["end"]
    assert vms.media.sources[camera["id"]].recording == {"main": "continuous"}
    vms.clock.advance(61)
    assert vms.rooms.ingest.replan_due() == 1
    assert vms.media.sources[camera["id"]].recording == {"main": "off"}
    assert operator.get(path).json()["started"] is None
    operator.post(path, json={"state": "start"})
    # As after a restart: all that is known lies in the tables.
    vms.media.sources.clear()
    vms.rooms.ingest.start()
    assert vms.media.sources[camera["id"]].recording == {"main": "continuous"}
    assert operator.post(path, json={"state": "stop"}).json()["streams"] == {"main": "off"}
    assert operator.post(path, json={"state": "stop"}).status_code == 200


def test_who_may_not_record_by_hand(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(recording={"mode": "off"})
    path = f"/api/v1/cameras/{camera['id']}/recording"
    assert problem_code(vms.as_user("vera", "viewer").post(path, json={"state": "start"})) == "forbidden"
    refused = vms.client.post(path, json={"state": "start"})
    assert (refused.status_code, problem_code(refused)) == (409, "recording-off")
    for body in ({"state": "pause"}, {"state": "start", "seconds": 0}, {"state": "stop", "seconds": 5}, {}):
        assert vms.client.post(path, json=body).status_code == 422
    unknown = "/api/v1/cameras/01890a5d-ac96-774b-bcce-b302099a8057/recording"
    assert vms.client.post(unknown, json={"state": "start"}).status_code == 404


def test_a_camera_that_the_core_refuses_leaves_no_open_span(vms: MemoryInstallation) -> None:
    def refuse(camera_id: str, source: object) -> None:
        raise Failure("internal", "no")

    vms.media.set_camera = refuse  # type: ignore[method-assign]
    assert vms.client.post("/api/v1/cameras", json={"name": "x", "streams": STREAMS}).status_code == 500
    assert all(span.end_us is not None for span in vms.history.spans())


def test_a_removed_camera_is_remembered_with_its_limits(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(retention={"days": 7, "min_days": 2})
    vms.client.delete(f"/api/v1/cameras/{camera['id']}")
    (former,) = vms.former.all()
    assert (former.id, former.name, former.retention.days) == (camera["id"], "Gate", 7)
    assert all(span.end_us is not None for span in vms.history.spans())
