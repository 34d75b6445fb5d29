"""What is remembered of recording and keeping, in SQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from vms.adapters.sql.database import reading, writing
from vms.adapters.sql.schema import camera_groups, evidence_locks, former_cameras, manual_recordings, recording_spans
from vms.contracts.keeping import ManualRecording, RecordingSpan
from vms.domain.errors import Failure
from vms.domain.recording_policy import Wanted
from vms.domain.retention import CameraGroup, EvidenceLock, FormerCamera, Retention


class SqlRecordingHistory:
    """Satisfies `vms.contracts.keeping.RecordingHistory`. Only one process writes: what was read is kept until this
    changes it, since spans are asked for every few seconds and change a few times a day."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: Sequence[RecordingSpan] | None = None
        self._lock = threading.Lock()

    def spans(self) -> Sequence[RecordingSpan]:
        with self._lock:
            if self._known is None:
                with reading(self._engine) as connection:
                    self._known = [_span(row) for row in connection.execute(_IN_ORDER).mappings()]
            return self._known

    def open_spans(self, camera_id: str) -> Sequence[RecordingSpan]:
        return [span for span in self.spans() if span.camera_id == camera_id and span.end_us is None]

    def change_spans(self, begun: Sequence[RecordingSpan], ended: Mapping[str, int]) -> None:
        with self._changing() as connection:
            for span in begun:
                connection.execute(insert(recording_spans).values(**span.model_dump(mode="json")))
            for span_id, end_us in ended.items():
                change = update(recording_spans).where(recording_spans.c.id == span_id)
                connection.execute(change.values(end_us=end_us))

    def judge_spans(self, judged_us: Mapping[str, int]) -> None:
        with self._changing() as connection:
            for span_id, at_us in judged_us.items():
                change = update(recording_spans).where(recording_spans.c.id == span_id)
                connection.execute(change.values(judged_us=at_us))

    def remove_spans(self, span_ids: Sequence[str]) -> None:
        with self._changing() as connection:
            for span_id in span_ids:
                connection.execute(delete(recording_spans).where(recording_spans.c.id == span_id))

    def add_manual(self, recording: ManualRecording) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(manual_recordings).values(**recording.model_dump()))

    def end_manual(self, recording_id: str, end_us: int) -> None:
        change = update(manual_recordings).where(manual_recordings.c.id == recording_id).values(end_us=end_us)
        with writing(self._engine) as connection:
            connection.execute(change)

    def manual(self, camera_id: str | None = None) -> Sequence[ManualRecording]:
        query = select(manual_recordings).order_by(manual_recordings.c.start_us, manual_recordings.c.id)
        if camera_id is not None:
            query = query.where(manual_recordings.c.camera_id == camera_id)
        with reading(self._engine) as connection:
            return [ManualRecording(**row) for row in connection.execute(query).mappings()]

    def remove_manual(self, recording_ids: Sequence[str]) -> None:
        with writing(self._engine) as connection:
            for recording_id in recording_ids:
                connection.execute(delete(manual_recordings).where(manual_recordings.c.id == recording_id))

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._lock:
            self._known = None
            with writing(self._engine) as connection:
                yield connection


class SqlGroupRepository:
    """Satisfies `vms.contracts.keeping.GroupRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, group: CameraGroup) -> None:
        with _unique_name(), writing(self._engine) as connection:
            connection.execute(insert(camera_groups).values(id=group.id, **_group_values(group)))

    def get(self, group_id: str) -> CameraGroup:
        with reading(self._engine) as connection:
            query = select(camera_groups).where(camera_groups.c.id == group_id)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise _no_group()
        return _group(row)

    def all(self) -> Sequence[CameraGroup]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(camera_groups).order_by(camera_groups.c.id)).mappings()
            return [_group(row) for row in rows]

    def replace(self, group: CameraGroup) -> None:
        change = update(camera_groups).where(camera_groups.c.id == group.id).values(**_group_values(group))
        with _unique_name(), writing(self._engine) as connection:
            if connection.execute(change).rowcount == 0:
                raise _no_group()

    def remove(self, group_id: str) -> None:
        with writing(self._engine) as connection:
            if connection.execute(delete(camera_groups).where(camera_groups.c.id == group_id)).rowcount == 0:
                raise _no_group()


class SqlLockRepository:
    """Satisfies `vms.contracts.keeping.LockRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, lock: EvidenceLock) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(evidence_locks).values(**lock.model_dump(mode="json")))

    def get(self, lock_id: str) -> EvidenceLock:
        with reading(self._engine) as connection:
            query = select(evidence_locks).where(evidence_locks.c.id == lock_id)
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise _no_lock()
        return EvidenceLock(**row)

    def page(self, before_id: str | None, limit: int) -> Sequence[EvidenceLock]:
        query = select(evidence_locks).order_by(evidence_locks.c.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(evidence_locks.c.id < before_id)
        with reading(self._engine) as connection:
            return [EvidenceLock(**row) for row in connection.execute(query).mappings()]

    def unreleased(self) -> Sequence[EvidenceLock]:
        query = select(evidence_locks).where(evidence_locks.c.released_us.is_(None))
        with reading(self._engine) as connection:
            return [EvidenceLock(**row) for row in connection.execute(query).mappings()]

    def replace(self, lock: EvidenceLock) -> None:
        values = lock.model_dump(mode="json", exclude={"id"})
        with writing(self._engine) as connection:
            change = update(evidence_locks).where(evidence_locks.c.id == lock.id).values(**values)
            if connection.execute(change).rowcount == 0:
                raise _no_lock()


class SqlFormerCameraRepository:
    """Satisfies `vms.contracts.keeping.FormerCameraRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, camera: FormerCamera) -> None:
        with writing(self._engine) as connection:
            connection.execute(delete(former_cameras).where(former_cameras.c.id == camera.id))
            connection.execute(insert(former_cameras).values(**camera.model_dump(mode="json")))

    def all(self) -> Sequence[FormerCamera]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(former_cameras).order_by(former_cameras.c.id)).mappings()
            return [FormerCamera(**row) for row in rows]

    def remove(self, camera_id: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(delete(former_cameras).where(former_cameras.c.id == camera_id))


_IN_ORDER = select(recording_spans).order_by(recording_spans.c.start_us, recording_spans.c.id)


def _span(row: RowMapping) -> RecordingSpan:
    values: dict[str, Any] = dict(row)
    wanted = values.pop("wanted")
    return RecordingSpan(wanted=None if wanted is None else Wanted.model_validate(wanted), **values)


def _group_values(group: CameraGroup) -> dict[str, Any]:
    values = group.model_dump(mode="json", exclude={"id"})
    return {**values, "name_key": group.name.casefold()}


def _group(row: RowMapping) -> CameraGroup:
    values: dict[str, Any] = dict(row)
    values.pop("name_key")
    return CameraGroup(retention=Retention.model_validate(values.pop("retention")), **values)


@contextmanager
def _unique_name() -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        if failure.code != "name-taken":
            raise
        raise Failure("conflict", "another group has this name", code="group-name-taken") from failure


def _no_group() -> Failure:
    return Failure("not_found", "no group has this identifier", code="group-not-found")


def _no_lock() -> Failure:
    return Failure("not_found", "no evidence lock has this identifier", code="lock-not-found")
