"""Events pushed over WebSocket."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from tests.memory_installation import MemoryInstallation
from vms.adapters.tokens import JwtSigner
from vms.api import push
from vms.api.dependencies import Services
from vms.api.event_feed import MOST_BEHIND, EventFeed, EventFilter
from vms.api.routes import event_push
from vms.contracts.events import EventChange
from vms.domain.time import format_time


@pytest.fixture
def camera_id(vms: MemoryInstallation) -> str:
    return str(vms.add_camera()["id"])


def _services(vms: MemoryInstallation) -> Services:
    application: Any = vms.rooms.application
    while not hasattr(application, "state"):
        application = getattr(application, "_app", None) or application.app
    services = application.state.services
    assert isinstance(services, Services)
    return services


def _token(vms: MemoryInstallation) -> str:
    return vms.client.headers["Authorization"].removeprefix("Bearer ")


def _post(vms: MemoryInstallation, camera_id: str, **fields: Any) -> dict[str, Any]:
    answer = vms.client.post("/api/v1/events", json={"camera_id": camera_id, "type": "motion", **fields})
    assert answer.status_code == 201, answer.text
    event: dict[str, Any] = answer.json()
    return event


def _ending(session: WebSocketTestSession) -> int:
    with pytest.raises(WebSocketDisconnect) as ended:
        session.receive_text()
    return int(ended.value.code)


def _wait_for_subscription(vms: MemoryInstallation) -> None:
    """Waits until the subscription of a viewer with its token in the address stands."""
    for _ in range(500):
        if vms.rooms.events._subscribers:
            return
        time.sleep(0.01)
    raise AssertionError("nobody subscribed")


def test_new_and_changed_events_come_within_a_tenth_of_a_second(vms: MemoryInstallation, camera_id: str) -> None:
    with vms.anonymous.websocket_connect(f"/ws/events?token={_token(vms)}") as session:
        _wait_for_subscription(vms)
        event = _post(vms, camera_id, text="gate")
        posted = time.monotonic()
        assert session.receive_json() == event
        assert time.monotonic() - posted < 0.1
        end = format_time(vms.clock.now_us())
        changed = vms.client.patch(f"/api/v1/events/{event['id']}", json={"end": end}).json()
        assert session.receive_json() == changed
    for _ in range(500):
        if not vms.rooms.events._subscribers:
            return
        time.sleep(0.01)
    raise AssertionError("the viewer went, its subscription did not")


@pytest.mark.parametrize("form", ["{token}", "Bearer {token}", '{{"token":"{token}","camera_id":["{camera_id}"]}}'])
def test_the_token_may_be_the_first_message(vms: MemoryInstallation, camera_id: str, form: str) -> None:
    with vms.anonymous.websocket_connect("/ws/events") as session:
        session.send_text(form.format(token=_token(vms), camera_id=camera_id))
        assert session.receive_json() == {"ready": True}
        event = _post(vms, camera_id)
        assert session.receive_json() == event


def test_filters(vms: MemoryInstallation, camera_id: str) -> None:
    other = str(vms.add_camera(name="Yard")["id"])
    with vms.anonymous.websocket_connect(f"/ws/events?camera_id={other}&type=motion&type=io.input") as session:
        session.send_text(_token(vms))
        session.receive_json()
        _post(vms, camera_id)
        _post(vms, other, type="line.crossed")
        wanted = [_post(vms, other, type="io.input"), _post(vms, other)]
        assert [session.receive_json(), session.receive_json()] == wanted


def test_who_may_not(vms: MemoryInstallation) -> None:
    viewer = vms.as_user("ana", "viewer").headers["Authorization"].removeprefix("Bearer ")
    for query, code in (
        ("?token=forged", 4401),
        (f"?token={viewer}", 4403),
        (f"?token={_token(vms)}&camera_id=x", 4400),
    ):
        with vms.anonymous.websocket_connect(f"/ws/events{query}") as session:
            assert _ending(session) == code
    for message, code in (
        ("", 4401),
        ("forged", 4401),
        ('{"token":1}', 4400),
        ("{", 4400),
        ('{"token":"a","x":1}', 4400),
    ):
        with vms.anonymous.websocket_connect("/ws/events") as session:
            session.send_text(message)
            assert _ending(session) == code, message
    with vms.anonymous.websocket_connect("/ws/events") as session:
        session.send_bytes(b"\0")
        assert _ending(session) == 4401


def test_who_says_nothing_is_sent_away(vms: MemoryInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "FIRST_MESSAGE_S", 0.01)
    with vms.anonymous.websocket_connect("/ws/events") as session:
        assert _ending(session) == 4401


def test_the_end_of_a_session_ends_its_pushes(vms: MemoryInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "CHECK_SESSION_S", 0.01)
    token = vms.log_in()["access_token"]
    with vms.anonymous.websocket_connect("/ws/events") as session:
        session.send_text(token)
        session.receive_json()
        vms.anonymous.post("/api/v1/auth/logout", headers={"Authorization": f"Bearer {token}"})
        assert _ending(session) == 4401


def test_too_many_viewers_are_told(vms: MemoryInstallation) -> None:
    slots = _services(vms).event_slots
    taken = 0
    while slots.acquire(blocking=False):
        taken += 1
    with vms.anonymous.websocket_connect(f"/ws/events?token={_token(vms)}") as session:
        assert _ending(session) == 1013
    slots.release(taken)
    with vms.anonymous.websocket_connect("/ws/events") as session:
        session.send_text(_token(vms))
        assert session.receive_json() == {"ready": True}


def test_a_slow_viewer_is_dropped_and_holds_nobody_up(vms: MemoryInstallation, camera_id: str) -> None:
    change = EventChange(event=vms.rooms.events.get(_post(vms, camera_id)["id"]), kind="new")

    async def view() -> None:
        feed = EventFeed(vms.rooms.events, EventFilter())

        def tell() -> None:
            for _ in range(MOST_BEHIND + 1):
                feed._take(change)

        teller = threading.Thread(target=tell)
        teller.start()
        await asyncio.wait_for(feed.overrun.wait(), 10)
        teller.join()
        assert (await event_push._overrun(feed)).code == 1013
        feed.close()

    asyncio.run(view())


def test_a_subscriber_that_fails_or_hangs_holds_up_no_post(vms: MemoryInstallation, camera_id: str) -> None:
    told: list[str] = []
    hanging, go_on = threading.Event(), threading.Event()

    def fail(change: EventChange) -> None:
        raise ZeroDivisionError

    def hang(change: EventChange) -> None:
        told.append(change.event.id)
        hanging.set()
        go_on.wait(10)

    ends = [vms.rooms.events.subscribe(fail), vms.rooms.events.subscribe(hang)]
    ids = [_post(vms, camera_id)["id"]]
    assert hanging.wait(10)
    ids += [_post(vms, camera_id)["id"] for _ in range(3)]
    assert told == ids[:1]
    go_on.set()
    for end in ends:
        end()
        end()
    assert vms.rooms.events._subscribers == []


def test_openings_count_against_the_rate_limit(tmp_path: Path, token_signer: JwtSigner) -> None:
    limited = MemoryInstallation(tmp_path / "exports", token_signer, requests_per_minute=3)
    try:
        for _ in range(2):
            with limited.anonymous.websocket_connect("/ws/events?token=x") as session:
                assert _ending(session) == 4401
        with pytest.raises(Exception) as refused, limited.anonymous.websocket_connect("/ws/events?token=x"):
            pass
        assert getattr(refused.value, "status_code", None) == 429
    finally:
        limited.close()
