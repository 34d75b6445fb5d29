"""`vms_media.Front`: the public listener of a process whose recordings lie in another."""

from __future__ import annotations

import json

from vms_media import Front

from vms.adapters.media.failures import translated
from vms.contracts.media import FrontSettings


def front_document(settings: FrontSettings) -> str:
    """The settings as the media core reads them."""
    tls = None
    if settings.tls is not None:
        tls = {
            "certificate_pem": settings.tls.certificate_pem,
            "key_pem": settings.tls.key_pem.get_secret_value(),
        }
    return json.dumps(
        {
            "host": settings.host,
            "port": settings.port,
            "upstream": settings.upstream,
            "static_dir": settings.static_dir,
            "grant_key": settings.grant_key.get_secret_value(),
            "tls": tls,
            "media_concurrency": settings.media_concurrency,
        }
    )


class PlainFront:
    """Satisfies `vms.contracts.media.MediaFront` without an archive: media routes are the application's too."""

    def __init__(self, worker_threads: int) -> None:
        self._worker_threads = worker_threads
        self._front: Front | None = None

    def start_front(self, settings: FrontSettings) -> int:
        with translated():
            self._front = Front(front_document(settings), self._worker_threads)
        return self._front.port

    def http_requests_total(self) -> int:
        """Requests since the start."""
        if self._front is None:
            return 0
        with translated():
            return self._front.http_requests_total()

    def close(self, timeout_s: float) -> None:
        if self._front is not None:
            with translated():
                self._front.close(timeout_s)
