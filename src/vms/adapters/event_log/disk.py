"""What the event log asks of the operating system, so that tests can put a disk of their own in its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol


class Stamp(NamedTuple):
    """A file's length and when it was last changed."""

    size_bytes: int
    modified_ns: int


class Disk(Protocol):
    """Every call may raise OSError; nothing is taken to be safe before its sync."""

    def make_directories(self, path: Path) -> None: ...

    def open(self, path: Path) -> int:
        """A descriptor for reading and writing; the file is made where it is missing."""
        ...

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """Writes all of it or raises."""
        ...

    def truncate(self, descriptor: int, size_bytes: int) -> None: ...

    def sync(self, descriptor: int) -> None:
        """Returns when the file's data and length are safe."""
        ...

    def close(self, descriptor: int) -> None: ...

    def read(self, path: Path) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def stamp(self, path: Path) -> Stamp | None:
        """None when there is no such file."""
        ...

    def replace(self, source: Path, target: Path) -> None: ...

    def remove(self, path: Path) -> None: ...

    def sync_directory(self, path: Path) -> None:
        """Returns when the names inside are safe."""
        ...

    def names(self, path: Path) -> list[str]:
        """What a directory holds; nothing when there is none."""
        ...


class OsDisk:
    """The real one."""

    def make_directories(self, path: Path) -> None:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest = rest[written:]
            offset += written

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        os.ftruncate(descriptor, size_bytes)

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def stamp(self, path: Path) -> Stamp | None:
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stamp(found.st_size, found.st_mtime_ns)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def remove(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def names(self, path: Path) -> list[str]:
        try:
            return os.listdir(path)  # noqa: PTH208 (names alone are wanted)
        except (FileNotFoundError, NotADirectoryError):
            return []
