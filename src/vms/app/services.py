"""The services of one process, wired over whatever satisfies the contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from vms.ai.service import AGE_S, PERIOD_S, AnalysisService
from vms.api.application import create_application
from vms.api.dependencies import Services
from vms.app.analysis import Understanding, analysis_service
from vms.contracts.accounts import PasswordHasher, SessionRepository, TokenSigner, UserRepository
from vms.contracts.catalog import CameraRepository, ExportRepository
from vms.contracts.clock import Clock
from vms.contracts.events import EventFiles, EventLog, EventRepository
from vms.contracts.files import ArchiveFiles
from vms.contracts.grants import GrantSigner
from vms.contracts.keeping import (
    FormerCameraRepository,
    GroupRepository,
    LockRepository,
    RecordingHistory,
)
from vms.contracts.media import MediaArchive, MediaIngest, MediaLive
from vms.contracts.motion import MotionWatcher
from vms.contracts.objects import ObjectStorage
from vms.contracts.playback import MediaPlayback
from vms.contracts.secrets import Sealer
from vms.contracts.stills import Remuxer, StillDecoder
from vms.contracts.thumbnails import ThumbnailMaker
from vms.domain.cameras import Camera
from vms.domain.motion import MotionSettings, needs_server, records_on_motion
from vms.domain.recordings import Span
from vms.domain.retention import Limits
from vms.gateway.middleware import BodyLimit, Entry, RateLimit
from vms.gateway.service import AccessService
from vms.ingest.groups import GroupService
from vms.ingest.service import IngestService
from vms.storage.chores import Chore
from vms.storage.events import EventService
from vms.storage.happenings import happenings_of
from vms.storage.integrity import IntegrityService
from vms.storage.keeper import Keeper
from vms.storage.locks import LockService
from vms.storage.motion import PERIOD_S as MOTION_PERIOD_S
from vms.storage.motion import MotionService
from vms.storage.service import StorageService
from vms.storage.thumbnails import PERIOD_S as THUMBNAILS_PERIOD_S
from vms.storage.thumbnails import ThumbnailService
from vms.storage.tiers import Tiers
from vms.stream.ice_servers import Relays
from vms.stream.service import StreamService

EXPOSED_HEADERS = [
    "Location",
    "Link",
    "ETag",
    "Accept-Ranges",
    "Content-Length",
    "Content-Range",
    "Retry-After",
    "Vms-Box",
    "Vms-Captured-At",
    "Vms-Start",
    "Vms-Next-Start",
]

# How often it is looked whether a schedule's or an operator's time has come, and what is to be removed.
PLAN_S = 1.0
KEEP_S = 5.0


@dataclass(frozen=True)
class Parts:
    """What the services stand on."""

    cameras: CameraRepository
    exports: ExportRepository
    history: RecordingHistory
    groups: GroupRepository
    locks: LockRepository
    former: FormerCameraRepository
    events: EventRepository
    event_files: EventFiles
    users: UserRepository
    sessions: SessionRepository
    hasher: PasswordHasher
    tokens: TokenSigner
    sealer: Sealer
    grants: GrantSigner
    ingest: MediaIngest
    archive: MediaArchive
    live: MediaLive
    playback: MediaPlayback
    stills: StillDecoder
    remuxer: Remuxer
    thumbnail_maker: ThumbnailMaker
    clock: Clock
    export_dir: Path
    # A directory per camera, with the recordings.
    cameras_dir: Path
    check_ready: Callable[[], None]
    # None: an archive whose files nobody can list; nothing is removed from it.
    files: ArchiveFiles | None = None
    volume_limits: Mapping[str, Limits] = field(default_factory=dict)
    # None: the server looks for no motion itself.
    motion_watcher: MotionWatcher | None = None
    # None: an archive whose files nobody can list.
    integrity: IntegrityService | None = None
    # None: recordings stay where they are.
    tiers: Tiers | None = None
    objects: ObjectStorage | None = None
    # None: pictures are not understood here.
    understanding: Understanding | None = None


@dataclass(frozen=True)
class Rooms:
    """The services, and the application over them."""

    ingest: IngestService
    storage: StorageService
    keeper: Keeper | None
    events: EventService
    thumbnails: ThumbnailService
    motion: MotionService | None
    stream: StreamService
    access: AccessService
    application: ASGIApp
    integrity: IntegrityService | None = None
    analysis: AnalysisService | None = None


def build(
    parts: Parts,
    *,
    allow_loopback: bool,
    requests_per_minute: int,
    relays: Relays,
    make_thumbnails: bool = True,
) -> Rooms:
    """Wires everything; nothing is started."""
    ingest = IngestService(
        parts.cameras,
        parts.ingest,
        parts.sealer,
        parts.clock,
        allow_loopback=allow_loopback,
        history=parts.history,
        groups=parts.groups,
        former=parts.former,
    )
    events = EventService(parts.event_files, parts.events, parts.clock)
    keeper = _keeper(parts, events)
    thumbnails = ThumbnailService(
        parts.archive,
        parts.thumbnail_maker,
        parts.clock,
        parts.cameras_dir,
        lambda: [camera.id for camera in _every_camera(parts.cameras)],
        enabled=make_thumbnails,
    )
    motion = _motion(parts, events)
    analysis = None
    if parts.understanding is not None:
        analysis = _analysis(parts, parts.understanding, events)
    chores = [
        *events.chores(),
        Chore("recording plans", PLAN_S, lambda _: _replan(ingest)),
        Chore("thumbnails", THUMBNAILS_PERIOD_S, thumbnails.run),
    ]
    if parts.integrity is not None:
        chores += parts.integrity.chores()
    if keeper is not None:
        chores.append(Chore("keeper", KEEP_S, keeper.turn))
    if parts.tiers is not None:
        chores.append(parts.tiers.chore())
    if motion is not None:
        chores.append(Chore("motion", MOTION_PERIOD_S, motion.refresh))
    if analysis is not None:
        chores += [Chore("analysis", PERIOD_S, analysis.refresh), Chore("old analysis", AGE_S, analysis.age)]
    storage = StorageService(
        parts.archive,
        parts.exports,
        parts.stills,
        parts.remuxer,
        parts.clock,
        export_dir=parts.export_dir,
        chores=chores,
        tier_figures=parts.tiers.figures if parts.tiers is not None else None,
    )
    if parts.integrity is not None:
        parts.integrity.rebuild_events_with(events.rebuild_events)
    stream = StreamService(parts.live, parts.stills, parts.grants, parts.clock, relays)
    access = AccessService(
        users=parts.users,
        session_repository=parts.sessions,
        hasher=parts.hasher,
        tokens=parts.tokens,
        grants=parts.grants,
        clock=parts.clock,
    )
    application: ASGIApp = create_application(
        Services(
            cameras=ingest,
            archive=storage,
            playback=parts.playback,
            thumbnails=thumbnails,
            live=stream,
            groups=GroupService(parts.groups, parts.cameras, parts.clock),
            locks=LockService(parts.locks, parts.cameras, parts.former, parts.clock),
            events=events,
            access=access,
            clock=parts.clock,
            keeping=keeper,
            check_ready=parts.check_ready,
            integrity=parts.integrity,
            analysis=analysis,
        )
    )
    application = BodyLimit(application)
    application = RateLimit(
        application, requests_per_minute=requests_per_minute, session_of=access.session_of, clock=parts.clock
    )
    # No cookie carries a session, so any page may ask: what it may see hangs on the token that it brings.
    application = CORSMiddleware(
        application, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED_HEADERS
    )
    return Rooms(
        ingest=ingest,
        storage=storage,
        keeper=keeper,
        events=events,
        thumbnails=thumbnails,
        motion=motion,
        stream=stream,
        access=access,
        application=Entry(application),
        integrity=parts.integrity,
        analysis=analysis,
    )


def _every_camera(cameras: CameraRepository) -> list[Camera]:
    found: list[Camera] = []
    last: str | None = None
    while page := cameras.page(last, 500):
        found.extend(page)
        last = page[-1].id
    return found


def _analysis(parts: Parts, understanding: Understanding, events: EventLog) -> AnalysisService:
    return analysis_service(understanding, events, lambda: _every_camera(parts.cameras), parts.archive, parts.clock)


def _motion(parts: Parts, events: EventLog) -> MotionService | None:
    watcher = parts.motion_watcher
    if watcher is None:
        return None

    def looked_at() -> dict[str, MotionSettings]:
        return {
            camera.id: camera.motion
            for camera in _every_camera(parts.cameras)
            if needs_server(camera.motion, records_on_motion=records_on_motion(camera.recording, camera.streams))
        }

    def recorded_until_us(camera_id: str, span: Span) -> int | None:
        ranges = parts.archive.timeline(camera_id, span.start_us, span.end_us).ranges
        return max((found.end_us for found in ranges), default=None)

    return MotionService(watcher, events, looked_at, parts.clock, recorded_until_us)


def _keeper(parts: Parts, events: EventLog) -> Keeper | None:
    if parts.files is None:
        return None
    return Keeper(
        parts.files,
        parts.cameras,
        parts.groups,
        parts.locks,
        parts.former,
        parts.history,
        parts.clock,
        happenings=happenings_of(events),
        volume_limits=parts.volume_limits,
        journal=parts.integrity.journal if parts.integrity is not None else None,
        objects=parts.objects,
    )


def _replan(ingest: IngestService) -> None:
    ingest.replan_due()
