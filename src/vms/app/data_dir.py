"""The directory that holds everything of one installation."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from vms.domain.errors import Failure

# `sun_path` of sockaddr_un has 108 bytes on Linux, the last one zero.
_LONGEST_SOCKET_PATH = 107


class DataDir:
    """`vms.sqlite3`, `keys/`, `storage/` (the archive), `exports/` and `run/`, held by one process at a time.

    Use it as a context; entering makes what is missing and takes the lock. Raises Failure(unavailable) when the
    directory cannot be used, Failure(conflict) when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        self._runtime: Path | None = None

    @property
    def database_url(self) -> str:
        """SQLAlchemy's URL of the catalogue."""
        return f"sqlite:///{self.path / 'vms.sqlite3'}"

    @property
    def keys(self) -> Path:
        """Where keys are kept."""
        return self.path / "keys"

    @property
    def exports(self) -> Path:
        """Where exports are written."""
        return self.path / "exports"

    @property
    def storage(self) -> Path:
        """The archive."""
        return self.path / "storage"

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o750)
            for private in (self.keys, self.path / "run"):
                private.mkdir(exist_ok=True, mode=0o700)
                private.chmod(0o700)
            self.exports.mkdir(exist_ok=True, mode=0o750)
            self.storage.mkdir(exist_ok=True, mode=0o750)
            self._take_lock()
            # The database holds password hashes; its journal takes over its mode.
            database = self.path / "vms.sqlite3"
            database.touch(mode=0o600)
            database.chmod(0o600)
        except OSError as error:
            self.release()
            reason = error.strerror or str(error)
            raise Failure("unavailable", f"the data directory {self.path} cannot be used: {reason}") from error
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.release()

    def _take_lock(self) -> None:
        self._lock = os.open(self.path / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            self.release()
            raise Failure(
                "conflict", f"the data directory {self.path} is in use by another process (id {holder})"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def socket_path(self) -> Path:
        """Where the application listens: in `run/`, or where that path is too long for a socket, in a private
        directory of the system's."""
        path = self.path / "run" / "app.sock"
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            self._runtime = Path(tempfile.mkdtemp(prefix="vms-"))
            path = self._runtime / "app.sock"
        path.unlink(missing_ok=True)
        return path

    def release(self) -> None:
        """Gives the directory up."""
        if self._runtime is not None:
            shutil.rmtree(self._runtime, ignore_errors=True)
            self._runtime = None
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None
