"""One process with everything, or with everything but the archive: `vms serve`."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlalchemy import Engine

from vms.adapters import certificates
from vms.adapters.clock import SystemClock
from vms.adapters.event_log import EventLogFiles
from vms.adapters.motion import WorkerMotion
from vms.adapters.passwords import Argon2Hasher
from vms.adapters.sealing import AesGcmSealer, load_or_make_key
from vms.adapters.sql import (
    SqlCameraRepository,
    SqlEventRepository,
    SqlExportRepository,
    SqlFormerCameraRepository,
    SqlGroupRepository,
    SqlLockRepository,
    SqlRecordingHistory,
    SqlSessionRepository,
    SqlUserRepository,
    check,
    open_database,
)
from vms.adapters.stills import WorkerRemuxer, WorkerStills, WorkerThumbnails
from vms.adapters.tokens import JwtSigner, load_or_make_private_key
from vms.app import logging as app_logging
from vms.app.analysis import open_understanding
from vms.app.application_server import ApplicationServer
from vms.app.config import Http, Settings
from vms.app.data_dir import DataDir
from vms.app.deadline import CLOSE_S, close_cleanly, end_in_time
from vms.app.integrity import integrity_of
from vms.app.media_parts import LocalMedia, MediaParts, RemoteMedia, engine_settings
from vms.app.services import Parts, Rooms, build
from vms.app.tiering import object_storage, tiers_of
from vms.contracts.ingest import Cameras
from vms.contracts.media import FrontSettings, TlsMaterial
from vms.domain.errors import Failure
from vms.stream.ice_servers import Relays

log = structlog.get_logger(__name__)


def serve(settings: Settings, data_dir: Path, *, prepare: Callable[[Cameras], None] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; the exit status. Call it in the main thread, as the process's last work.

    Prints the ready line and, where one was made, the first password on stdout. `prepare` gets the cameras before
    the server is ready. Raises Failure when it cannot start.
    """
    stopping = threading.Event()
    asked = threading.Event()

    def on_signal(*_: object) -> None:
        asked.set()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    as_json = app_logging.configure(settings.log.level, settings.log.format)
    with DataDir(data_dir) as directory:
        return _serve_in(settings, directory, as_json, stopping, asked, prepare)


@dataclass(frozen=True)
class _Machinery:
    """What is opened before the services can be wired, and closed after them."""

    clock: SystemClock
    database: Engine
    grant_key: bytes
    tls: TlsMaterial | None
    media: MediaParts
    stills: WorkerStills
    thumbnails: WorkerThumbnails

    @classmethod
    def open(cls, settings: Settings, directory: DataDir, as_json: bool) -> _Machinery:
        """Everything that can refuse to start. Raises Failure."""
        _check_port(settings.http)
        if find_spec("vms_media") is None:
            raise Failure("unavailable", "the media core vms_media is not installed: run `make build`")
        import vms_media

        vms_media.log_to_stderr(settings.log.level, as_json)
        clock = SystemClock()
        return cls(
            clock=clock,
            database=open_database(directory.database_url),
            grant_key=load_or_make_key(directory.keys / "grant.key"),
            tls=_tls(settings.http, directory, clock.now_us()),
            media=_media(settings, directory),
            stills=WorkerStills(),
            thumbnails=WorkerThumbnails(),
        )

    def wire(self, settings: Settings, directory: DataDir, stopping: threading.Event) -> Rooms:
        """The services over it."""
        from vms.adapters.media import MediaGrantSigner

        def check_ready() -> None:
            if stopping.is_set():
                raise Failure("unavailable", "the server is stopping")
            check(self.database)
            self.media.check()

        # Elsewhere, objects are read and volumes are balanced by whoever has the directories.
        objects = object_storage(settings.storage.tiering) if self.media.is_here else None
        tiers = (
            tiers_of(settings.storage.tiering, self.media.files, objects, self.clock) if self.media.is_here else None
        )
        parts = Parts(
            cameras=SqlCameraRepository(self.database),
            exports=SqlExportRepository(self.database),
            history=SqlRecordingHistory(self.database),
            groups=SqlGroupRepository(self.database),
            locks=SqlLockRepository(self.database),
            former=SqlFormerCameraRepository(self.database),
            events=SqlEventRepository(self.database),
            event_files=EventLogFiles(directory.storage),
            users=SqlUserRepository(self.database),
            sessions=SqlSessionRepository(self.database),
            hasher=Argon2Hasher(),
            tokens=JwtSigner(load_or_make_private_key(directory.keys / "tokens.pem")),
            sealer=AesGcmSealer(load_or_make_key(directory.keys / "seal.key")),
            grants=MediaGrantSigner(self.grant_key),
            ingest=self.media.ingest,
            archive=self.media.archive,
            live=self.media.live,
            playback=self.media.playback,
            stills=self.stills,
            remuxer=WorkerRemuxer(),
            thumbnail_maker=self.thumbnails,
            clock=self.clock,
            export_dir=directory.exports,
            cameras_dir=directory.path / "storage" / "cameras",
            check_ready=check_ready,
            volume_limits=settings.retention.volumes,
            motion_watcher=None if self.media.tap is None else WorkerMotion(self.media.tap, self.clock),
            files=self.media.files,
            integrity=integrity_of(directory, self.media.files, self.clock) if self.media.is_here else None,
            tiers=tiers,
            objects=objects,
            understanding=open_understanding(settings.ai, directory, self.database, self.media.tap, self.clock),
        )
        return build(
            parts,
            allow_loopback=settings.cameras.allow_loopback,
            requests_per_minute=settings.limits.requests_per_minute,
            make_thumbnails=settings.recording.thumbnails,
            relays=Relays(settings.webrtc.stun_urls, settings.webrtc.turn_urls, settings.webrtc.turn_secret),
        )

    def open_front(self, http: Http, upstream: Path) -> str:
        """Opens the public port; the server's URL."""
        port = self.media.front.start_front(
            FrontSettings(
                host=http.host,
                port=http.port,
                upstream=str(upstream),
                static_dir=_static_dir(http),
                grant_key=SecretStr(self.grant_key.hex()),
                tls=self.tls,
                media_concurrency=http.media_concurrency,
            )
        )
        shown = f"[{http.host}]" if ":" in http.host else http.host
        return f"{'http' if self.tls is None else 'https'}://{shown}:{port}"


