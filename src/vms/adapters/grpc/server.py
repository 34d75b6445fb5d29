"""The listener of a node that keeps an archive."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog

from vms.adapters.grpc import protocol
from vms.adapters.grpc.archive_servicers import ArchiveServicer, PlaybackServicer
from vms.adapters.grpc.generated import (
    archive_pb2_grpc,
    files_pb2_grpc,
    ingest_pb2_grpc,
    live_pb2_grpc,
    node_pb2_grpc,
    playback_pb2_grpc,
)
from vms.adapters.grpc.handles import Handles
from vms.adapters.grpc.handling import TokenCheck
from vms.adapters.grpc.servicers import FilesServicer, IngestServicer, LiveServicer, NodeServicer
from vms.contracts.files import ArchiveFiles
from vms.contracts.media import MediaArchive, MediaIngest, MediaLive
from vms.contracts.playback import MediaPlayback
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
CALLS_AT_ONCE = 32
READS_AT_ONCE = 16
# Hashes, moves, exports: they take as long as the disk does.
LONG_CALLS_AT_ONCE = 8
CONNECTIONS_IDLE_S = 3600
_START_S = 10.0


@dataclass(frozen=True)
class ServerTls:
    """Certificate (with its chain) and key, PEM."""

    certificate_pem: bytes
    key_pem: bytes


@dataclass(frozen=True)
class ServerAddress:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int
    token: str
    tls: ServerTls | None = None


@dataclass(frozen=True)
class Served:
    """What satisfies the contracts here. `export_dir` is the node's own, for exports on their way to others."""

    ingest: MediaIngest
    archive: MediaArchive
    live: MediaLive
    playback: MediaPlayback
    export_dir: Path
    # None while the media core does not offer them.
    files: ArchiveFiles | None = None


class StorageServer:
    """Serves from `start` to `stop`, in threads of its own."""

    def __init__(
        self,
        served: Served,
        address: ServerAddress,
        *,
        node: NodeServicer | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._served = served
        self._address = address
        self._node = node or NodeServicer()
        self.handles = Handles(now_s)
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "grpc-call")
        self._reads = ThreadPoolExecutor(READS_AT_ONCE, "grpc-read")
        self._long = ThreadPoolExecutor(LONG_CALLS_AT_ONCE, "grpc-long")
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._grace_s = 0.0
        self._started = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)
        self.port = 0

    def start(self) -> int:
        """The port that is listened on. Raises Failure(conflict) when it is taken."""
        self._thread.start()
        self._started.wait(_START_S)
        if self._fault is not None or not self.port:
            where = f"{self._address.host} port {self._address.port}"
            raise Failure("conflict", f"cannot listen on {where} for other services") from self._fault
        return self.port

    def stop(self, grace_s: float) -> None:
        """Takes no more calls; those under way have `grace_s`."""
        self._grace_s = grace_s
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join(grace_s + 1.0)
        for threads in (self._threads, self._reads, self._long):
            threads.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:
            log.exception("the listener for other services ended")
            self._fault = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        server = grpc.aio.server(
            interceptors=[TokenCheck(self._address.token)],
            options=[
                # Two processes must never share the port.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", protocol.LARGEST_REQUEST_BYTES),
                ("grpc.max_send_message_length", protocol.LARGEST_REPLY_BYTES),
                ("grpc.max_metadata_size", 16 << 10),
                ("grpc.keepalive_time_ms", 20_000),
                ("grpc.keepalive_timeout_ms", 5_000),
                ("grpc.keepalive_permit_without_calls", 1),
                # Peers ping as often as we do; more is abuse.
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
                ("grpc.max_connection_idle_ms", CONNECTIONS_IDLE_S * 1000),
            ],
        )
        served = self._served
        node_pb2_grpc.add_NodeServicer_to_server(self._node, server)
        ingest_pb2_grpc.add_MediaIngestServicer_to_server(IngestServicer(served.ingest, self._threads), server)
        live_pb2_grpc.add_MediaLiveServicer_to_server(LiveServicer(served.live, self._threads), server)
        archive_pb2_grpc.add_MediaArchiveServicer_to_server(
            ArchiveServicer(served.archive, served.export_dir, self._threads, self._long), server
        )
        playback_pb2_grpc.add_MediaPlaybackServicer_to_server(
            PlaybackServicer(served.playback, self.handles, self._reads), server
        )
        if served.files is not None:
            files_pb2_grpc.add_ArchiveFilesServicer_to_server(
                FilesServicer(served.files, self._threads, self._long), server
            )
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        where = f"{host}:{self._address.port}"
        tls = self._address.tls
        if tls is None:
            self.port = server.add_insecure_port(where)
        else:
            credentials = grpc.ssl_server_credentials([(tls.key_pem, tls.certificate_pem)])
            self.port = server.add_secure_port(where, credentials)
        await server.start()
        self._started.set()
        await self._ending.wait()
        await server.stop(self._grace_s)
