"""What the storage service offers: recordings and exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.files import VolumeStatus
from vms.contracts.media import MediaMetrics
from vms.domain.permissions import Principal
from vms.domain.recordings import Export, ExportFormat, Span, Timeline
from vms.domain.retention import CameraGroup, EvidenceLock, Retention


class Still(BaseModel):
    """A JPEG and the server time of its picture."""

    model_config = ConfigDict(frozen=True)

    jpeg: bytes
    captured_us: int


class TierFigures(BaseModel):
    """What moved to slower places since the start, and what lies in the object storage."""

    model_config = ConfigDict(frozen=True)

    moved_files_total: int = 0
    moved_bytes_total: int = 0
    failures_total: int = 0
    # "camera/file: why", the newest.
    last_failure: str | None = None
    # "camera/file", while it moves.
    moving: str | None = None
    objects: int = 0
    object_bytes: int = 0
    # In whatever currency the price was given.
    cost_per_month: float = 0.0


class StorageUsage(BaseModel):
    """The disk and the archive on it."""

    model_config = ConfigDict(frozen=True)

    media: MediaMetrics
    write_bytes_per_second: float
    # None: recordings stay where they are.
    tiers: TierFigures | None = None


class Archive(Protocol):
    """The recordings."""

    def timeline(self, camera_id: str, span: Span) -> Timeline: ...

    def frame_at(self, camera_id: str, at_us: int, stream: str, height: int | None) -> Still:
        """Raises Failure(not_found) when nothing is recorded there."""
        ...

    def create_export(self, camera_ids: Sequence[str], span: Span, export_format: ExportFormat, owner: str) -> Export:
        """Raises Failure(not_found) when nothing is recorded, Failure(exhausted) when too many run."""
        ...

    def export(self, export_id: str) -> Export:
        """Raises Failure(not_found)."""
        ...

    def exports(self, before_id: str | None, limit: int) -> Sequence[Export]: ...

    def export_file(self, export_id: str) -> Path:
        """Raises Failure(not_found), or Failure(conflict) while the export is not done."""
        ...

    def remove_export(self, export_id: str) -> None:
        """Cancels it when it runs, and deletes its files."""
        ...

    def usage(self) -> StorageUsage: ...


class Forecast(BaseModel):
    """What becomes of a volume: `full` in so many days (then the oldest goes for want of space), held by `retention`
    after so many days and not full, or `unknown` where nothing was recorded lately."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["full", "retention", "unknown"]
    days: float | None = None


class VolumeReport(BaseModel):
    """A volume, and how long it lasts."""

    model_config = ConfigDict(frozen=True)

    status: VolumeStatus
    bytes_per_day: float | None = None
    forecast: Forecast
    oldest_us: int | None = None


class CameraReport(BaseModel):
    """What a camera's recordings take. `days_left`: until its own limits begin to remove the oldest."""

    model_config = ConfigDict(frozen=True)

    camera_id: str
    size_bytes: int
    oldest_us: int
    newest_us: int
    bytes_per_day: float | None = None
    days_left: float | None = None


class Removed(BaseModel):
    """What was removed since the start, for one reason."""

    model_config = ConfigDict(frozen=True)

    files: int = 0
    size_bytes: int = 0


class KeepingReport(BaseModel):
    """The archive as the keeper sees it. `removed` is by reason; see `vms.storage.retention.Reason`."""

    model_config = ConfigDict(frozen=True)

    volumes: list[VolumeReport] = []
    cameras: list[CameraReport] = []
    removed: dict[str, Removed] = {}
    # False while the clock is not believed and nothing goes by age.
    removes_by_age: bool = True


class Keeping(Protocol):
    """What keeps to the limits."""

    def report(self) -> KeepingReport: ...


class EvidenceLocks(Protocol):
    """Locks on recordings."""

    def lock(
        self, camera_ids: Sequence[str], span: Span, reason: str, until_us: int | None, owner: str
    ) -> EvidenceLock:
        """Raises FieldFailure for an end that is past, an unknown camera, or a reason that says nothing."""
        ...

    def get(self, lock_id: str) -> EvidenceLock:
        """Raises Failure(not_found)."""
        ...

    def page(self, before_id: str | None, limit: int) -> Sequence[EvidenceLock]:
        """Newest first, released ones included."""
        ...

    def release(self, lock_id: str, by: Principal) -> EvidenceLock:
        """Raises Failure(not_found), Failure(forbidden) for who neither locked it nor is an administrator; a lock that
        was released stays as it was released."""
        ...


class Groups(Protocol):
    """Groups of cameras."""

    def create(self, name: str, retention: Retention) -> CameraGroup:
        """Raises Failure(conflict, group-name-taken)."""
        ...

    def get(self, group_id: str) -> CameraGroup:
        """Raises Failure(not_found)."""
        ...

    def all(self) -> Sequence[CameraGroup]: ...

    def change(self, group_id: str, name: str, retention: Retention) -> CameraGroup:
        """Raises what `create` raises, and Failure(not_found)."""
        ...

    def remove(self, group_id: str) -> None:
        """Raises Failure(not_found), Failure(conflict, group-in-use) while cameras are in it."""
        ...
