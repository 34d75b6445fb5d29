"""Storage, groups and evidence locks over the interface."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.keeping_site import MINUTE_US, recorded_file
from tests.memory_installation import MemoryInstallation, problem_code
from vms.domain.time import format_time

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


def _lock(vms: MemoryInstallation, camera_id: str, **changes: Any) -> dict[str, Any]:
    now_us = vms.clock.now_us()
    return {
        "camera_ids": [camera_id],
        "start": format_time(now_us - 60 * MINUTE_US),
        "end": format_time(now_us),
        "reason": "theft at the gate",
        **changes,
    }


def test_storage_shows_volumes_cameras_and_what_went(vms: MemoryInstallation) -> None:
    camera = vms.add_camera(retention={"max_bytes": 60_000_000})
    start_us = vms.clock.now_us()
    for minute in range(100):
        vms.files.put(recorded_file(camera["id"], start_us + minute * MINUTE_US, MINUTE_US))
    vms.clock.advance(6000)
    vms.client.headers["Authorization"] = f"Bearer {vms.log_in()['access_token']}"
    assert vms.rooms.keeper is not None
    vms.rooms.keeper.turn(threading.Event())
    found = vms.client.get("/api/v1/storage").json()
    (volume,) = found["volumes"]
    assert (volume["name"], volume["state"], volume["forecast"]["outcome"]) == ("main", "ok", "retention")
    (row,) = found["cameras"]
    assert (row["camera_id"], row["bytes"], row["days_left"]) == (camera["id"], 60_000_000, 0.0)
    assert row["oldest"] == format_time(start_us + 40 * MINUTE_US)
    assert row["bytes_per_day"] == pytest.approx(1_440_000_000, rel=0.01)
    assert found["removed"] == {"camera_bytes": {"files": 40, "bytes": 40_000_000}}
    page = vms.client.get("/metrics").text
    assert 'vms_storage_days_left{volume="main"} +Inf' in page
    assert 'vms_storage_removed_files_total{reason="camera_bytes"} 40' in page
    assert 'vms_storage_removed_bytes_total{reason="camera_bytes"} 40000000' in page
    vms.client.patch(f"/api/v1/cameras/{camera['id']}", json={"retention": {"max_bytes": None}})
    assert vms.client.get("/api/v1/storage").json()["volumes"][0]["forecast"]["outcome"] == "full"
    assert vms.as_user("vera", "viewer").get("/api/v1/storage").status_code == 200
    assert vms.anonymous.get("/api/v1/storage").status_code == 401


def test_groups(vms: MemoryInstallation) -> None:
    made = vms.client.post("/api/v1/groups", json={"name": " Yard ", "retention": {"days": 7}})
    assert made.status_code == 201
    group = made.json()
    assert (group["name"], group["retention"]["days"]) == ("Yard", 7)
    path = made.headers["location"]
    assert vms.client.get(path).json() == group
    assert vms.client.get("/api/v1/groups").json()["items"] == [group]
    again = vms.client.post("/api/v1/groups", json={"name": "YARD"})
    assert (again.status_code, problem_code(again)) == (409, "group-name-taken")
    camera = vms.add_camera(group_id=group["id"])
    assert camera["group_id"] == group["id"]
    used = vms.client.delete(path)
    assert (used.status_code, problem_code(used)) == (409, "group-in-use")
    changed = vms.client.patch(path, json={"retention": {"max_bytes": 5}}).json()
    assert (changed["name"], changed["retention"]["days"], changed["retention"]["max_bytes"]) == ("Yard", None, 5)
    assert vms.client.patch(f"/api/v1/cameras/{camera['id']}", json={"group_id": None}).json()["group_id"] is None
    assert vms.client.delete(path).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        gone = vms.client.request(method, path, json={} if method == "PATCH" else None)
        assert (gone.status_code, problem_code(gone)) == (404, "group-not-found")
    assert vms.client.get("/api/v1/groups/x").status_code == 404


@pytest.mark.parametrize(
    "group", [{}, {"name": " "}, {"name": "a\nb"}, {"name": "a", "retention": {"days": 0}}, {"name": "a", "days": 3}]
)
def test_groups_that_are_none(vms: MemoryInstallation, group: dict[str, Any]) -> None:
    assert vms.client.post("/api/v1/groups", json=group).status_code == 422


def test_a_camera_joins_only_a_group_that_there_is(vms: MemoryInstallation) -> None:
    for group_id, code in ((UNKNOWN, "group-not-found"), ("x", "validation")):
        answer = vms.client.post(
            "/api/v1/cameras",
            json={"name": "a", "streams": {"main": {"url": "rtsp://192.0.2.1/a"}}, "group_id": group_id},
        )
        assert (answer.status_code, problem_code(answer)) == (422, code)


def test_only_administrators_change_groups(vms: MemoryInstallation) -> None:
    operator = vms.as_user("ona", "operator")
    assert operator.post("/api/v1/groups", json={"name": "Yard"}).status_code == 403
    assert operator.get("/api/v1/groups").status_code == 200


def test_locks(vms: MemoryInstallation) -> None:
    camera = vms.add_camera()
    ona, otto = vms.as_user("ona", "operator"), vms.as_user("otto", "operator")
    made = ona.post("/api/v1/evidence-locks", json=_lock(vms, camera["id"]))
    assert made.status_code == 201, made.text
    lock = made.json()
    assert (lock["owner"], lock["active"], lock["until"]) == ("ona", True, None)
    path = made.headers["location"]
    assert otto.get(path).json() == lock
    refused = otto.delete(path)
    assert (refused.status_code, problem_code(refused)) == (403, "not-your-lock")
    released = ona.delete(path).json()
    assert (released["active"], released["released_by"]) == (False, "ona")
    # Once released it stays as it was released.
    assert vms.client.delete(path).json() == released
    second = otto.post("/api/v1/evidence-locks", json=_lock(vms, camera["id"])).json()
    assert vms.client.delete(f"/api/v1/evidence-locks/{second['id']}").json()["released_by"] == "admin"
    page = ona.get("/api/v1/evidence-locks", params={"limit": "1"}).json()
    assert [entry["id"] for entry in page["items"]] == [second["id"]]
    rest = ona.get("/api/v1/evidence-locks", params={"cursor": page["next_cursor"]}).json()
    assert [entry["id"] for entry in rest["items"]] == [lock["id"]]
    assert rest["next_cursor"] is None


def test_a_removed_cameras_recordings_can_be_locked(vms: MemoryInstallation) -> None:
    camera = vms.add_camera()
    vms.client.delete(f"/api/v1/cameras/{camera['id']}")
    assert vms.client.post("/api/v1/evidence-locks", json=_lock(vms, camera["id"])).status_code == 201


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"camera_ids": []}, "validation"),
        ({"camera_ids": [UNKNOWN]}, "camera-not-found"),
        ({"camera_ids": ["../x"]}, "camera-not-found"),
        ({"end": "2026-11-01T00:00:00Z"}, "span-reversed"),
        ({"reason": ""}, "validation"),
        ({"reason": "\t \n"}, "lock-without-reason"),
        ({"until": "2026-01-01T00:00:00Z"}, "lock-ended"),
        ({"owner": "somebody"}, "validation"),
        ({"start": "yesterday"}, "validation"),
    ],
)
def test_locks_that_cannot_be(vms: MemoryInstallation, change: dict[str, Any], code: str) -> None:
    camera = vms.add_camera()
    answer = vms.client.post("/api/v1/evidence-locks", json=_lock(vms, camera["id"], **change))
    assert (answer.status_code, problem_code(answer)) == (422, code)
    assert vms.client.get("/api/v1/evidence-locks").json()["items"] == []


def test_who_may_not_lock(vms: MemoryInstallation) -> None:
    viewer = vms.as_user("vera", "viewer")
    camera = vms.add_camera()
    assert viewer.post("/api/v1/evidence-locks", json=_lock(vms, camera["id"])).status_code == 403
    assert viewer.get("/api/v1/evidence-locks").status_code == 403
    for lock_id in (UNKNOWN, "x"):
        assert vms.client.get(f"/api/v1/evidence-locks/{lock_id}").status_code == 404
        assert vms.client.delete(f"/api/v1/evidence-locks/{lock_id}").status_code == 404
