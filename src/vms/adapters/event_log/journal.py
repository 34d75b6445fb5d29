"""The journal's bytes (docs/format/events.md): lines of a checksum, a space and a JSON object. No files in here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vms.adapters.event_log.crc32c import crc32c
from vms.contracts.events import JournalEntry, NewEvent
from vms.domain.events import Event, EventAmendment

_CHECKSUM_CHARACTERS = 8


@dataclass(frozen=True)
class Put:
    """The event is as it says here."""

    event: Event


@dataclass(frozen=True)
class Amend:
    """Some fields of an event are otherwise from here on."""

    event_id: str
    amendment: EventAmendment


@dataclass(frozen=True)
class Remove:
    """The event is no more."""

    event_id: str


Operation = Put | Amend | Remove


@dataclass
class Journal:
    """What a journal says."""

    operations: list[Operation] = field(default_factory=list)
    # Up to the end of the last line that is whole: what follows is a torn tail.
    whole_bytes: int = 0
    # One sentence per line that is damaged or not understood, with its offset.
    problems: list[str] = field(default_factory=list)


def encode(entry: JournalEntry) -> bytes:
    """The line of an entry."""
    if isinstance(entry, NewEvent):
        return line({"op": "event", **entry.event.model_dump()})
    changes = entry.amendment.model_dump(exclude_none=True)
    return line({"op": "amend", "id": entry.event.id, **changes, "at_us": entry.at_us})


def encode_removal(event_id: str, at_us: int) -> bytes:
    """The line that takes an event away."""
    return line({"op": "remove", "id": event_id, "at_us": at_us})


def line(record: dict[str, Any]) -> bytes:
    """A record with its checksum."""
    body = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32c(body), body)


def parse(data: bytes) -> Journal:
    """Everything that can be read. A last line that is incomplete or does not match its checksum is a torn tail; such a
    line elsewhere is a problem and skipped."""
    journal = Journal()
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        if end < 0:
            break
        body = _checked(data[offset:end])
        is_last = end + 1 == len(data)
        if body is None and is_last:
            break
        if body is None:
            journal.problems.append(f"the line at byte {offset} does not match its checksum")
        else:
            _interpret(body, offset, journal)
        offset = end + 1
        journal.whole_bytes = offset
    return journal


def replay(events: dict[str, Event], operations: Iterable[Operation]) -> list[str]:
    """Carries out the operations on the events by identifier, in place; a sentence per amendment of no event. Doing it
    again changes nothing."""
    problems = []
    for operation in operations:
        match operation:
            case Put(event):
                events[event.id] = event
            case Amend(event_id, amendment) if event_id in events:
                events[event_id] = amendment.apply(events[event_id])
            case Amend(event_id, _):
                problems.append(f"an amendment names the event {event_id}, which is not there")
            case Remove(event_id):
                events.pop(event_id, None)
    return problems


def _checked(text: bytes) -> bytes | None:
    body = text[_CHECKSUM_CHARACTERS + 1 :]
    if text[: _CHECKSUM_CHARACTERS + 1] != b"%08x " % crc32c(body):
        return None
    return body


def _interpret(body: bytes, offset: int, journal: Journal) -> None:
    try:
        record = json.loads(body)
        operation = record.pop("op")
        if operation == "event":
            journal.operations.append(Put(Event.model_validate(record)))
        elif operation == "amend":
            journal.operations.append(Amend(str(record["id"]), EventAmendment.model_validate(record)))
        elif operation == "remove":
            journal.operations.append(Remove(str(record["id"])))
        else:
            journal.problems.append(f"the line at byte {offset} is of a kind that this version does not know")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        journal.problems.append(f"the line at byte {offset} is no event")
