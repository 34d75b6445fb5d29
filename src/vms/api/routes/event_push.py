"""Events pushed over WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Annotated, Any, NamedTuple

import structlog
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from vms.api.dependencies import EVENT_VIEWERS, Services, require
from vms.api.event_feed import EventFeed, EventFilter
from vms.api.routes.events import CameraIds, Types, checked_camera_ids
from vms.domain.errors import Failure
from vms.domain.permissions import Permission

log = structlog.get_logger(__name__)
router = APIRouter()
FIRST_MESSAGE_S = 10.0
CLOSE_S = 1.0
# How soon the end of a session ends its pushes.
CHECK_SESSION_S = 15.0
# Close codes (RFC 6455 §7.4): 4000 to 4999 are the application's own; these are HTTP's with 4 before.
UNAUTHORIZED, FORBIDDEN, BAD_FIRST_MESSAGE, TRY_AGAIN_LATER = 4401, 4403, 4400, 1013


class _Ending(NamedTuple):
    code: int
    reason: str


class FirstMessage(BaseModel):
    """What a viewer without a token in the address says first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: Annotated[str, Field(max_length=8192)]
    camera_id: Annotated[list[str], Field(max_length=64)] = []
    type: Annotated[list[str], Field(max_length=64)] = []


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
    await websocket.accept()
    ending: _Ending | None
    if not part.event_slots.acquire(blocking=False):
        ending = _Ending(TRY_AGAIN_LATER, f"{EVENT_VIEWERS} viewers of events are the limit")
    else:
        try:
            ending = await _serve(websocket, part, token, camera_id, event_type)
        except Failure as failure:
            codes = {"unauthorized": UNAUTHORIZED, "forbidden": FORBIDDEN}
            ending = _Ending(codes.get(failure.kind, BAD_FIRST_MESSAGE), failure.detail)
        except WebSocketDisconnect:
            ending = None
        finally:
            part.event_slots.release()
    if ending is not None:
        # Who does not read does not answer either: the connection is dropped then.
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            await asyncio.wait_for(websocket.close(ending.code, ending.reason[:120]), CLOSE_S)


async def _serve(
    websocket: WebSocket, part: Services, token: str | None, camera_ids: list[str], types: list[str]
) -> _Ending | None:
    """Until the viewer goes (None) or has to."""
    is_first = token is None
    if token is None:
        message = await _first_message(websocket)
        token, camera_ids, types = message.token, message.camera_id or camera_ids, message.type or types
    await _check_session(part, token)
    feed = EventFeed(part.events, EventFilter(checked_camera_ids(camera_ids), tuple(types)))
    try:
        if is_first:
            # From here on nothing is missed.
            await websocket.send_json({"ready": True})
        return await _first_of(_send(websocket, feed), _listen(websocket), _overrun(feed), _watch_session(part, token))
    finally:
        feed.close()


async def _first_message(websocket: WebSocket) -> FirstMessage:
    """The token: alone, as `Bearer TOKEN`, or in a JSON object with a filter. Raises Failure."""
    try:
        text = await asyncio.wait_for(websocket.receive_text(), FIRST_MESSAGE_S)
    except (TimeoutError, KeyError) as error:
        detail = f"send the access token as the first message, within {FIRST_MESSAGE_S:.0f} s"
        raise Failure("unauthorized", detail, code="no-token") from error
    try:
        if text.lstrip().startswith("{"):
            return FirstMessage.model_validate_json(text)
        return FirstMessage(token=text.strip().removeprefix("Bearer ").strip())
    except ValidationError as error:
        raise Failure("malformed", "the first message holds token, camera_id and type alone") from error


async def _check_session(part: Services, token: str) -> None:
    principal = await run_in_threadpool(part.access.authenticate, token)
    require(principal, Permission.WATCH_RECORDINGS)


async def _first_of(*parts: Coroutine[Any, Any, _Ending | None]) -> _Ending | None:
    """What the first part to end says; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        ended, _ = await asyncio.wait(tasks)
        for task in ended:
            # How the others ended is of no interest, but asyncio complains about what nobody asks for.
            if not task.cancelled():
                task.exception()


async def _send(websocket: WebSocket, feed: EventFeed) -> None:
    while True:
        await websocket.send_text(await feed.next())


async def _listen(websocket: WebSocket) -> None:
    """Whatever the viewer says now is not listened to, but that it goes."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _overrun(feed: EventFeed) -> _Ending:
    await feed.overrun.wait()
    log.warning("viewer of events dropped: too slow")
    return _Ending(TRY_AGAIN_LATER, "events come faster than they are taken; ask for the list and connect again")


async def _watch_session(part: Services, token: str) -> None:
    while True:
        await asyncio.sleep(CHECK_SESSION_S)
        await _check_session(part, token)
