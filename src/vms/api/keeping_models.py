"""Answers and requests about what is kept: storage, groups, evidence locks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vms.api.times import ApiTime
from vms.contracts.files import Tier, VolumeState
from vms.contracts.storage import CameraReport, KeepingReport, StorageUsage, TierFigures, VolumeReport
from vms.domain.camera_drafts import visible_name
from vms.domain.retention import CameraGroup, EvidenceLock, Retention


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ForecastAnswer(BaseModel):
    """`full`: in so many days the oldest begins to go for want of space. `retention`: in so many days the cameras'
    own limits hold all of it, and the volume does not fill. `unknown`: too little was recorded lately to tell."""

    outcome: Literal["full", "retention", "unknown"]
    days_left: float | None


class VolumeAnswer(BaseModel):
    """A volume, and how long it lasts."""

    name: str
    path: str
    weight: int
    tier: Tier
    state: VolumeState
    reason: str | None
    reserve_bytes: int
    free_bytes: int
    total_bytes: int
    recorded_bytes: int
    bytes_per_day: float | None
    forecast: ForecastAnswer
    oldest: ApiTime | None

    @classmethod
    def of(cls, report: VolumeReport) -> VolumeAnswer:
        """The answer for what the keeper reports."""
        status, forecast = report.status, report.forecast
        return cls.model_construct(
            name=status.name,
            path=status.path,
            weight=status.weight,
            tier=status.tier,
            state=status.state,
            reason=status.reason,
            reserve_bytes=status.reserve_bytes,
            free_bytes=status.free_bytes,
            total_bytes=status.total_bytes,
            recorded_bytes=status.recorded_bytes,
            bytes_per_day=_rounded(report.bytes_per_day),
            forecast=ForecastAnswer(outcome=forecast.outcome, days_left=_rounded(forecast.days)),
            oldest=report.oldest_us,
        )


class CameraStorageAnswer(BaseModel):
    """What a camera's recordings take. `days_left`: until its own limits remove the oldest; null without limits."""

    camera_id: str
    bytes: int
    oldest: ApiTime
    newest: ApiTime
    bytes_per_day: float | None
    days_left: float | None

    @classmethod
    def of(cls, report: CameraReport) -> CameraStorageAnswer:
        """The answer for what the keeper reports."""
        return cls.model_construct(
            camera_id=report.camera_id,
            bytes=report.size_bytes,
            oldest=report.oldest_us,
            newest=report.newest_us,
            bytes_per_day=_rounded(report.bytes_per_day),
            days_left=_rounded(report.days_left),
        )


class RemovedAnswer(BaseModel):
    """What was removed since the start, for one reason."""

    files: int
    bytes: int


class TiersAnswer(BaseModel):
    """What moved to slower places since the server's start, and what lies in the object storage."""

    moved_files: int
    moved_bytes: int
    failures: int
    last_failure: str | None
    moving: str | None
    objects: int
    object_bytes: int
    cost_per_month: float

    @classmethod
    def of(cls, figures: TierFigures) -> TiersAnswer:
        """The answer for the figures."""
        return cls.model_construct(
            moved_files=figures.moved_files_total,
            moved_bytes=figures.moved_bytes_total,
            failures=figures.failures_total,
            last_failure=figures.last_failure,
            moving=figures.moving,
            objects=figures.objects,
            object_bytes=figures.object_bytes,
            cost_per_month=round(figures.cost_per_month, 2),
        )


class StorageAnswer(BaseModel):
    """The disk, its volumes, and what cameras take of it."""

    disk_total_bytes: int
    disk_free_bytes: int
    recorded_bytes: int
    write_bytes_per_second: float
    volumes: list[VolumeAnswer]
    cameras: list[CameraStorageAnswer]
    # By reason: unwanted, age, thinned, camera_bytes, group_bytes, volume_age, volume_bytes, space, last_reserve.
    removed: dict[str, RemovedAnswer]
    # False for ten minutes after the clock was set by more than a day.
    removes_by_age: bool
    # Null where recordings stay where they are.
    tiers: TiersAnswer | None

    @classmethod
    def of(cls, usage: StorageUsage, report: KeepingReport) -> StorageAnswer:
        """The answer for the disk's figures and the keeper's."""
        return cls.model_construct(
            disk_total_bytes=usage.media.disk_total_bytes,
            disk_free_bytes=usage.media.disk_free_bytes,
            recorded_bytes=usage.media.recorded_bytes,
            write_bytes_per_second=round(usage.write_bytes_per_second, 1),
            volumes=[VolumeAnswer.of(volume) for volume in report.volumes],
            cameras=[CameraStorageAnswer.of(camera) for camera in report.cameras],
            removed={
                reason: RemovedAnswer(files=figures.files, bytes=figures.size_bytes)
                for reason, figures in report.removed.items()
            },
            removes_by_age=report.removes_by_age,
            tiers=TiersAnswer.of(usage.tiers) if usage.tiers is not None else None,
        )


class GroupRequest(_Request):
    """A group of cameras. Its days count for each of its cameras, its bytes for all of them together."""

    name: Annotated[str, Field(max_length=200), AfterValidator(visible_name)]
    retention: Retention = Retention()


class GroupPatch(_Request):
    """What changes of a group; what is absent stays."""

    name: Annotated[str, Field(max_length=200), AfterValidator(visible_name)] | None = None
    retention: Retention | None = None


class GroupAnswer(BaseModel):
    """A group of cameras."""

    id: str
    name: str
    retention: Retention
    created_at: ApiTime
    updated_at: ApiTime

    @classmethod
    def of(cls, group: CameraGroup) -> GroupAnswer:
        """The answer for a group."""
        return cls.model_construct(
            id=group.id,
            name=group.name,
            retention=group.retention,
            created_at=group.created_us,
            updated_at=group.updated_us,
        )


class GroupsAnswer(BaseModel):
    """All groups."""

    items: list[GroupAnswer]
    next_cursor: str | None = None


class LockRequest(_Request):
    """Recordings that nothing is to remove, until `until` or, without it, until somebody releases them."""

    camera_ids: Annotated[list[str], Field(min_length=1, max_length=256)]
    start: ApiTime
    end: ApiTime
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    until: ApiTime | None = None


class LockAnswer(BaseModel):
    """An evidence lock; `active` while it holds."""

    id: str
    camera_ids: list[str]
    start: ApiTime
    end: ApiTime
    reason: str
    owner: str
    until: ApiTime | None
    created_at: ApiTime
    released_at: ApiTime | None
    released_by: str | None
    active: bool

    @classmethod
    def of(cls, lock: EvidenceLock, now_us: int) -> LockAnswer:
        """The answer for a lock at that instant."""
        return cls.model_construct(
            id=lock.id,
            camera_ids=list(lock.camera_ids),
            start=lock.start_us,
            end=lock.end_us,
            reason=lock.reason,
            owner=lock.owner,
            until=lock.until_us,
            created_at=lock.created_us,
            released_at=lock.released_us,
            released_by=lock.released_by,
            active=lock.holds(now_us),
        )


class LocksAnswer(BaseModel):
    """A page of locks, newest first."""

    items: list[LockAnswer]
    next_cursor: str | None = None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
