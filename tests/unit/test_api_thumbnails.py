"""Stills for scrubbing, as the interface gives them out."""

from __future__ import annotations

import io
import threading

from tests.memory_installation import MemoryInstallation, problem_code
from vms.domain.thumbnails import HOUR_US, hour_of, read_grid
from vms.domain.time import format_time

NEVER = threading.Event()


def recorded(vms: MemoryInstallation) -> tuple[str, int]:
    """A camera, and the hour before the last, which is recorded and has its stills."""
    camera_id = vms.add_camera()["id"]
    hour_us = hour_of(vms.clock.now_us()) - 2 * HOUR_US
    vms.record(camera_id, hour_us + 600_000_000, hour_us + HOUR_US)
    vms.clock.advance(3601)
    vms.rooms.thumbnails.run(NEVER)
    vms.client.headers["Authorization"] = f"Bearer {vms.log_in()['access_token']}"
    return camera_id, hour_us


def test_a_grid_and_what_is_in_it(vms: MemoryInstallation) -> None:
    camera_id, hour_us = recorded(vms)
    path = f"/api/v1/cameras/{camera_id}/thumbnails"
    span = {"start": format_time(hour_us - 5 * HOUR_US), "end": format_time(hour_us + 9 * HOUR_US)}
    answer = vms.client.get(path, params=span)
    assert answer.status_code == 200, answer.text
    (grid,) = answer.json()["items"]
    assert grid["start"] == format_time(hour_us)
    assert grid["made_until"] == format_time(hour_us + HOUR_US)
    assert (grid["columns"], grid["rows"], grid["cell_width"], grid["cell_height"]) == (20, 18, 160, 90)
    assert (grid["period_s"], len(grid["times"])) == (10, 360)
    assert grid["times"][59:61] == [None, format_time(hour_us + 609_000_000)]
    image = vms.client.get(grid["url"])
    assert (image.status_code, image.headers["content-type"]) == (200, "image/webp")
    assert image.headers["vms-start"] == grid["start"]
    assert image.headers["cache-control"] == "private, max-age=3600"
    assert read_grid(io.BytesIO(image.content)).start_us == hour_us
    again = vms.client.get(grid["url"], headers={"If-None-Match": image.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_where_there_are_none(vms: MemoryInstallation) -> None:
    camera_id, hour_us = recorded(vms)
    path = f"/api/v1/cameras/{camera_id}/thumbnails"
    none = vms.client.get(f"{path}.webp", params={"at": format_time(hour_us - HOUR_US)})
    assert (none.status_code, problem_code(none)) == (404, "no-thumbnails")
    unknown = vms.client.get("/api/v1/cameras/..%2F..%2Fetc/thumbnails.webp", params={"at": format_time(hour_us)})
    assert unknown.status_code == 404
    empty = {"start": format_time(hour_us - 9 * HOUR_US), "end": format_time(hour_us - 8 * HOUR_US)}
    assert vms.client.get(path, params=empty).json() == {"items": []}
    long = {"start": format_time(hour_us - 200 * HOUR_US), "end": format_time(hour_us)}
    assert problem_code(vms.client.get(path, params=long)) == "span-too-long"
    assert vms.client.get(f"{path}.webp").status_code == 422


def test_only_those_who_may_see_recordings(vms: MemoryInstallation) -> None:
    camera_id, hour_us = recorded(vms)
    for part in ("thumbnails", "thumbnails.webp"):
        query = {"at": format_time(hour_us), "start": format_time(hour_us), "end": format_time(hour_us + 1)}
        path = f"/api/v1/cameras/{camera_id}/{part}"
        assert vms.anonymous.get(path, params=query).status_code == 401
        assert vms.client.get(path, params=query).status_code == 200
