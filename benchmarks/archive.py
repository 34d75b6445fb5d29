"""Archives of any length for tests and benches: true indexes and fragment headers, sparse pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import vms_media


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """What was made: the same span for every camera."""

    start: datetime
    end: datetime
    files: int


def make_archive(data_dir: Path, camera_ids: list[str], *, days: float, end: datetime | None = None) -> MadeArchive:
    """Writes `days` of recordings that end at the full hour before `end` (default: now) for each camera."""
    end = (end or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=max(1, round(days * 24)))
    span_us = (int(start.timestamp()) * 1_000_000, int(end.timestamp()) * 1_000_000)
    files = sum(vms_media.make_sparse_archive(str(data_dir), camera_id, *span_us) for camera_id in camera_ids)
    return MadeArchive(start, end, files)
