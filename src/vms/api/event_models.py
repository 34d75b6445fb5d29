"""Events as the interface takes and shows them."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vms.api.times import ApiTime
from vms.contracts.events import EventPosition
from vms.domain.errors import FieldFailure
from vms.domain.events import Event
from vms.domain.ids import is_id

_END = "null or absent: the event goes on; the same as start: it has no length"


class EventRequest(BaseModel):
    """Something that happened. Send it again with the same id and an end to close it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: Annotated[str | None, Field(max_length=36, description="UUID of version 7; by default the server's")] = None
    camera_id: Annotated[str, Field(max_length=36)]
    type: Annotated[str, Field(max_length=64, examples=["line.crossed"])]
    start: Annotated[ApiTime | None, Field(description="By default now")] = None
    end: Annotated[ApiTime | None, Field(description=_END)] = None
    score: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    text: Annotated[str, Field(max_length=1024)] = ""
    data: Annotated[dict[str, Any], Field(description="At most 16 KiB of JSON")] = {}


class EventPatch(BaseModel):
    """What became of an event; what is absent stays."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    end: Annotated[ApiTime | None, Field(description="Closes an open event")] = None
    text: Annotated[str | None, Field(max_length=1024)] = None
    score: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None

    @model_validator(mode="after")
    def _nothing_is_taken_back(self) -> Self:
        for name in sorted(self.model_fields_set):
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be taken back: leave it out")
        return self


class EventAnswer(BaseModel):
    """An event; `end` is null while it goes on."""

    id: str
    camera_id: str
    type: str
    start: ApiTime
    end: ApiTime | None
    source: str
    score: float | None
    text: str
    data: dict[str, Any]
    created_at: ApiTime

    @classmethod
    def of(cls, event: Event) -> EventAnswer:
        """The answer for an event."""
        return cls.model_construct(
            id=event.id,
            camera_id=event.camera_id,
            type=event.type,
            start=event.start_us,
            end=event.end_us,
            source=event.source,
            score=event.score,
            text=event.text,
            data=event.data,
            created_at=event.created_us,
        )


class Events(BaseModel):
    """A page of events, newest start first."""

    items: list[EventAnswer]
    next_cursor: str | None = None


def encode_position(event: Event) -> str:
    """The cursor for what follows an event."""
    return base64.urlsafe_b64encode(f"{event.start_us}:{event.id}".encode()).decode().rstrip("=")


def decode_position(cursor: str | None) -> EventPosition | None:
    """The place that a cursor stands for. Raises FieldFailure for one that we did not make."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    start, _, event_id = text.partition(":")
    # 18 digits: no time that we know needs more, and every database holds it.
    if not (start.isdecimal() and len(start) <= 18 and is_id(event_id)):
        raise FieldFailure("/cursor", "not a cursor of this list", code="bad-cursor")
    return EventPosition(int(start), event_id)
