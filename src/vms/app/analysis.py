"""Understanding pictures, wired: what decodes, what runs models, where what is found goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from vms.adapters.analysis_log import AnalysisLogFiles
from vms.adapters.frames import WorkerFrames
from vms.adapters.models import catalogue
from vms.adapters.sql import SqlCounts
from vms.adapters.stills.pixels import PixelJpegs
from vms.ai.service import AnalysisService
from vms.ai.service import Parts as AnalysisParts
from vms.app.config import Ai
from vms.app.data_dir import DataDir
from vms.app.inference import open_pool
from vms.app.models import open_shelf
from vms.contracts.analysis import AnalysisLog, CountRepository
from vms.contracts.clock import Clock
from vms.contracts.events import EventLog
from vms.contracts.frames import FrameSource
from vms.contracts.inference import InferencePool, ModelShelf
from vms.contracts.media import MediaArchive, MediaTap
from vms.contracts.stills import JpegMaker
from vms.domain.analysis import AnalysisSettings
from vms.domain.cameras import Camera
from vms.domain.models import ModelManifest
from vms.domain.recordings import Span

_LONGEST_ARCHIVE_US = 20 * 366 * 86_400_000_000


@dataclass(frozen=True)
class Understanding:
    """What the analysis service stands on beside the other services."""

    frames: FrameSource
    pool: InferencePool
    shelf: ModelShelf
    log: AnalysisLog
    counts: CountRepository
    stills: JpegMaker
    catalogue: Callable[[], Sequence[ModelManifest]] = tuple
    detector: str | None = None


def open_understanding(
    ai: Ai, directory: DataDir, database: Engine, tap: MediaTap | None, clock: Clock
) -> Understanding | None:
    """None where pictures cannot be had or are not to be understood."""
    if tap is None or not ai.enabled:
        return None
    shelf = open_shelf(directory.path, ai.models_dir, commercial=ai.commercial)
    return Understanding(
        frames=WorkerFrames(tap, clock, cameras_per_worker=ai.max_cameras),
        pool=open_pool(
            shelf,
            devices=None if ai.devices == "auto" else list(ai.devices),
            latency_budget_us=ai.latency_budget_ms * 1000,
            clock=clock,
            kinds=dict(ai.model_devices),
            cache_dir=directory.path / "models" / "compiled",
        ),
        shelf=shelf,
        log=AnalysisLogFiles(directory.storage),
        counts=SqlCounts(database),
        stills=PixelJpegs(),
        catalogue=lambda: list(catalogue().values()),
        detector=ai.detector,
    )


def analysis_service(
    understanding: Understanding,
    events: EventLog,
    every_camera: Callable[[], Sequence[Camera]],
    archive: MediaArchive,
    clock: Clock,
) -> AnalysisService:
    """The service over it; nothing is started."""

    def wanted() -> dict[str, AnalysisSettings]:
        return {camera.id: camera.analysis for camera in every_camera() if camera.analysis.enabled}

    def recorded_until_us(camera_id: str, span: Span) -> int | None:
        ranges = archive.timeline(camera_id, span.start_us, span.end_us).ranges
        return max((found.end_us for found in ranges), default=None)

    def recorded_since_us(camera_id: str) -> int | None:
        now_us = clock.now_us()
        ranges = archive.timeline(camera_id, now_us - _LONGEST_ARCHIVE_US, now_us).ranges
        return min((found.start_us for found in ranges), default=None)

    return AnalysisService(
        AnalysisParts(
            frames=understanding.frames,
            pool=understanding.pool,
            shelf=understanding.shelf,
            events=events,
            log=understanding.log,
            counts=understanding.counts,
            stills=understanding.stills,
            clock=clock,
            cameras=wanted,
            recorded_until_us=recorded_until_us,
            recorded_since_us=recorded_since_us,
            catalogue=understanding.catalogue,
            detector=understanding.detector,
        )
    )