def _media(settings: Settings, directory: DataDir) -> MediaParts:
    if settings.storage.address is not None:
        return RemoteMedia(settings)
    from vms.adapters.media import MediaEngine

    return LocalMedia(MediaEngine(directory.path, engine_settings(settings)))


def _serve_in(
    settings: Settings,
    directory: DataDir,
    as_json: bool,
    stopping: threading.Event,
    asked: threading.Event,
    prepare: Callable[[Cameras], None] | None,
) -> int:
    machinery = _Machinery.open(settings, directory, as_json)
    server: ApplicationServer | None = None
    rooms: Rooms | None = None
    try:
        rooms = machinery.wire(settings, directory, stopping)
        made_password = rooms.access.ensure_administrator(settings.admin_password)
        machinery.media.start(rooms.ingest)
        rooms.events.start()
        if rooms.motion is not None:
            rooms.motion.start()
        if rooms.analysis is not None:
            rooms.analysis.start()
        rooms.storage.start()
        socket_path = directory.socket_path()
        server = ApplicationServer(rooms.application, socket_path, stopping.set)
        server.start()
        if prepare is not None:
            prepare(rooms.ingest)
        url = machinery.open_front(settings.http, socket_path)
        if not stopping.is_set():
            _announce(url, made_password)
            log.info("ready", url=url)
        stopping.wait()
    finally:
        end_in_time(0 if asked.is_set() else 1)
        _close(machinery, server, rooms)
    return 0 if asked.is_set() else 1


def _announce(url: str, made_password: str | None) -> None:
    sys.stdout.write(f"VMS ready {url}\n")
    if made_password is not None:
        sys.stdout.write(f"First administrator: admin password: {made_password}\n")
    sys.stdout.flush()


def _close(machinery: _Machinery, server: ApplicationServer | None, rooms: Rooms | None) -> None:
    """The application takes no new requests while the media core closes its files, which matters most."""
    if server is not None:
        server.stop()
    machinery.stills.close()
    machinery.thumbnails.close()
    close_cleanly("the media core", lambda: machinery.media.close(CLOSE_S))
    if rooms is not None:
        if rooms.motion is not None:
            rooms.motion.stop()
        if rooms.analysis is not None:
            close_cleanly("analysis", lambda: rooms.analysis.stop(0.5) if rooms.analysis is not None else None)
        close_cleanly("the event log", lambda: rooms.events.stop(0.3))
        if rooms.integrity is not None:
            rooms.integrity.stop(0.2)
        rooms.storage.stop(0.3)
        if rooms.integrity is not None:
            close_cleanly("the catalogue of recordings", rooms.integrity.catalogue.close)
    if server is not None:
        server.join(0.5)
    machinery.database.dispose()


def _check_port(http: Http) -> None:
    """Says early and plainly that the port is taken; the front's own bind decides."""
    try:
        found = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Failure("unavailable", f"the host {http.host} is not an address of this machine") from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Failure("conflict", f"cannot listen on {http.host} port {http.port}: {reason}") from error


def _tls(http: Http, directory: DataDir, now_us: int) -> TlsMaterial | None:
    if not http.uses_tls():
        return None
    if http.certificate_file is not None and http.key_file is not None:
        return certificates.load(http.certificate_file, http.key_file)
    return certificates.load_or_make(directory.keys, http.host, now_us)


def _static_dir(http: Http) -> str | None:
    """The web page: the one configured, else the one built beside these sources."""
    built = Path(__file__).parents[3] / "clients" / "web" / "dist"
    chosen = http.static_dir or built
    if chosen.is_dir():
        return str(chosen.absolute())
    log.warning("no web page", directory=str(chosen))
    return None
