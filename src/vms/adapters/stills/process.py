"""A worker process that answers one request after another, on the server's side."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, TypeVar

_Answer = TypeVar("_Answer")


class WorkerEndedError(Exception):
    """The process ended in the middle of a request, or was ended since it did not answer in time (`late`)."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("the worker did not answer in time" if late else "the worker ended")
        self.late = late


class WorkerProcess:
    """`python -m module`: started when first needed, ended when it does not answer in `timeout_s`, when idle for
    `idle_s`, and when closed. Requests are made within `turn()`, one thread at a time."""

    def __init__(self, module: str, *, timeout_s: float, idle_s: float) -> None:
        self._module = module
        self.timeout_s = timeout_s
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None
        self.closed = False

    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Waits for others' requests to be answered; the process does not go idle meanwhile."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                yield
            finally:
                self._idle = threading.Timer(self._idle_s, self._end_idle)
                self._idle.daemon = True
                self._idle.start()

    def runs(self) -> bool:
        """Whether the next request meets the process that the last one met."""
        return self._process is not None and self._process.poll() is None

    def ask(self, request: tuple[bytes, ...], read: Callable[[IO[bytes]], _Answer]) -> _Answer:
        """What `read` makes of the process's output after the request. Raises WorkerEndedError."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 (both are pipes)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        limit = threading.Timer(self.timeout_s, give_up)
        limit.daemon = True
        limit.start()
        try:
            for part in request:
                process.stdin.write(part)
            process.stdin.flush()
            return read(process.stdout)
        except (OSError, EOFError) as error:
            self.end()
            raise WorkerEndedError(late=late.is_set()) from error
        finally:
            limit.cancel()

    def end(self) -> None:
        """Ends the process; another request starts a new one. Within a turn."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()

    def close(self) -> None:
        """Ends it for good; a request under way fails."""
        self.closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self.end()

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None or process.poll() is not None:
            self.end()
            command = [sys.executable, "-m", self._module]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            self._process = process
        return process

    def _end_idle(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self.end()
            finally:
                self._lock.release()
