"""A camera before which something moves, a detector that finds it, a real server: boxes, events, stills, files."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import av
import pytest
from websockets.sync.client import connect

from benchmarks.running_server import RunningServer
from tests import bright_square

T = TypeVar("T")
WIRE = {"kind": "tripwire", "id": "door", "name": "Door", "line": [[0.5, 0.0], [0.5, 1.0]]}
ALL = {"kind": "zone", "id": "all", "zone": [[0, 0], [1, 0], [1, 1], [0, 1]]}


def _wait(what: str, find: Callable[[], T | None], timeout_s: float = 60) -> T:
    end = time.monotonic() + timeout_s
    while True:
        found = find()
        if found:
            return found
        assert time.monotonic() < end, what
        time.sleep(0.25)


def _environment(tmp_path: Path) -> dict[str, str]:
    bright_square.install(tmp_path / "models")
    return {
        "VMS_AI__ENABLED": "true",
        "VMS_AI__MODELS_DIR": str(tmp_path / "models"),
        "VMS_AI__DETECTOR": "bright",
        "VMS_AI__DEVICES": '["cpu"]',
    }


def _enable(server: RunningServer, camera_id: str, *rules: dict[str, Any]) -> None:
    analysis = {"enabled": True, "least_fps": 5, "most_fps": 5, "rules": rules}
    answer = server.client.patch(f"/cameras/{camera_id}", json={"analysis": analysis})
    answer.raise_for_status()


def _running(server: RunningServer, camera_id: str) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found: dict[str, Any] = server.get(f"/cameras/{camera_id}/analysis")
        return found if found["state"] == "running" else None

    try:
        return _wait("analysis does not run", state)
    except AssertionError as error:
        raise AssertionError(f"{error}: {server.get(f'/cameras/{camera_id}/analysis')}") from error


def test_what_crosses_a_line_becomes_boxes_an_event_and_a_still(tmp_path: Path) -> None:
    cameras = bright_square.simulator(tmp_path)
    port = cameras.start()
    try:
        with RunningServer(tmp_path / "data", environment=_environment(tmp_path)) as server:
            camera_id = server.add_camera("Gate", f"rtsp://127.0.0.1:{port}/cam/0")
            _enable(server, camera_id, WIRE)
            _running(server, camera_id)
            _watch_boxes(server, camera_id)
            event = _wait(
                "nothing crossed the line",
                lambda: next(iter(server.get("/events", camera_id=camera_id, type="line.crossed")["items"]), None),
            )
            assert (event["source"], event["data"]["direction"], event["text"]) == ("ai", "left", "Door")
            assert event["start"] == event["end"]
            left, _, right, _ = event["data"]["box"]
            assert 0.3 < (left + right) / 2 < 0.7
            path = f"/events/{event['id']}/still.jpg"
            _wait("no still was made", lambda: server.client.get(path).status_code == 200)
            still = server.client.get(path)
            with av.open(io.BytesIO(still.content), mode="r", format="jpeg_pipe") as container:
                shown = next(container.decode(video=0))
            assert (shown.width, shown.height) == (640, 360)
            now = datetime.now(UTC)
            span = {"start": (now - timedelta(minutes=5)).isoformat(), "end": now.isoformat()}
            found = server.get(f"/cameras/{camera_id}/detections", **span)["items"]
            assert any(frame["tracks"] for frame in found)
            status = server.get(f"/cameras/{camera_id}/analysis")
            assert status["detector"] == "bright"
            assert status["device"] == "cpu"
            assert "vms_ai_inference_ms_count" in server.client.get(f"{server.url}/metrics").text
            stopped = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - stopped < 5
        (file,) = (tmp_path / "data").rglob("ai_*.vms-idx")
        assert file.parent.parent.name == camera_id
    finally:
        cameras.stop()


def _watch_boxes(server: RunningServer, camera_id: str) -> None:
    address = f"{server.url.replace('http', 'ws', 1)}/ws/cameras/{camera_id}/boxes"
    token = server.client.headers["Authorization"].removeprefix("Bearer ")
    places: list[float] = []
    with connect(address) as viewer:
        viewer.send(json.dumps({"token": token}))
        assert json.loads(viewer.recv(10)) == {"ready": True}
        end = time.monotonic() + 4 * bright_square.CROSSING_S + 20
        while len(places) < 8 and time.monotonic() < end:
            frame = json.loads(viewer.recv(10))
            assert (frame["width"], frame["height"], frame["clock_rate"]) == (640, 360, 90_000)
            seen = [track for track in frame["tracks"] if track["seen"]]
            places += [(track["box"][0] + track["box"][2]) / 2 for track in seen]
    assert len(places) >= 8
    assert places == sorted(places), "it goes to the right"


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_goes_on_when_the_server_ends_is_ended(tmp_path: Path, how: str) -> None:
    cameras = bright_square.simulator(tmp_path)
    port = cameras.start()
    try:
        with RunningServer(tmp_path / "data", environment=_environment(tmp_path)) as server:
            camera_id = server.add_camera("Gate", f"rtsp://127.0.0.1:{port}/cam/0")
            _enable(server, camera_id, ALL)
            _running(server, camera_id)

            def open_event() -> dict[str, Any] | None:
                events = server.get("/events", camera_id=camera_id, type="zone.entered")["items"]
                return next((event for event in events if event["end"] is None), None)

            event = _wait("nothing came", open_event)
            server.kill() if how == "killed" else server.stop()
            cameras.stop()
            server.start()
            ended = _wait(
                "the event does not end",
                lambda: server.get(f"/events/{event['id']}") if server.get(f"/events/{event['id']}")["end"] else None,
            )
            assert ended["end"] >= ended["start"]
            # What was kept of the pictures is read by the next one.
            start = datetime.fromisoformat(event["start"]) - timedelta(seconds=10)
            span = {"start": start.isoformat(), "end": datetime.now(UTC).isoformat()}
            kept = server.get(f"/cameras/{camera_id}/detections", **span)["items"]
            assert how == "killed" or any(frame["tracks"] for frame in kept)
    finally:
        cameras.stop()


def test_without_a_model_recording_goes_on_and_the_camera_says_what_to_do(tmp_path: Path) -> None:
    cameras = bright_square.simulator(tmp_path)
    port = cameras.start()
    try:
        environment = {**_environment(tmp_path), "VMS_AI__DETECTOR": "rt-detr-l"}
        with RunningServer(tmp_path / "data", environment=environment) as server:
            camera_id = server.add_camera("Gate", f"rtsp://127.0.0.1:{port}/cam/0")
            _enable(server, camera_id, WIRE)

            def failed() -> dict[str, Any] | None:
                found: dict[str, Any] = server.get(f"/cameras/{camera_id}/analysis")
                return found if found["state"] == "failed" else None

            assert "vms models install rt-detr-l" in _wait("it does not fail", failed)["reason"]
            server.wait_for_recording(camera_id, 3)
    finally:
        cameras.stop()
