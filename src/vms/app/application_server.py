"""The Python application on its Unix socket, behind the front."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
LARGEST_MESSAGE = 64 * 1024
# Who has not answered a ping by the next one is gone.
PING_S = 20.0


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
                ws="websockets-sansio",
                # What clients send is a token and a filter.
                ws_max_size=LARGEST_MESSAGE,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                ws_per_message_deflate=False,
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
