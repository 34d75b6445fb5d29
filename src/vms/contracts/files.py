"""The archive's files as the storage service handles them: what there is, what goes, what moves. Times are µs since the
Unix epoch.

Every call may raise `vms.domain.errors.Failure`; the kinds worth handling are named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class RecordedFile(_Value):
    """One `.mp4` of one stream with its index, on one volume."""

    camera_id: str
    stream: str
    # Below the camera's directory, the same on every volume: "2026-11-23/video_10_sub_2.mp4".
    name: str
    volume: str
    start_us: int
    # Of the last durable sample.
    end_us: int
    # Of the .mp4, as far as its index covers it.
    size_bytes: int
    sealed: bool
    # Of the whole .mp4, hexadecimal; known once it is sealed, unless checksums are off or it was repaired.
    sha256: str | None = None
    # The .mp4 lies in the object storage under this key; its index stays on the volume.
    object_key: str | None = None


class RemovedFile(_Value):
    """A file that is no longer part of the archive."""

    camera_id: str
    name: str


class FileChanges(_Value):
    """What became of the archive's files since some revision."""

    # To ask from the next time.
    revision: int
    # `files` is everything there is: whatever else was known is gone.
    whole: bool
    files: list[RecordedFile] = []
    removed: list[RemovedFile] = []


Tier = Literal["fast", "slow"]
VolumeState = Literal["ok", "full", "failing", "missing"]


class Volume(_Value):
    """A directory that recordings may lie in, usually a disk of its own."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    path: str
    # New files go to the volumes of the fast tier in proportion to their weights; 0: none by choice.
    weight: int = Field(default=1, ge=0, le=1000)
    tier: Tier = "fast"
    # New files go elsewhere while less is free, if another volume takes them; retention frees twice as much.
    reserve_bytes: int = Field(default=1 << 30, ge=0)


class VolumeStatus(_Value):
    """A volume at this moment."""

    name: str
    path: str
    weight: int
    tier: Tier
    reserve_bytes: int
    state: VolumeState
    # Why it is not ok, in the words of the recorder: "disk failure (…)".
    reason: str | None = None
    free_bytes: int = 0
    total_bytes: int = 0
    recorded_bytes: int = 0
    bytes_written_total: int = 0
    write_errors_total: int = 0


class FileReport(_Value):
    """What making a file's index anew from its video found."""

    records: int
    # Index records that were missing or differed.
    records_rebuilt: int
    bytes_read: int


# (key, offset, length) → bytes of an object, exactly `length` of them.
ObjectReader = Callable[[str, int, int], bytes]


@runtime_checkable
class ArchiveFiles(Protocol):
    """The files of all recordings. Calls that read or copy a whole file block for as long and may run beside others."""

    def file_changes(self, after_revision: int) -> FileChanges:
        """0 asks for everything. A file changes when it begins, is sealed, is moved or is removed; not with every
        fragment: of an unsealed file `end_us` and `size_bytes` are those of this moment."""
        ...

    def remove_file(self, camera_id: str, name: str) -> int:
        """Removes the video, its index and its checksum for good; the bytes freed.

        Raises Failure(not_found), or Failure(conflict) while it is being recorded.
        """
        ...

    def move_file(self, camera_id: str, name: str, volume: str, max_bytes_per_s: int | None) -> None:
        """Copies a sealed file to a volume, compares, and removes the original. Whoever plays it goes on.

        Raises Failure(not_found), Failure(conflict) while it is being recorded or moved or when it is an object,
        Failure(exhausted) when the volume is full, Failure(unavailable) when it is missing or failing,
        Failure(malformed) when the copy or the original does not match its checksum (the original stays).
        """
        ...

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None) -> str:
        """The SHA-256 of the .mp4 as it is now, hexadecimal. Raises Failure(not_found)."""
        ...

    def use_object(self, camera_id: str, name: str, object_key: str) -> int:
        """The .mp4 is in the object storage now: removes it from the volume and reads it from there; the bytes freed.
        The first and last 64 KiB of the object are compared before.

        Raises Failure(not_found), Failure(conflict) while it is being recorded or moved or without an object reader,
        Failure(unavailable) when the object cannot be read, Failure(malformed) when it is not the same.
        """
        ...

    def read_objects_with(self, reader: ObjectReader) -> None:
        """How bytes of objects are got; called from threads of the media core."""
        ...

    def rebuild_index(self, camera_id: str, name: str) -> FileReport:
        """Makes the index of a sealed file anew from its video, in place of the one there is.

        Raises Failure(not_found), Failure(conflict) while it is being recorded, Failure(malformed).
        """
        ...

    def volumes(self) -> list[VolumeStatus]: ...
