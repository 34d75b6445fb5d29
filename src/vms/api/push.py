"""What everything that is pushed over WebSocket has in common: who may listen, and when that ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from vms.api.dependencies import Services, require
from vms.domain.errors import Failure
from vms.domain.permissions import Permission

FIRST_MESSAGE_S = 10.0
CLOSE_S = 1.0
# How soon the end of a session ends its pushes.
CHECK_SESSION_S = 15.0
# Close codes (RFC 6455 §7.4): 4000 to 4999 are the application's own; these are HTTP's with 4 before.
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, BAD_FIRST_MESSAGE, TRY_AGAIN_LATER = 4401, 4403, 4404, 4400, 1013


_Message = TypeVar("_Message", bound="FirstMessage")


class Ending(NamedTuple):
    """Why the server ends a push."""

    code: int
    reason: str


async def push(
    websocket: WebSocket,
    slots: threading.BoundedSemaphore,
    refusal: str,
    serve: Callable[[], Awaitable[Ending | None]],
) -> None:
    """Serves a viewer while there is a slot, and closes with a code that says why it ended."""
    await websocket.accept()
    ending: Ending | None
    if not slots.acquire(blocking=False):
        ending = Ending(TRY_AGAIN_LATER, refusal)
    else:
        try:
            ending = await serve()
        except Failure as failure:
            codes = {"unauthorized": UNAUTHORIZED, "forbidden": FORBIDDEN, "not_found": NOT_FOUND}
            ending = Ending(codes.get(failure.kind, BAD_FIRST_MESSAGE), failure.detail)
        except WebSocketDisconnect:
            ending = None
        finally:
            slots.release()
    if ending is not None:
        # Who does not read does not answer either: the connection is dropped then.
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            await asyncio.wait_for(websocket.close(ending.code, ending.reason[:120]), CLOSE_S)


class FirstMessage(BaseModel):
    """What a viewer without a token in the address says first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: Annotated[str, Field(max_length=8192)]


async def first_message(websocket: WebSocket, form: type[_Message], holds: str) -> _Message:
    """The token: alone, as `Bearer TOKEN`, or in a JSON object with what else the form has (`holds` names it all).
    Raises Failure."""
    try:
        text = await asyncio.wait_for(websocket.receive_text(), FIRST_MESSAGE_S)
    except (TimeoutError, KeyError) as error:
        detail = f"send the access token as the first message, within {FIRST_MESSAGE_S:.0f} s"
        raise Failure("unauthorized", detail, code="no-token") from error
    try:
        if text.lstrip().startswith("{"):
            return form.model_validate_json(text)
        return form(token=text.strip().removeprefix("Bearer ").strip())
    except ValidationError as error:
        raise Failure("malformed", f"the first message holds {holds} alone") from error


async def send_all(websocket: WebSocket, next_text: Callable[[], Awaitable[str]]) -> None:
    """One text after another, as they come."""
    while True:
        await websocket.send_text(await next_text())


async def check_session(part: Services, token: str, permission: Permission) -> None:
    """Raises Failure of unauthorized or forbidden."""
    principal = await run_in_threadpool(part.access.authenticate, token)
    require(principal, permission)


async def watch_session(part: Services, token: str, permission: Permission) -> None:
    """Until the session is no more, which raises Failure."""
    while True:
        await asyncio.sleep(CHECK_SESSION_S)
        await check_session(part, token, permission)


async def first_of(*parts: Coroutine[Any, Any, Ending | None]) -> Ending | None:
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
