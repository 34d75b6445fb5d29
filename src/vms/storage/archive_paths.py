"""Files of the archive by name, never through a link: what is opened lies where its name says."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CAMERA = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
VIDEO = re.compile(r"video_(\d\d)((?:_[0-9A-Za-z-]{1,32})*)\.mp4")
# What lies beside the videos of a day.
COMPANION = re.compile(
    r"chain\.jsonl|(?:index|ai)_[0-9A-Za-z_-]{2,80}\.vms-idx|checksum_[0-9A-Za-z_-]{2,80}\.sha256"
    r"|events_\d\d\.(?:journal|parquet)|thumb_[0-9A-Za-z_-]{2,80}\.webp"
)


class NoPlainFileError(OSError):
    """A link, a directory or a device lies in a file's place."""


def is_camera(name: str) -> bool:
    """Whether it can name a camera's directory."""
    return _CAMERA.fullmatch(name) is not None


def is_day(name: str) -> bool:
    """Whether it can name a day's directory."""
    return _DAY.fullmatch(name) is not None


def is_video(name: str) -> bool:
    """Whether it is a video's name below its camera's directory: `2026-11-23/video_10_sub.mp4`."""
    day, _, file = name.partition("/")
    return is_day(day) and VIDEO.fullmatch(file) is not None


def index_name(video_name: str) -> str:
    """The index beside a video."""
    day, _, file = video_name.partition("/")
    return f"{day}/index_{file.removeprefix('video_').removesuffix('.mp4')}.vms-idx"


def checksum_name(video_name: str) -> str:
    """The checksum beside a video."""
    day, _, file = video_name.partition("/")
    return f"{day}/checksum_{file.removeprefix('video_').removesuffix('.mp4')}.sha256"


def open_below(root: Path, parts: Sequence[str], flags: int = os.O_RDONLY) -> int:
    """The descriptor of a plain file; no part of its path below `root` may be a link.

    Raises NoPlainFileError, or another OSError as open(2) does.
    """
    with _directory(root, parts[:-1]) as directory:
        try:
            descriptor = os.open(
                parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o640, dir_fd=directory
            )
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link; a socket or a pipe
                raise NoPlainFileError(error.errno, "a link or no file", "/".join(parts)) from error
            raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoPlainFileError(errno.EISDIR, "no file", "/".join(parts))
    return descriptor


def read_below(root: Path, parts: Sequence[str]) -> bytes:
    """The whole of a small file. Raises as `open_below` does."""
    with os.fdopen(open_below(root, parts), "rb") as file:
        return file.read()


def make_below(root: Path, parts: Sequence[str]) -> None:
    """Makes directories, each durable in the one above it. Raises NoPlainFileError where a link lies in the way."""
    for count in range(1, len(parts) + 1):
        with _directory(root, parts[: count - 1]) as above:
            try:
                os.mkdir(parts[count - 1], 0o750, dir_fd=above)
            except FileExistsError:
                continue
            os.fsync(above)


def sync_below(root: Path, parts: Sequence[str]) -> None:
    """Makes the entries of a directory durable."""
    with _directory(root, parts) as directory:
        os.fsync(directory)


def days_of(root: Path, camera_id: str) -> list[str]:
    """The days that a camera has a directory of, in order."""
    try:
        with _directory(root, ("cameras", camera_id)) as directory:
            return sorted(name for name in os.listdir(directory) if is_day(name))  # noqa: PTH208 (a descriptor)
    except OSError:
        return []


@contextmanager
def _directory(root: Path, parts: Sequence[str]) -> Iterator[int]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if part in {"", ".", ".."} or "/" in part or "\0" in part:
                raise NoPlainFileError(errno.ELOOP, "no name of a directory", "/".join(parts))
            try:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            except OSError as error:
                # With O_DIRECTORY and O_NOFOLLOW Linux says ENOTDIR of links, other systems ELOOP.
                if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                    raise NoPlainFileError(error.errno, "a link or no directory", "/".join(parts)) from error
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)
