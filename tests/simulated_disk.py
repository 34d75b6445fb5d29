"""A disk in memory that knows what is safe: it ends the process after any call, cuts the power, refuses."""

from __future__ import annotations

import os
from pathlib import Path

from vms.adapters.event_log.disk import Stamp


class Stop(BaseException):
    """The process ends here."""


class SimulatedDisk:
    """Satisfies `vms.adapters.event_log.disk.Disk`. `files` is what the process sees; a power cut leaves what was
    synced, under the names that were."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.files: dict[Path, bytearray] = {}
        self.calls = 0
        self.refusing: dict[str, int] = {}
        self.refusing_below: Path | None = None
        self._stop_after = stop_after
        self._directories: set[Path] = set()
        self._safe_directories: set[Path] = {Path("/"), Path("/archive")}
        # Contents by identity, so that a file keeps its safe contents under another name.
        self._safe_data: dict[int, bytes] = {}
        self._safe_names: dict[Path, bytearray] = {}
        self._open: dict[int, Path] = {}
        self._stamps: dict[int, int] = {}
        self._clock = 0

    def restart(self, *, power_cut: bool) -> None:
        """The process, or with it the machine, begins anew; nothing stops or refuses any more."""
        self._stop_after = None
        self.refusing = {}
        self._open = {}
        if power_cut:
            survivors = {path: data for path, data in self._safe_names.items() if self._is_safe_directory(path.parent)}
            for data in survivors.values():
                data[:] = self._safe_data.get(id(data), b"")
            self.files = survivors
            self._directories = {path for path in self._directories if self._is_safe_directory(path)}

    def _is_safe_directory(self, path: Path) -> bool:
        return {path, *path.parents} <= self._safe_directories

    def _call(self, name: str, path: Path | None = None) -> None:
        if self._stop_after is not None and self.calls >= self._stop_after:
            raise Stop
        self.calls += 1
        number = self.refusing.get(name)
        if number is not None:
            raise OSError(number, os.strerror(number))
        if self.refusing_below is not None and path is not None and self.refusing_below in [path, *path.parents]:
            raise OSError(5, os.strerror(5))

    def _touch(self, data: bytearray) -> None:
        self._clock += 1
        self._stamps[id(data)] = self._clock

    def make_directories(self, path: Path) -> None:
        self._call("make_directories", path)
        self._directories |= {path, *path.parents}

    def open(self, path: Path) -> int:
        self._call("open", path)
        assert path.parent in self._directories
        if path not in self.files:
            self.files[path] = bytearray()
            self._touch(self.files[path])
        descriptor = max(self._open, default=2) + 1
        self._open[descriptor] = path
        return descriptor

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        file = self.files[self._open[descriptor]]
        half = len(data) // 2
        self._call("write_at")
        self._write(file, data[:half], offset)
        # Writes can end half way.
        self._call("write_at")
        self._write(file, data[half:], offset + half)

    def _write(self, file: bytearray, data: bytes, offset: int) -> None:
        assert offset <= len(file)
        file[offset : offset + len(data)] = data
        self._touch(file)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        self._call("truncate")
        file = self.files[self._open[descriptor]]
        del file[size_bytes:]
        self._touch(file)

    def sync(self, descriptor: int) -> None:
        self._call("sync")
        file = self.files[self._open[descriptor]]
        self._safe_data[id(file)] = bytes(file)

    def close(self, descriptor: int) -> None:
        del self._open[descriptor]

    def read(self, path: Path) -> bytes:
        self._call("read", path)
        if path not in self.files:
            raise FileNotFoundError(2, os.strerror(2))
        return bytes(self.files[path])

    def stamp(self, path: Path) -> Stamp | None:
        self._call("stamp", path)
        file = self.files.get(path)
        return None if file is None else Stamp(len(file), self._stamps.get(id(file), 0))

    def replace(self, source: Path, target: Path) -> None:
        self._call("replace", source)
        self.files[target] = self.files.pop(source)

    def remove(self, path: Path) -> None:
        self._call("remove", path)
        del self.files[path]
        # A file system may keep this and forget an earlier renaming that was not synced.
        self._safe_names.pop(path, None)

    def sync_directory(self, path: Path) -> None:
        self._call("sync_directory", path)
        self._safe_directories |= {other for other in self._directories if other.parent == path}
        for name in [name for name in self._safe_names if name.parent == path]:
            del self._safe_names[name]
        self._safe_names.update({name: data for name, data in self.files.items() if name.parent == path})

    def names(self, path: Path) -> list[str]:
        below = {*self.files, *self._directories}
        return sorted({other.relative_to(path).parts[0] for other in below if path in other.parents})
