"""The storage service in a process of its own: `vms run storage`. It keeps the archive, connects and records the
cameras that it is told of, and serves other processes by gRPC."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from vms.adapters import certificates
from vms.adapters.clock import SystemClock
from vms.adapters.sealing import AesGcmSealer, load_or_make_key, load_or_make_token
from vms.app import logging as app_logging
from vms.app.config import Grpc, Settings
from vms.app.data_dir import DataDir
from vms.app.deadline import CLOSE_S, end_in_time
from vms.app.media_parts import engine_settings
from vms.domain.errors import Failure
from vms.ingest.remembered import RememberedIngest

if TYPE_CHECKING:
    from vms.adapters.grpc import ServerAddress

log = structlog.get_logger(__name__)


def run(settings: Settings, data_dir: Path) -> int:
    """Serves until SIGTERM or SIGINT; the exit status. Prints the ready line on stdout. Raises Failure when it cannot
    start."""
    if settings.grpc.port == 0:
        raise Failure("invalid", "grpc.port is 0: the storage service needs a port to be reached at")
    if settings.storage.address is not None:
        raise Failure("invalid", "storage.address is set: that is for `vms serve`; this is the storage service")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    as_json = app_logging.configure(settings.log.level, settings.log.format)
    with DataDir(data_dir) as directory:
        return _run_in(settings, directory, as_json, stopping)


def _run_in(settings: Settings, directory: DataDir, as_json: bool, stopping: threading.Event) -> int:
    if find_spec("vms_media") is None:
        raise Failure("unavailable", "the media core vms_media is not installed: run `make build`")
    import vms_media

    from vms.adapters.grpc import Served, StorageServer
    from vms.adapters.media import MediaEngine

    vms_media.log_to_stderr(settings.log.level, as_json)
    address = _address(settings.grpc, directory)
    # What nobody fetched before the last stop: who ordered it has given it up.
    export_dir = directory.path / "outgoing"
    shutil.rmtree(export_dir, ignore_errors=True)
    export_dir.mkdir(mode=0o700)
    media = MediaEngine(directory.path, engine_settings(settings))
    server: StorageServer | None = None
    try:
        log.info("archive opened", **media.repair_report().model_dump())
        sealer = AesGcmSealer(load_or_make_key(directory.keys / "seal.key"))
        ingest = RememberedIngest(media, sealer, directory.path / "cameras")
        cameras = ingest.start()
        server = StorageServer(
            Served(ingest=ingest, archive=media, live=media, playback=media, export_dir=export_dir, files=media),
            address,
        )
        port = server.start()
        shown = f"[{address.host}]" if ":" in address.host else address.host
        url = f"{'grpc' if address.tls is None else 'grpcs'}://{shown}:{port}"
        sys.stdout.write(f"VMS ready {url}\n")
        sys.stdout.flush()
        log.info("ready", url=url, cameras=cameras)
        stopping.wait()
    finally:
        end_in_time(0 if stopping.is_set() else 1)
        # Recordings first: whatever else takes long, they are closed.
        media.close(CLOSE_S)
        if server is not None:
            server.stop(0.2)
    return 0


def _address(grpc: Grpc, directory: DataDir) -> ServerAddress:
    from vms.adapters.grpc import ServerAddress, ServerTls

    kept = directory.keys / "grpc.token"
    token = grpc.token.get_secret_value() if grpc.token is not None else load_or_make_token(kept)
    if not grpc.uses_tls():
        return ServerAddress(grpc.host, grpc.port, token)
    if grpc.certificate_file is not None and grpc.key_file is not None:
        material = certificates.load(grpc.certificate_file, grpc.key_file)
    else:
        material = certificates.load_or_make(directory.keys, grpc.host, SystemClock().now_us())
    tls = ServerTls(material.certificate_pem.encode(), material.key_pem.get_secret_value().encode())
    return ServerAddress(grpc.host, grpc.port, token, tls)
