"""What the storage service offers: recordings and exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.media import MediaMetrics
from vms.domain.recordings import Export, ExportFormat, Span, Timeline


class Still(BaseModel):
    """A JPEG and the server time of its picture."""

    model_config = ConfigDict(frozen=True)

    jpeg: bytes
    captured_us: int


class StorageUsage(BaseModel):
    """The disk and the archive on it."""

    model_config = ConfigDict(frozen=True)

    media: MediaMetrics
    write_bytes_per_second: float


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
