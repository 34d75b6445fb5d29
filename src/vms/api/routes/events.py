"""Events: what happened at the cameras."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from vms.api.dependencies import ServicesOf, find_camera, permitted
from vms.api.event_models import (
    EventAnswer,
    EventPatch,
    EventRequest,
    Events,
    decode_position,
    encode_position,
)
from vms.api.times import ApiTime
from vms.contracts.events import EventQuery
from vms.domain.errors import Failure, FieldFailure
from vms.domain.events import Event, EventAmendment, search_words
from vms.domain.ids import is_id, make_id
from vms.domain.permissions import Permission, Principal

router = APIRouter(prefix="/api/v1", tags=["events"])
_watches = Depends(permitted(Permission.WATCH_RECORDINGS))
_writes = Depends(permitted(Permission.WRITE_EVENTS))
Writer = Annotated[Principal, _writes]
CameraIds = Annotated[list[str], Query(alias="camera_id", max_length=64, description="May be repeated")]
Types = Annotated[list[str], Query(alias="type", max_length=64, description="May be repeated")]


@router.post("/events", status_code=201, responses={200: {"model": EventAnswer, "description": "Known already"}})
def create_event(part: ServicesOf, principal: Writer, wanted: EventRequest, response: Response) -> EventAnswer:
    """Keeps an event: 201 means that it survives whatever happens to the server. Sent once more with its id it is told
    again (200); with an end where it had none, it is closed (200); another event under the same id is refused (409)."""
    camera = find_camera(part, wanted.camera_id)
    now_us = part.clock.now_us()
    event = Event(
        id=wanted.id if wanted.id is not None else make_id(now_us, secrets.token_bytes(8)),
        camera_id=camera.id,
        type=wanted.type,
        start_us=wanted.start if wanted.start is not None else now_us,
        end_us=wanted.end,
        source=f"api:{principal.name}",
        score=wanted.score,
        text=wanted.text,
        data=wanted.data,
        created_us=now_us,
    )
    kept, change = part.events.add(event, fresh=wanted.id is None)
    if change is None or change.kind == "changed":
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/events/{kept.id}"
    return EventAnswer.of(kept)


@router.get("/events", dependencies=[_watches])
def list_events(
    part: ServicesOf,
    camera_id: CameraIds = [],  # noqa: B006 (FastAPI copies it)
    event_type: Types = [],  # noqa: B006
    start: Annotated[ApiTime | None, Query(description="Events that go on at or after this")] = None,
    end: Annotated[ApiTime | None, Query(description="Events that begin before this")] = None,
    q: Annotated[str, Query(max_length=256, description="Words in text or type, without regard to case")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=256, description="next_cursor of the page before")] = None,
) -> Events:
    """The events, newest start first. An open event goes on until it is closed, for 31 days at most."""
    if start is not None and end is not None and end <= start:
        raise Failure("invalid", "end must be after start", code="span-reversed")
    query = EventQuery(
        camera_ids=checked_camera_ids(camera_id),
        types=tuple(event_type),
        start_us=start,
        end_us=end,
        words=tuple(search_words(q)),
    )
    found = part.events.page(query, decode_position(cursor), limit + 1)
    more = len(found) > limit
    items = [EventAnswer.of(event) for event in found[:limit]]
    return Events.model_construct(items=items, next_cursor=encode_position(found[limit - 1]) if more else None)


@router.get("/events/{event_id}", dependencies=[_watches])
def get_event(part: ServicesOf, event_id: str) -> EventAnswer:
    """An event."""
    return EventAnswer.of(part.events.get(_known(event_id)))


@router.patch("/events/{event_id}", dependencies=[_writes])
def patch_event(part: ServicesOf, event_id: str, patch: EventPatch) -> EventAnswer:
    """Closes an open event, or says more of one. An end once set stays."""
    amendment = EventAmendment(end_us=patch.end, text=patch.text, score=patch.score)
    return EventAnswer.of(part.events.amend(_known(event_id), amendment))


def checked_camera_ids(camera_ids: list[str]) -> tuple[str, ...]:
    """Identifiers of cameras, those that were removed too. Raises FieldFailure for what is none."""
    for camera_id in camera_ids:
        if not is_id(camera_id):
            raise FieldFailure("/camera_id", "not the identifier of a camera", code="validation")
    return tuple(camera_ids)


def _known(event_id: str) -> str:
    if not is_id(event_id):
        raise Failure("not_found", "no event has this identifier", code="event-not-found")
    return event_id
