"""One process with everything: `vms serve`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import structlog
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from vms.adapters import certificates
from vms.adapters.clock import SystemClock
from vms.adapters.passwords import Argon2Hasher
from vms.adapters.sealing import AesGcmSealer, load_or_make_key
from vms.adapters.sql import (
    SqlCameraRepository,
    SqlExportRepository,
    SqlSessionRepository,
    SqlUserRepository,
    check,
    open_database,
)
from vms.adapters.stills import WorkerRemuxer, WorkerStills
from vms.adapters.tokens import JwtSigner, load_or_make_private_key
from vms.app import logging as app_logging
from vms.app.config import Http, Settings
from vms.app.data_dir import DataDir
from vms.app.services import Parts, build
from vms.contracts.ingest import Cameras
from vms.contracts.media import FrontSettings, TlsMaterial
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
# SIGTERM to exit: 5 s at most. What is not closed by then is repaired at the next start.
CLOSE_S = 3.8
EXIT_S = 4.7


class ApplicationServer:
    """The Python application on a Unix socket, in a thread of its own."""

    def __init__(self, application: ASGIApp, socket_path: Path, on_end: Callable[[], None]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        try:
            self._socket.bind(str(socket_path))
        finally:
            os.umask(umask)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name="application", daemon=True)

    def start(self) -> None:
        """Returns when requests are taken. Raises Failure(internal) when that does not come about."""
        self._thread.start()
        waited = threading.Event()
        while not self._server.started:
            if not self._thread.is_alive():
                raise Failure("internal", "the application did not start; see the log")
            waited.wait(0.01)

    def stop(self) -> None:
        """Asks the server to end; `join` waits for it."""
        self._server.should_exit = True

    def join(self, timeout_s: float) -> None:
        """Waits for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except Exception:
            log.exception("the application ended")
        finally:
            self._on_end()


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


def _serve_in(
    settings: Settings,
    directory: DataDir,
    as_json: bool,
    stopping: threading.Event,
    asked: threading.Event,
    prepare: Callable[[Cameras], None] | None,
) -> int:
    for key in settings.not_available_yet():
        log.warning("asked for what is not available yet", key=key)
    _check_port(settings.http)
    if find_spec("vms_media") is None:
        raise Failure("unavailable", "the media core vms_media is not installed: run `make build`")
    import vms_media

    from vms.adapters.media import MediaEngine, MediaGrantSigner

    vms_media.log_to_stderr(settings.log.level, as_json)
    clock = SystemClock()
    database = open_database(directory.database_url)
    grant_key = load_or_make_key(directory.keys / "grant.key")
    tls = _tls(settings.http, directory, clock.now_us())
    media = MediaEngine(
        directory.path,
        fragment_ms=settings.recording.fragment_ms,
        sync_ms=settings.recording.sync_ms,
        webrtc_udp_port=settings.webrtc.udp_port,
        worker_threads=settings.media.worker_threads,
    )
    stills = WorkerStills()
    server: ApplicationServer | None = None
    storage = None
    try:
        report = media.repair_report()
        log.info("archive opened", **report.model_dump())
        rooms = build(
            Parts(
                cameras=SqlCameraRepository(database),
                exports=SqlExportRepository(database),
                users=SqlUserRepository(database),
                sessions=SqlSessionRepository(database),
                hasher=Argon2Hasher(),
                tokens=JwtSigner(load_or_make_private_key(directory.keys / "tokens.pem")),
                sealer=AesGcmSealer(load_or_make_key(directory.keys / "seal.key")),
                grants=MediaGrantSigner(grant_key),
                ingest=media,
                archive=media,
                live=media,
                stills=stills,
                remuxer=WorkerRemuxer(),
                clock=clock,
                export_dir=directory.exports,
                check_ready=lambda: _check_ready(database_check=lambda: check(database), stopping=stopping),
            ),
            allow_loopback=settings.cameras.allow_loopback,
            requests_per_minute=settings.limits.requests_per_minute,
        )
        made_password = rooms.access.ensure_administrator(settings.admin_password)
        storage = rooms.storage
        storage.start()
        socket_path = directory.socket_path()
        server = ApplicationServer(rooms.application, socket_path, stopping.set)
        server.start()
        cameras = rooms.ingest.start()
        if prepare is not None:
            prepare(rooms.ingest)
        port = media.start_front(
            FrontSettings(
                host=settings.http.host,
                port=settings.http.port,
                upstream=str(socket_path),
                static_dir=_static_dir(settings.http),
                grant_key=SecretStr(grant_key.hex()),
                tls=tls,
                media_concurrency=settings.http.media_concurrency,
            )
        )
        shown = f"[{settings.http.host}]" if ":" in settings.http.host else settings.http.host
        url = f"{'https' if tls is not None else 'http'}://{shown}:{port}"
        if not stopping.is_set():
            sys.stdout.write(f"VMS ready {url}\n")
            if made_password is not None:
                sys.stdout.write(f"First administrator: admin password: {made_password}\n")
            sys.stdout.flush()
            log.info("ready", url=url, cameras=cameras)
        stopping.wait()
    finally:
        _watchdog(0 if asked.is_set() else 1)
        if asked.is_set():
            log.info("stopping")
        if server is not None:
            server.stop()
        stills.close()
        try:
            media.close(CLOSE_S)
        except Failure as failure:
            log.warning("the media core did not close cleanly", reason=failure.detail)
        if storage is not None:
            storage.stop(0.3)
        if server is not None:
            server.join(0.5)
        database.dispose()
    return 0 if asked.is_set() else 1


def _watchdog(status: int) -> None:
    """Ends the process at the deadline whatever hangs: files are repaired at the next start, a supervisor's kill
    would leave no more."""

    def end() -> None:
        log.error("not everything stopped in time")
        os._exit(status)

    timer = threading.Timer(EXIT_S, end)
    timer.daemon = True
    timer.start()


def _check_ready(*, database_check: Callable[[], None], stopping: threading.Event) -> None:
    if stopping.is_set():
        raise Failure("unavailable", "the server is stopping")
    database_check()


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
