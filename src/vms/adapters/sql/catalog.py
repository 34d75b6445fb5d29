"""Cameras and exports in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Engine, RowMapping, delete, insert, select, update

from vms.adapters.sql.database import reading, writing
from vms.adapters.sql.schema import cameras, exports
from vms.domain.analysis import AnalysisSettings
from vms.domain.cameras import Camera, SealedCredentials
from vms.domain.errors import Failure
from vms.domain.motion import MotionSettings
from vms.domain.recording_policy import RecordingMode, RecordingPolicy
from vms.domain.recordings import FINAL_EXPORT_STATES, Export, Span
from vms.domain.retention import Retention

log = structlog.get_logger(__name__)


@contextmanager
def _unique_name() -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        if failure.code != "name-taken":
            raise
        raise Failure("conflict", "another camera has this name", code="camera-name-taken") from failure


class SqlCameraRepository:
    """Satisfies `vms.contracts.catalog.CameraRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, camera: Camera) -> None:
        with _unique_name(), writing(self._engine) as connection:
            connection.execute(insert(cameras).values(id=camera.id, **_camera_values(camera)))

    def get(self, camera_id: str) -> Camera:
        with reading(self._engine) as connection:
            row = connection.execute(select(cameras).where(cameras.c.id == camera_id)).mappings().one_or_none()
        if row is None:
            raise _no_camera()
        return _camera(row)

    def page(self, after_id: str | None, limit: int) -> Sequence[Camera]:
        query = select(cameras).order_by(cameras.c.id).limit(limit)
        if after_id is not None:
            query = query.where(cameras.c.id > after_id)
        with reading(self._engine) as connection:
            return [_camera(row) for row in connection.execute(query).mappings()]

    def replace(self, camera: Camera) -> None:
        change = update(cameras).where(cameras.c.id == camera.id).values(**_camera_values(camera))
        with _unique_name(), writing(self._engine) as connection:
            if connection.execute(change).rowcount == 0:
                raise _no_camera()

    def remove(self, camera_id: str) -> None:
        with writing(self._engine) as connection:
            if connection.execute(delete(cameras).where(cameras.c.id == camera_id)).rowcount == 0:
                raise _no_camera()


class SqlExportRepository:
    """Satisfies `vms.contracts.catalog.ExportRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, export: Export) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(exports).values(id=export.id, **_export_values(export)))

    def get(self, export_id: str) -> Export:
        with reading(self._engine) as connection:
            row = connection.execute(select(exports).where(exports.c.id == export_id)).mappings().one_or_none()
        if row is None:
            raise _no_export()
        return _export(row)

    def page(self, before_id: str | None, limit: int) -> Sequence[Export]:
        query = select(exports).order_by(exports.c.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(exports.c.id < before_id)
        with reading(self._engine) as connection:
            return [_export(row) for row in connection.execute(query).mappings()]

    def unfinished(self) -> Sequence[Export]:
        query = select(exports).where(exports.c.state.not_in(FINAL_EXPORT_STATES))
        with reading(self._engine) as connection:
            return [_export(row) for row in connection.execute(query).mappings()]

    def replace(self, export: Export) -> None:
        with writing(self._engine) as connection:
            change = update(exports).where(exports.c.id == export.id).values(**_export_values(export))
            if connection.execute(change).rowcount == 0:
                raise _no_export()

    def remove(self, export_id: str) -> None:
        with writing(self._engine) as connection:
            if connection.execute(delete(exports).where(exports.c.id == export_id)).rowcount == 0:
                raise _no_export()


def _no_camera() -> Failure:
    return Failure("not_found", "no camera has this identifier", code="camera-not-found")


def _no_export() -> Failure:
    return Failure("not_found", "no export has this identifier", code="export-not-found")


def _camera_values(camera: Camera) -> dict[str, Any]:
    credentials = camera.credentials
    return {
        "name": camera.name,
        "name_key": camera.name.casefold(),
        "streams": {name: source.model_dump() for name, source in camera.streams.items()},
        "username": credentials.username if credentials else None,
        "sealed_password": credentials.sealed_password if credentials else None,
        "recording_mode": camera.recording.mode.value,
        "recording": camera.recording.model_dump(mode="json", by_alias=True, exclude_none=True),
        "motion": camera.motion.model_dump(mode="json"),
        "analysis": camera.analysis.model_dump(mode="json"),
        "retention_days": camera.retention.days,
        "retention_max_bytes": camera.retention.max_bytes,
        "retention_min_days": camera.retention.min_days,
        "retention_main_days": camera.retention.main_days,
        "group_id": camera.group_id,
        "created_us": camera.created_us,
        "updated_us": camera.updated_us,
    }


def _camera(row: RowMapping) -> Camera:
    credentials = None
    if row["username"] is not None:
        credentials = SealedCredentials(username=row["username"], sealed_password=row["sealed_password"])
    return Camera(
        id=row["id"],
        name=row["name"],
        streams=row["streams"],
        credentials=credentials,
        recording=_policy(row),
        motion=_motion(row),
        analysis=_analysis(row),
        retention=Retention(
            days=row["retention_days"],
            max_bytes=row["retention_max_bytes"],
            min_days=row["retention_min_days"],
            main_days=row["retention_main_days"],
        ),
        group_id=row["group_id"],
        created_us=row["created_us"],
        updated_us=row["updated_us"],
    )


def _policy(row: RowMapping) -> RecordingPolicy:
    if row["recording"] is None:
        return RecordingPolicy(mode=RecordingMode(row["recording_mode"]))
    try:
        return RecordingPolicy.model_validate(row["recording"])
    except ValidationError as error:
        # A time zone that this machine does not know, or a newer version's policy: rather too much than too little.
        log.error("recording policy not understood", camera_id=row["id"], reason=str(error).splitlines()[0])
        off = row["recording_mode"] == RecordingMode.OFF.value
        return RecordingPolicy(mode=RecordingMode.OFF if off else RecordingMode.CONTINUOUS)


def _motion(row: RowMapping) -> MotionSettings:
    try:
        return MotionSettings.model_validate(row["motion"] or {})
    except ValidationError as error:
        # A newer version's: what is found without them is rather too much than too little.
        log.error("motion settings not understood", camera_id=row["id"], reason=str(error).splitlines()[0])
        return MotionSettings()


def _analysis(row: RowMapping) -> AnalysisSettings:
    try:
        return AnalysisSettings.model_validate(row["analysis"] or {})
    except ValidationError as error:
        # A newer version's: half of the rules would look like all of them.
        log.error("analysis settings not understood", camera_id=row["id"], reason=str(error).splitlines()[0])
        return AnalysisSettings()


def _export_values(export: Export) -> dict[str, Any]:
    values = export.model_dump(exclude={"id", "span"})
    return {**values, "start_us": export.span.start_us, "end_us": export.span.end_us}


def _export(row: RowMapping) -> Export:
    values = dict(row)
    span = Span(start_us=values.pop("start_us"), end_us=values.pop("end_us"))
    return Export(span=span, **values)
