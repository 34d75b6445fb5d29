"""Writing files that are whole or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vms.domain.errors import Failure

_PART = ".part"


def write_whole(path: Path, content: bytes) -> None:
    """Writes `path` so that after a crash it is as before or has all of `content`. Raises OSError."""
    part = path.with_name(f".{path.name}{_PART}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Makes the directory and keeps others from writing in it; what a killed writer left half is removed.

    Raises Failure(unavailable) where it cannot be written, Failure(conflict) while another writes.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Failure("unavailable", f"the directory {directory} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(
                "conflict", f"another command is writing in {directory}: try again when it is done"
            ) from error
        for left in directory.glob(f".*{_PART}"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
