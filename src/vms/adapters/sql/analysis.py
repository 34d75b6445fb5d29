"""Counts of what analysis found, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, func, insert, select, update

from vms.adapters.sql.database import reading, writing
from vms.adapters.sql.schema import analysis_counts as table
from vms.contracts.analysis import MINUTE_US, MOST_COUNTS, Count
from vms.domain.errors import Failure
from vms.domain.recordings import Span

_MOST_CAMERAS = 500


class SqlCounts:
    """Satisfies `vms.contracts.analysis.CountRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, counts: Sequence[Count]) -> None:
        if not counts:
            return
        with writing(self._engine, is_cache=True) as connection:
            for count in counts:
                _add(connection, count)

    def counts(self, camera_ids: Sequence[str] | None, span: Span, step_us: int) -> Sequence[Count]:
        # The remainder rather than a quotient: whether dividing integers keeps the fraction differs between databases.
        step = (table.c.minute_us - (table.c.minute_us - span.start_us) % step_us).label("start_us")
        keys = (table.c.camera_id, step, table.c.kind, table.c.label, table.c.rule_id, table.c.direction)
        query = (
            select(
                *keys,
                func.sum(table.c.count).label("count"),
                func.avg(table.c.total / table.c.samples).label("mean"),
                func.max(table.c.peak).label("peak"),
            )
            .where(table.c.minute_us >= span.start_us, table.c.minute_us < span.end_us)
            .group_by(*keys)
            .order_by(step, table.c.camera_id, table.c.kind, table.c.label)
            .limit(MOST_COUNTS + 1)
        )
        if camera_ids is not None:
            query = query.where(table.c.camera_id.in_(camera_ids[:_MOST_CAMERAS]))
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        if len(rows) > MOST_COUNTS:
            detail = f"there are more than {MOST_COUNTS} counts: ask for fewer cameras, a shorter span or longer steps"
            raise Failure("invalid", detail, code="too-many-counts")
        return [Count(**row) for row in rows]

    def drop(self, camera_id: str | None, before_us: int) -> None:
        old = delete(table).where(table.c.minute_us < before_us)
        with writing(self._engine, is_cache=True) as connection:
            connection.execute(old if camera_id is None else old.where(table.c.camera_id == camera_id))


def _add(connection: Connection, count: Count) -> None:
    key: dict[str, Any] = {
        "camera_id": count.camera_id,
        "minute_us": count.start_us // MINUTE_US * MINUTE_US,
        "kind": count.kind,
        "label": count.label,
        "rule_id": count.rule_id,
        "direction": count.direction,
    }
    known = update(table).where(and_(*(table.c[name] == value for name, value in key.items())))
    change = known.values(
        count=table.c.count + count.count,
        total=table.c.total + count.mean,
        samples=table.c.samples + 1,
        peak=case((table.c.peak < count.peak, count.peak), else_=table.c.peak),
    )
    if connection.execute(change).rowcount == 0:
        first = {"count": count.count, "total": count.mean, "samples": 1, "peak": count.peak}
        connection.execute(insert(table).values(**key, **first))
