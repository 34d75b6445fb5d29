"""Events against a real server: killed, restarted, pushed through the front."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.running_server import RunningServer

KILLS = 3
POSTERS = 8


def _camera(server: RunningServer) -> str:
    return server.add_camera("gate", "rtsp://127.0.0.1:9/none", recording={"mode": "off"})


def _post_until_it_dies(server: RunningServer, camera_id: str, acknowledged: list[str]) -> None:
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.client.headers, timeout=10) as client:
        try:
            while True:
                answer = client.post("/events", json={"camera_id": camera_id, "type": "motion"})
                if answer.status_code == 201:
                    acknowledged.append(answer.json()["id"])
        except httpx.HTTPError:
            return


def _all_ids(server: RunningServer) -> set[str]:
    found: set[str] = set()
    cursor = None
    while True:
        page = server.get("/events", limit=1000, **({"cursor": cursor} if cursor else {}))
        found |= {event["id"] for event in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_sigkill_loses_no_acknowledged_event(data_dir: Path) -> None:
    server = RunningServer(data_dir)
    acknowledged: list[str] = []
    server.start()
    camera_id = _camera(server)
    for _ in range(KILLS):
        before = len(acknowledged)
        posters = [
            threading.Thread(target=_post_until_it_dies, args=(server, camera_id, acknowledged)) for _ in range(POSTERS)
        ]
        for poster in posters:
            poster.start()
        while len(acknowledged) < before + 40:
            time.sleep(0.01)
        server.kill()
        for poster in posters:
            poster.join()
        server.start()
        assert set(acknowledged) <= _all_ids(server)
    # The database may be lost: the files make it anew.
    server.kill()
    with closing(sqlite3.connect(data_dir / "vms.sqlite3")) as database, database:
        database.execute("DELETE FROM events")
        database.execute("DELETE FROM event_hours")
    with server:
        assert set(acknowledged) <= _all_ids(server)


def _opened(server: RunningServer, query: str) -> ClientConnection:
    return connect(server.url.replace("http", "ws") + f"/ws/events{query}")


def test_events_are_pushed_through_the_front(server: RunningServer) -> None:
    camera_id = _camera(server)
    token = server.client.headers["Authorization"].removeprefix("Bearer ")
    with _opened(server, "") as viewer:
        viewer.send(json.dumps({"token": token, "type": ["door.opened"]}))
        assert json.loads(viewer.recv(10)) == {"ready": True}
        server.client.post("/events", json={"camera_id": camera_id, "type": "motion"}).raise_for_status()
        delays = []
        for _ in range(20):
            event: dict[str, Any] = {"camera_id": camera_id, "type": "door.opened", "text": "é"}
            made = server.client.post("/events", json=event).raise_for_status().json()
            posted = time.monotonic()
            assert json.loads(viewer.recv(10)) == made
            delays.append(time.monotonic() - posted)
        assert sorted(delays)[10] < 0.1
    with _opened(server, "?token=forged") as stranger, pytest.raises(ConnectionClosed) as closed:
        stranger.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
    assert token not in server.log_path.read_text()
