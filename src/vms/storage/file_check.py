"""One recording against what was written down about it: its bytes, its index, its checksum."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vms.contracts.catalogue import Finding, FindingKind
from vms.storage import archive_paths, index_reading
from vms.storage.damage import first_damage, reader_of
from vms.storage.pace import Pace
from vms.storage.survey import checksum_beside, index_beside

# hashlib lets other threads run while it hashes so much.
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Expected:
    """What a file is held against."""

    camera_id: str
    name: str
    volume: str
    sha256: str | None
    size_bytes: int | None
    start_us: int | None = None
    end_us: int | None = None


@dataclass
class Outcome:
    """What came of it. `sha256` is None where the file was not read to its end."""

    findings: list[Finding] = field(default_factory=list)
    sha256: str | None = None
    # The file is not where it was.
    gone: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing damaged was found."""
        return not any(finding.is_damage for finding in self.findings)


def check_file(
    root: Path, expected: Expected, pace: Pace, stopping: threading.Event, count: Callable[[int], None]
) -> Outcome:
    """Reads a file whole and says what is wrong with it; `count` hears of bytes as they are read.

    `root`: the volume's directory.
    """
    outcome = Outcome()

    def find(kind: FindingKind, detail: str, at_us: int | None) -> None:
        outcome.findings.append(
            Finding(
                kind=kind, detail=detail, camera_id=expected.camera_id, name=expected.name, volume=expected.volume,
                at_us=at_us, start_us=expected.start_us, end_us=expected.end_us,
            )
        )  # fmt: skip

    try:
        descriptor = archive_paths.open_below(root, ("cameras", expected.camera_id, *expected.name.split("/")))
    except FileNotFoundError:
        outcome.gone = True
        return outcome
    except archive_paths.NoPlainFileError:
        find("link", "a link or no file lies in its place: it is not opened", expected.start_us)
        return outcome
    except OSError as error:
        find("unreadable", f"it cannot be opened: {error.strerror or error}", expected.start_us)
        return outcome
    try:
        size_bytes = os.fstat(descriptor).st_size
        index = _index(root, expected, find)
        outcome.sha256 = _hash(descriptor, pace, stopping, count)
        if expected.sha256 is not None and outcome.sha256 not in {None, expected.sha256}:
            damage = first_damage(reader_of(descriptor), size_bytes, index) if index is not None else None
            if damage is not None:
                find("altered", damage.detail, damage.at_us)
            elif expected.size_bytes not in {None, size_bytes}:
                find("altered", f"it has {size_bytes} bytes and had {expected.size_bytes}", expected.end_us)
            else:
                find("altered", "bytes of its pictures or sound are not those recorded", expected.start_us)
        beside = checksum_beside(root, expected.camera_id, expected.name)
        if outcome.is_whole and expected.sha256 is not None and beside not in {None, expected.sha256}:
            find("altered", "the checksum beside it is not the one that was written", expected.start_us)
    except OSError as error:
        find("unreadable", f"it cannot be read: {error.strerror or error}", expected.start_us)
    finally:
        os.close(descriptor)
    return outcome


def _index(root: Path, expected: Expected, find: Callable[[FindingKind, str, int | None], None]) -> bytes | None:
    try:
        index = index_beside(root, expected.camera_id, expected.name)
    except FileNotFoundError:
        find("orphan", "the video has no index; `vms storage rebuild --indexes` makes it anew", expected.start_us)
        return None
    except OSError as error:
        find("index_damaged", f"the index cannot be read: {error.strerror or error}", expected.start_us)
        return None
    bad = index_reading.first_bad_block(index)
    if bad is not None or not index_reading.is_header(index) or index_reading.seal_of(index) is None:
        last = None if bad == 0 else next(iter([*index_reading.fragments(index)][-1:]), None)
        where = "it has no seal" if bad is None else f"record {bad} (0: the header) is damaged"
        find(
            "index_damaged", f"the index: {where}; `vms storage rebuild --indexes` makes it anew",
            last.start_us if last is not None else expected.start_us,
        )  # fmt: skip
    return index


def _hash(descriptor: int, pace: Pace, stopping: threading.Event, count: Callable[[int], None]) -> str | None:
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    done = 0
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    while not stopping.is_set():
        read = os.preadv(descriptor, [view], done)
        if read == 0:
            return digest.hexdigest()
        digest.update(view[:read])
        if pace.is_limited:
            # What a scrub has read nobody else asks for soon; others' pages stay in memory.
            os.posix_fadvise(descriptor, done, read, os.POSIX_FADV_DONTNEED)
        done += read
        count(read)
        pace.spend(read, stopping)
    return None
