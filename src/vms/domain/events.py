"""Events: that something happened at a camera, from when to when, and what is known of it. Times are µs since the Unix
epoch."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from vms.domain.errors import Failure, FieldFailure
from vms.domain.ids import is_id
from vms.domain.time import SECOND_US

HOUR_US = 3_600 * SECOND_US
# An open event counts as going on for so long at most: whoever was to close it is taken to have failed.
LONGEST_EVENT_US = 31 * 24 * HOUR_US
# How far the sender's clock may be ahead of ours.
MOST_AHEAD_US = 5 * 60 * SECOND_US
EARLIEST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * SECOND_US
LONGEST_TYPE = 64
LONGEST_SOURCE = 128
LONGEST_TEXT = 1024
LARGEST_DATA_BYTES = 16 * 1024
DEEPEST_DATA = 32
TYPE_PATTERN = r"^[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$"
_TYPE = re.compile(TYPE_PATTERN)
_LARGEST_INTEGER = 2**63


class Event(BaseModel):
    """Something that happened at a camera. `end_us` is None while it goes on (an open event)."""

    model_config = ConfigDict(frozen=True)

    id: str
    camera_id: str
    # A dotted word: motion, line.crossed, door.opened, io.input.
    type: str
    start_us: int
    # Not before the start; the same for something that has no length.
    end_us: int | None = None
    # Who says so: "api:USER", "motion", "camera", "ai".
    source: str
    # How sure the source is, 0 to 1.
    score: float | None = None
    text: str = ""
    # Whatever else the source knows: a JSON object.
    data: dict[str, Any] = {}
    created_us: int

    @property
    def hour_us(self) -> int:
        """The UTC hour that the event begins in, which decides the file that keeps it."""
        return self.start_us // HOUR_US * HOUR_US

    def touches(self, start_us: int, end_us: int) -> bool:
        """Whether it goes on within [start_us, end_us). An open event goes on until it is closed, for
        LONGEST_EVENT_US at most."""
        if not start_us - LONGEST_EVENT_US <= self.start_us < end_us:
            return False
        return self.start_us >= start_us or self.end_us is None or self.end_us > start_us


class EventMark(NamedTuple):
    """As much of an event as a timeline shows."""

    id: str
    type: str
    start_us: int
    end_us: int | None


class EventAmendment(BaseModel):
    """What became of an event later; None leaves a field as it is."""

    model_config = ConfigDict(frozen=True)

    end_us: int | None = None
    text: str | None = None
    score: float | None = None
    # All of it, in place of what was there.
    data: dict[str, Any] | None = None

    def apply(self, event: Event) -> Event:
        """The event after it."""
        return event.model_copy(update=self.model_dump(exclude_none=True))


def check_event(event: Event, now_us: int) -> None:
    """Raises FieldFailure for an event that cannot be: a malformed identifier or type, times that no clock shows, an
    end before the start, text or data too large or with characters that nobody can read."""
    if not is_id(event.id):
        raise FieldFailure("/id", "an identifier is a UUID of version 7 in lower case", code="validation")
    if len(event.type) > LONGEST_TYPE or _TYPE.fullmatch(event.type) is None:
        detail = f"a type is a dotted word of a-z 0-9 _ - with at most {LONGEST_TYPE} characters, such as line.crossed"
        raise FieldFailure("/type", detail, code="validation")
    _check_time("/start", event.start_us, now_us)
    if event.end_us is not None:
        _check_end(event.start_us, event.end_us, now_us)
    _check_text("/source", event.source, LONGEST_SOURCE)
    _check_text("/text", event.text, LONGEST_TEXT)
    if event.score is not None:
        _check_score(event.score)
    _check_data(event.data)


def check_amendment(event: Event, amendment: EventAmendment, now_us: int) -> None:
    """Raises FieldFailure for a change that would make it an event that cannot be, Failure(conflict) for another end
    of one that has ended."""
    if amendment.end_us is not None:
        if event.end_us is not None and amendment.end_us != event.end_us:
            raise Failure("conflict", "the event has ended already, at another time", code="event-ended")
        _check_end(event.start_us, amendment.end_us, now_us)
    if amendment.text is not None:
        _check_text("/text", amendment.text, LONGEST_TEXT)
    if amendment.score is not None:
        _check_score(amendment.score)
    if amendment.data is not None:
        _check_data(amendment.data)


def data_json(data: dict[str, Any]) -> str:
    """An event's data as it is stored: compact, keys in order.

    Raises ValueError for what is no JSON.
    """
    return json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def search_words(query: str) -> list[str]:
    """The words that an event's text or type must all hold, without regard to case."""
    return query.casefold().split()


def search_key(event: Event) -> str:
    """What the words are looked for in."""
    return f"{event.type}\n{event.text}".casefold()


def _check_time(pointer: str, at_us: int, now_us: int) -> None:
    if at_us < EARLIEST_US:
        raise FieldFailure(pointer, "the time lies before the year 2000", code="time-out-of-range")
    if at_us > now_us + MOST_AHEAD_US:
        raise FieldFailure(pointer, "the time lies more than 5 minutes in the future", code="time-out-of-range")


def _check_end(start_us: int, end_us: int, now_us: int) -> None:
    if end_us < start_us:
        raise FieldFailure("/end", "the end lies before the start", code="span-reversed")
    if end_us - start_us > LONGEST_EVENT_US:
        raise FieldFailure("/end", "an event lasts 31 days at most", code="span-too-long")
    _check_time("/end", end_us, now_us)


def _check_score(score: float) -> None:
    if not (math.isfinite(score) and 0.0 <= score <= 1.0):
        raise FieldFailure("/score", "a score lies between 0 and 1", code="validation")


def _check_text(pointer: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise FieldFailure(pointer, f"at most {longest} characters", code="validation")
    if not _is_readable(text):
        raise FieldFailure(pointer, "control characters and halves of characters are not allowed", code="validation")


def _is_readable(text: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def _check_data(data: dict[str, Any]) -> None:
    _check_value(data, 1)
    if len(data_json(data).encode()) > LARGEST_DATA_BYTES:
        raise FieldFailure("/data", f"data takes at most {LARGEST_DATA_BYTES} bytes of JSON", code="data-too-large")


def _check_value(value: Any, depth: int) -> None:
    if depth > DEEPEST_DATA:
        raise FieldFailure("/data", f"data is nested {DEEPEST_DATA} deep at most", code="validation")
    if isinstance(value, list):
        for item in value:
            _check_value(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_value(key, depth + 1)
            _check_value(item, depth + 1)
    else:
        reason = _fault_of(value)
        if reason is not None:
            raise FieldFailure("/data", reason, code="validation")


def _fault_of(value: Any) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return None if _is_readable(value) else "control characters and halves of characters are not allowed"
        case int():
            # What 64 bits do not hold, other programs read as something else.
            fits = -_LARGEST_INTEGER <= value < _LARGEST_INTEGER
            return None if fits else "whole numbers have 64 bits at most"
        case float():
            return None if math.isfinite(value) else "NaN and infinity are no JSON"
    return "data is a JSON object"
