"""Boxes pushed over WebSocket, picture by picture."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from vms.api import push
from vms.api.box_feed import BoxFeed
from vms.api.dependencies import BOX_VIEWERS, Services, find_camera
from vms.api.push import BAD_FIRST_MESSAGE, Ending
from vms.api.routes.analysis import analysis_of
from vms.domain.permissions import Permission

router = APIRouter()
SessionId = Annotated[str, Field(max_length=64)]


class FirstMessage(push.FirstMessage):
    """With what is wanted."""

    session: SessionId | None = None


class SessionMessage(BaseModel):
    """The live session whose pictures the viewer shows from now on."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    session: SessionId


@router.websocket("/ws/cameras/{camera_id}/boxes")
async def push_boxes(
    websocket: WebSocket,
    camera_id: str,
    token: Annotated[str | None, Query()] = None,
    session: Annotated[str | None, Query(max_length=64)] = None,
) -> None:
    """What is followed, as soon as a picture is understood; `session` names the live session that shows them."""
    part = websocket.app.state.services
    assert isinstance(part, Services)  # noqa: S101 (set where the application is made)
    await push.push(
        websocket,
        part.box_slots,
        f"{BOX_VIEWERS} viewers of boxes are the limit",
        lambda: _serve(websocket, part, camera_id, token, session),
    )


async def _serve(
    websocket: WebSocket, part: Services, camera_id: str, token: str | None, session_id: str | None
) -> Ending | None:
    """Until the viewer goes (None) or has to."""
    is_first = token is None
    if token is None:
        message = await push.first_message(websocket, FirstMessage, "token and session")
        token, session_id = message.token, message.session or session_id
    await push.check_session(part, token, Permission.WATCH_LIVE)
    camera = await run_in_threadpool(find_camera, part, camera_id)
    feed = BoxFeed(analysis_of(part), camera.id, session_id, part.live.rtp_offset)
    try:
        if is_first:
            await websocket.send_json({"ready": True})
        return await push.first_of(
            push.send_all(websocket, feed.next),
            _listen(websocket, feed),
            push.watch_session(part, token, Permission.WATCH_LIVE),
        )
    finally:
        feed.close()


async def _listen(websocket: WebSocket, feed: BoxFeed) -> Ending | None:
    """Until the viewer goes; it may name another session."""
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        try:
            feed.show(SessionMessage.model_validate(json.loads(message.get("text") or "")).session)
        except (ValidationError, ValueError):
            return Ending(BAD_FIRST_MESSAGE, "a message names a session, and nothing else")
    return None
