"""Archives of any length for tests and benches: true indexes and fragment headers, sparse pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """What was made: the same span for every camera."""

    start: datetime
    end: datetime
    files: int


def make_archive(data_dir: Path, camera_ids: list[str], *, days: float, end: datetime | None = None) -> MadeArchive:
    """Writes `days` of recordings that end at `end` (default: an hour ago) for each camera."""
    import vms_media

    end = (end or datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)
    start = end - timedelta(days=days)
    files = 0
    for camera_id in camera_ids:
        files += vms_media.make_sparse_archive(
            str(data_dir), camera_id, int(start.timestamp() * 1e6), int(end.timestamp() * 1e6)
        )
    return MadeArchive(start, end, files)
