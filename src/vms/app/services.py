"""The services of one process, wired over whatever satisfies the contracts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from vms.api.application import create_application
from vms.api.dependencies import Services
from vms.contracts.accounts import PasswordHasher, SessionRepository, TokenSigner, UserRepository
from vms.contracts.catalog import CameraRepository, ExportRepository
from vms.contracts.clock import Clock
from vms.contracts.events import EventFiles, EventRepository
from vms.contracts.grants import GrantSigner
from vms.contracts.media import MediaArchive, MediaIngest, MediaLive
from vms.contracts.secrets import Sealer
from vms.contracts.stills import Remuxer, StillDecoder
from vms.gateway.middleware import BodyLimit, Entry, RateLimit
from vms.gateway.service import AccessService
from vms.ingest.service import IngestService
from vms.storage.events import EventService
from vms.storage.service import StorageService
from vms.stream.ice_servers import Relays
from vms.stream.service import StreamService

EXPOSED_HEADERS = ["Location", "Link", "ETag", "Retry-After", "Vms-Captured-At", "Vms-Start", "Vms-Next-Start"]


@dataclass(frozen=True)
class Parts:
    """What the services stand on."""

    cameras: CameraRepository
    exports: ExportRepository
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
    stills: StillDecoder
    remuxer: Remuxer
    clock: Clock
    export_dir: Path
    check_ready: Callable[[], None]


@dataclass(frozen=True)
class Rooms:
    """The services, and the application over them."""

    ingest: IngestService
    storage: StorageService
    events: EventService
    stream: StreamService
    access: AccessService
    application: ASGIApp


def build(parts: Parts, *, allow_loopback: bool, requests_per_minute: int, relays: Relays) -> Rooms:
    """Wires everything; nothing is started."""
    ingest = IngestService(parts.cameras, parts.ingest, parts.sealer, parts.clock, allow_loopback=allow_loopback)
    events = EventService(parts.event_files, parts.events, parts.clock)
    storage = StorageService(
        parts.archive,
        parts.exports,
        parts.stills,
        parts.remuxer,
        parts.clock,
        export_dir=parts.export_dir,
        chores=events.chores(),
    )
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
            live=stream,
            events=events,
            access=access,
            clock=parts.clock,
            check_ready=parts.check_ready,
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
        events=events,
        stream=stream,
        access=access,
        application=Entry(application),
    )
