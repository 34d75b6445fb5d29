"""The server's side of the thumbnail worker."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

from vms.adapters.thumbnails import framing
from vms.contracts.thumbnails import MadeGrid, Still
from vms.domain.errors import Failure, FailureKind
from vms.domain.thumbnails import CELL_WIDTH, GridError, empty_grid, image_of, read_grid, write_grid

_LARGEST_STILL_BYTES = 64 << 20


class WorkerThumbnails:
    """Satisfies `vms.contracts.thumbnails.ThumbnailMaker` with one process of the lowest priority, started when first
    needed, started anew after it died or did not answer in `timeout_s`, and ended when idle for `idle_s`."""

    def __init__(self, *, timeout_s: float = 60.0, idle_s: float = 120.0) -> None:
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None
        self._closed = False

    def make(
        self, previous: bytes | None, hour_us: int, stills: Iterable[Still], made_until_us: int
    ) -> MadeGrid | None:
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                return self._make(previous, hour_us, stills, made_until_us)
            finally:
                self._idle = threading.Timer(self._idle_s, self._end_idle)
                self._idle.daemon = True
                self._idle.start()

    def close(self) -> None:
        """Ends the worker; an hour in work fails."""
        self._closed = True
        worker = self._worker
        if worker is not None:
            worker.kill()
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._end()

    def pid(self) -> int | None:
        """The process, while there is one."""
        worker = self._worker
        return worker.pid if worker is not None else None

    def _make(
        self, previous: bytes | None, hour_us: int, stills: Iterable[Still], made_until_us: int
    ) -> MadeGrid | None:
        image, grid = b"", None
        if previous is not None:
            try:
                grid = read_grid(io.BytesIO(previous))
                image = image_of(previous)
            except GridError as error:
                raise Failure("unavailable", f"the thumbnails so far cannot be read: {error}") from error
        begin = {"do": "begin", "cell_height": grid.cell_height if grid is not None else 0}
        status, _, sentence = self._ask(begin, image)
        if status != framing.OK:
            raise Failure("unavailable", f"the thumbnails so far cannot be decoded: {sentence.decode()}")
        shown: list[tuple[int, int]] = []
        broken = 0
        for cell, picture in stills:
            unit = picture.units[0] if picture.units else b""
            header = {
                "do": "still",
                "cell": cell,
                "codec": picture.codec,
                "configuration_bytes": len(picture.configuration),
            }
            if len(unit) > _LARGEST_STILL_BYTES:
                broken += 1
                continue
            status, _, _ = self._ask(header, picture.configuration + unit)
            if status == framing.OK:
                shown.append((cell, picture.captured_us))
            else:
                broken += 1
        status, cell_height, content = self._ask({"do": "finish"}, b"")
        if status == framing.NOTHING:
            return None
        if status != framing.OK:
            raise Failure("unavailable", f"the thumbnails cannot be encoded: {content.decode(errors='replace')}")
        grid = grid or empty_grid(hour_us, CELL_WIDTH, cell_height)
        return MadeGrid(write_grid(content, grid.with_(shown, made_until_us)), broken)

    def _ask(self, header: dict[str, Any], payload: bytes) -> tuple[int, int, bytes]:
        """(status, cell height, content)."""
        if self._closed:
            raise Failure("unavailable", "the server is stopping")
        worker = self._running(fresh=header["do"] == "begin")
        assert worker.stdin is not None and worker.stdout is not None  # noqa: S101 (both are pipes)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            worker.kill()

        limit = threading.Timer(self._timeout_s, give_up)
        limit.daemon = True
        limit.start()
        try:
            text = json.dumps({**header, "bytes": len(payload)}).encode()
            worker.stdin.write(framing.LENGTH.pack(len(text)) + text)
            worker.stdin.write(payload)
            worker.stdin.flush()
            head = framing.read_exactly(worker.stdout, framing.ANSWER.size)
            status, cell_height, size_bytes = framing.ANSWER.unpack(head)
            return status, cell_height, framing.read_exactly(worker.stdout, size_bytes)
        except (OSError, EOFError) as error:
            self._end()
            if late.is_set() or self._closed:
                raise Failure("unavailable", f"the thumbnail worker did not answer in {self._timeout_s:g} s") from error
            kind: FailureKind = "malformed" if header["do"] == "still" else "unavailable"
            raise Failure(kind, "the thumbnail worker ended") from error
        finally:
            limit.cancel()

    def _running(self, *, fresh: bool) -> subprocess.Popen[bytes]:
        """The worker; a new one only where an hour begins, since what it had made of one is lost with it."""
        worker = self._worker
        if worker is None or worker.poll() is not None:
            if not fresh:
                self._end()
                raise Failure("malformed", "the thumbnail worker ended")
            self._end()
            command = [sys.executable, "-m", "vms.adapters.thumbnails.worker"]
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            self._worker = worker
        return worker

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
