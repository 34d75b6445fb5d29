"""Archives of any length for tests and benches: true indexes and fragment headers, sparse pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import vms_media

from benchmarks.simulated_cameras import CLIP_CACHE, DEFAULT_CLIP
from vms.adapters.footage import Encoding, read_clip, test_pattern


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """What was made: the same span for every camera."""

    start: datetime
    end: datetime
    files: int


def make_archive(data_dir: Path, camera_ids: list[str], *, days: float, end: datetime | None = None) -> MadeArchive:
    """Writes `days` of recordings that end at the full hour before `end` (default: now) for each camera."""
    clip = read_clip(test_pattern(CLIP_CACHE, Encoding(**DEFAULT_CLIP)))
    hours = max(1, round(days * 24))
    end = (end or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    files = vms_media.make_sparse_archive(
        str(data_dir), camera_ids, hours, int(end.timestamp()) * 1_000_000, clip.tracks[0].configuration
    )
    return MadeArchive(end - timedelta(hours=hours), end, files)
