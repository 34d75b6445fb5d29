"""The catalogue of events in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    delete,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from vms.adapters.sql.database import reading, writing
from vms.adapters.sql.schema import event_hours, events
from vms.contracts.events import EventHour, EventPosition, EventQuery, FilesChange, HourFiles
from vms.domain.events import HOUR_US, LONGEST_EVENT_US, Event, EventMark, search_key

# SQLite takes 32,766 variables a statement at most, PostgreSQL 65,535.
_ROWS_AT_ONCE = 500


class SqlEventRepository:
    """Satisfies `vms.contracts.events.EventRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, changed: Sequence[Event], files: Mapping[EventHour, FilesChange]) -> None:
        # The newest state of each event.
        rows = {event.id: _values(event) for event in changed}
        with writing(self._engine, is_cache=True) as connection:
            _replace(connection, list(rows.values()))
            for hour, change in files.items():
                _note(connection, hour, change)

    def put_hour(self, hour: EventHour, found: Sequence[Event], files: HourFiles | None) -> None:
        inside = and_(
            events.c.camera_id == hour.camera_id,
            events.c.start_us >= hour.hour_us,
            events.c.start_us < hour.hour_us + HOUR_US,
        )
        with writing(self._engine, is_cache=True) as connection:
            connection.execute(delete(events).where(inside))
            connection.execute(delete(event_hours).where(_is(hour)))
            _replace(connection, [_values(event) for event in found])
            if files is not None:
                connection.execute(insert(event_hours).values(**hour._asdict(), **files.model_dump()))

    def hours(self) -> dict[EventHour, HourFiles]:
        with reading(self._engine) as connection:
            return {
                EventHour(row["camera_id"], row["hour_us"]): HourFiles(
                    journal_bytes=row["journal_bytes"],
                    parquet_bytes=row["parquet_bytes"],
                    parquet_modified_ns=row["parquet_modified_ns"],
                )
                for row in connection.execute(select(event_hours)).mappings()
            }

    def find(self, event_id: str) -> Event | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(events).where(events.c.id == event_id)).mappings().one_or_none()
        return None if row is None else _event(row)

    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> Sequence[Event]:
        wanted = select(events).order_by(events.c.start_us.desc(), events.c.id.desc()).limit(limit)
        for condition in _conditions(query):
            wanted = wanted.where(condition)
        if before is not None:
            wanted = wanted.where(
                tuple_(events.c.start_us, events.c.id) < tuple_(literal(before.start_us), literal(before.event_id))
            )
        with reading(self._engine) as connection:
            return [_event(row) for row in connection.execute(wanted).mappings()]

    def marks(self, camera_id: str, start_us: int, end_us: int, limit: int) -> Sequence[EventMark]:
        # A timeline shows thousands: what it does not show is not read.
        wanted = (
            select(events.c.id, events.c.type, events.c.start_us, events.c.end_us)
            .where(*_conditions(EventQuery(camera_ids=(camera_id,), start_us=start_us, end_us=end_us)))
            .order_by(events.c.start_us.desc(), events.c.id.desc())
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return [EventMark(*row) for row in connection.execute(wanted)]


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.camera_ids:
        conditions.append(events.c.camera_id.in_(query.camera_ids))
    if query.types:
        conditions.append(events.c.type.in_(query.types))
    if query.is_open:
        conditions.append(events.c.end_us.is_(None))
    if query.end_us is not None:
        conditions.append(events.c.start_us < query.end_us)
    if query.start_us is not None:
        # The bound lets the index end the search.
        conditions.append(events.c.start_us >= query.start_us - LONGEST_EVENT_US)
        conditions.append(
            or_(events.c.start_us >= query.start_us, events.c.end_us.is_(None), events.c.end_us > query.start_us)
        )
    conditions += [events.c.search_key.contains(word, autoescape=True) for word in query.words]
    return conditions


def _is(hour: EventHour) -> ColumnElement[bool]:
    return and_(event_hours.c.camera_id == hour.camera_id, event_hours.c.hour_us == hour.hour_us)


def _replace(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[first : first + _ROWS_AT_ONCE]
        connection.execute(delete(events).where(events.c.id.in_([row["id"] for row in part])))
        connection.execute(insert(events), part)


def _note(connection: Connection, hour: EventHour, change: FilesChange) -> None:
    row = connection.execute(select(event_hours).where(_is(hour))).mappings().one_or_none()
    if row is None:
        if change.before == HourFiles():
            connection.execute(insert(event_hours).values(**hour._asdict(), **change.after.model_dump()))
    elif HourFiles(**{name: row[name] for name in HourFiles.model_fields}) == change.before:
        connection.execute(update(event_hours).where(_is(hour)).values(**change.after.model_dump()))


def _values(event: Event) -> dict[str, Any]:
    return {**event.model_dump(), "search_key": search_key(event)}


def _event(row: RowMapping) -> Event:
    return Event.model_construct(**{name: row[name] for name in Event.model_fields})
