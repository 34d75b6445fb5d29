"""The server's side of the still worker."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading

from vms.adapters.stills import framing
from vms.contracts.media import Picture
from vms.domain.errors import Failure, FailureKind

# What crosses the pipe at most; a 10 s GOP of 4K at 30 Mbit/s is 40 MB.
_LARGEST_REQUEST = 256 << 20


class WorkerStills:
    """Satisfies `vms.contracts.stills.StillDecoder` with one worker process, started when first needed, started anew
    after it died or did not answer in `timeout_s`, and ended when idle for `idle_s`."""

    def __init__(self, *, timeout_s: float = 10.0, idle_s: float = 120.0) -> None:
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None
        self._closed = False

    def jpeg(self, picture: Picture, *, height: int | None = None) -> bytes:
        request = _request(picture, height)
        with self._lock:
            if self._closed:
                raise Failure("unavailable", "the server is stopping")
            if self._idle is not None:
                self._idle.cancel()
            try:
                status, content = self._ask(request)
            finally:
                self._idle = threading.Timer(self._idle_s, self._end_idle)
                self._idle.daemon = True
                self._idle.start()
        if status == framing.OK:
            return content
        kind: FailureKind = "unsupported" if status == framing.UNSUPPORTED else "malformed"
        raise Failure(kind, content.decode(errors="replace"))

    def close(self) -> None:
        """Ends the worker; a request under way fails."""
        self._closed = True
        worker = self._worker
        if worker is not None:
            worker.kill()
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._end()

    def _ask(self, request: bytes) -> tuple[int, bytes]:
        worker = self._running()
        assert worker.stdin is not None and worker.stdout is not None  # noqa: S101 (both are pipes)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            worker.kill()

        limit = threading.Timer(self._timeout_s, give_up)
        limit.daemon = True
        limit.start()
        try:
            worker.stdin.write(request)
            worker.stdin.flush()
            status, size_bytes = framing.ANSWER.unpack(framing.read_exactly(worker.stdout, framing.ANSWER.size))
            return status, framing.read_exactly(worker.stdout, size_bytes)
        except (OSError, EOFError) as error:
            self._end()
            if late.is_set():
                raise Failure("unavailable", f"the decoder did not answer in {self._timeout_s:g} s") from error
            raise Failure("malformed", "the decoder ended on this picture") from error
        finally:
            limit.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            self._end()
            command = [sys.executable, "-m", "vms.adapters.stills.worker"]
            self._worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._worker

    def _end_idle(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        worker.wait()


def _request(picture: Picture, height: int | None) -> bytes:
    header = json.dumps(
        {
            "codec": picture.codec,
            "configuration_bytes": len(picture.configuration),
            "unit_bytes": [len(unit) for unit in picture.units],
            "pts_90k": picture.pts_90k,
            "wanted_pts_90k": picture.wanted_pts_90k,
            "height": height,
        }
    ).encode()
    request = b"".join([framing.LENGTH.pack(len(header)), header, picture.configuration, *picture.units])
    if len(request) > _LARGEST_REQUEST:
        raise Failure("unsupported", "too much data lies between the key frame and this picture")
    return request
