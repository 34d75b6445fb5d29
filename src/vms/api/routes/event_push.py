"""Events pushed over WebSocket."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, WebSocket
from pydantic import Field

from vms.api import push
from vms.api.dependencies import EVENT_VIEWERS, Services
from vms.api.event_feed import EventFeed, EventFilter
from vms.api.push import TRY_AGAIN_LATER, Ending
from vms.api.routes.events import CameraIds, Types, checked_camera_ids
from vms.domain.permissions import Permission

log = structlog.get_logger(__name__)
router = APIRouter()


class FirstMessage(push.FirstMessage):
    """With what is wanted."""

    camera_id: list[str] = Field(default_factory=list, max_length=64)
    type: list[str] = Field(default_factory=list, max_length=64)


@router.websocket("/ws/events")
async def push_events(
    websocket: WebSocket,
    token: Annotated[str | None, Query()] = None,
    camera_id: CameraIds = [],  # noqa: B006 (FastAPI copies it)
    event_type: Types = [],  # noqa: B006
) -> None:
    """Every new or changed event as JSON, the form of GET /api/v1/events/{id}, as soon as it is safe."""
    part = websocket.app.state.services
    assert isinstance(part, Services)  # noqa: S101 (set where the application is made)
    await push.push(
        websocket,
        part.event_slots,
        f"{EVENT_VIEWERS} viewers of events are the limit",
        lambda: _serve(websocket, part, token, camera_id, event_type),
    )


async def _serve(
    websocket: WebSocket, part: Services, token: str | None, camera_ids: list[str], types: list[str]
) -> Ending | None:
    """Until the viewer goes (None) or has to."""
    is_first = token is None
    if token is None:
        message = await push.first_message(websocket, FirstMessage, "token, camera_id and type")
        token, camera_ids, types = message.token, message.camera_id or camera_ids, message.type or types
    await push.check_session(part, token, Permission.WATCH_RECORDINGS)
    feed = EventFeed(part.events, EventFilter(checked_camera_ids(camera_ids), tuple(types)))
    try:
        if is_first:
            # From here on nothing is missed.
            await websocket.send_json({"ready": True})
        return await push.first_of(
            push.send_all(websocket, feed.next),
            _listen(websocket),
            _overrun(feed),
            push.watch_session(part, token, Permission.WATCH_RECORDINGS),
        )
    finally:
        feed.close()


async def _listen(websocket: WebSocket) -> None:
    """Whatever the viewer says now is not listened to, but that it goes."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _overrun(feed: EventFeed) -> Ending:
    await feed.overrun.wait()
    log.warning("viewer of events dropped: too slow")
    return Ending(TRY_AGAIN_LATER, "events come faster than they are taken; ask for the list and connect again")
