"""The catalogue of recordings, the chain over them, and what checking them found. Times are µs since the Unix epoch.

The catalogue is a cache inside the storage service: everything in it can be made anew from the files and the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.files import RecordedFile


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


Verdict = Literal["whole", "damaged"]


class CatalogueRow(_Value):
    """One file as it was last seen, and what was found out about it since."""

    file: RecordedFile
    # Number of the line of the camera's chain that says the file was sealed.
    chain_number: int | None = None
    # Number of the line that says it is removed by rule; the row goes with the file.
    removal_number: int | None = None
    # When its bytes were last compared with their hash.
    verified_at_us: int | None = None
    verdict: Verdict | None = None
    # It was seen while it was being recorded.
    seen_open: bool = False


def with_file(row: CatalogueRow | None, file: RecordedFile) -> CatalogueRow:
    """What `RecordingsCatalogue.put_files` makes of a row, or of none."""
    if row is None:
        return CatalogueRow(file=file, seen_open=not file.sealed)
    known = row.file
    if file.sha256 is None and file.sealed and known.sealed and known.size_bytes == file.size_bytes:
        file = file.model_copy(update={"sha256": known.sha256})
    return row.model_copy(update={"file": file, "seen_open": row.seen_open or not file.sealed})


class ChainHead(_Value):
    """The newest line of a camera's chain."""

    camera_id: str
    day: str
    number: int
    # SHA-256 of the line, hexadecimal.
    line_sha256: str


FindingKind = Literal[
    "altered",  # the bytes are not those that were recorded
    "missing",  # recorded, not removed by rule, and not there
    "unchained",  # there, and no line of the chain says that it was recorded
    "left_over",  # removed by rule, and still there
    "adopted",  # it was sealed already when it was first seen
    "duplicate",  # the same file twice
    "orphan",  # an index or a checksum without its video, or a video without its index
    "foreign",  # nothing that the recorder writes
    "index_damaged",  # the index beside it is not what was written; the video may be whole
    "link",  # a symbolic link, or something that is no file, in a recording's place
    "unreadable",  # the disk does not give it out
    "unreachable",  # its volume is not there, or it lies in the object storage
    "chain_unreadable",  # a line of a chain is no line
    "chain_altered",  # a line's signature does not hold
    "chain_foreign_key",  # a line is signed with a key that this installation does not have
    "chain_broken",  # a line does not follow the one before it
    "chain_cut",  # lines are missing at the beginning or the end
]
# These say that something is noteworthy; all others say that the archive is not what was recorded.
NOTICES: frozenset[FindingKind] = frozenset({"adopted", "duplicate", "orphan", "foreign", "left_over", "unreachable"})


class Finding(_Value):
    """Something that is not as it should be."""

    kind: FindingKind
    # One sentence for people.
    detail: str
    camera_id: str | None = None
    # Of the file below the camera's directory; of what is foreign, below the volume.
    name: str | None = None
    volume: str | None = None
    # Of the first damaged fragment, where that is known.
    at_us: int | None = None
    # What the file covers.
    start_us: int | None = None
    end_us: int | None = None
    # The day and the number of a line of the chain.
    day: str | None = None
    line: int | None = None

    @property
    def is_damage(self) -> bool:
        """Whether the archive is not what was recorded."""
        return self.kind not in NOTICES


class RecordingsCatalogue(Protocol):
    """A row per file, by camera, stream and start. Every call may raise Failure(unavailable) when the disk does."""

    def put(self, rows: Iterable[CatalogueRow]) -> None:
        """Adds or replaces them, all or none."""
        ...

    def put_files(self, files: Iterable[RecordedFile]) -> None:
        """The files as they are now; what else their rows hold stays, and so does a hash that was found out here as
        long as the file is as long as it was."""
        ...

    def update(self, camera_id: str, name: str, **fields: object) -> bool:
        """Changes fields of a row, if it is there: false when it is not."""
        ...

    def get(self, camera_id: str, name: str) -> CatalogueRow | None: ...

    def remove(self, camera_id: str, names: Iterable[str]) -> None:
        """Forgets rows; those that are not there are no fault."""
        ...

    def between(self, camera_id: str, stream: str | None, start_us: int, end_us: int) -> Iterator[CatalogueRow]:
        """The files of a camera that touch [start_us, end_us), stream by stream in order of their start."""
        ...

    def everything(self, after: tuple[str, str] | None = None) -> Iterator[CatalogueRow]:
        """All rows by camera, stream and start; with `after` (camera_id, name) those behind that row. Rows put or
        removed meanwhile may show or not."""
        ...

    def put_head(self, head: ChainHead) -> None:
        """Remembers, durably, where a camera's chain ends."""
        ...

    def heads(self) -> Sequence[ChainHead]: ...

    def put_finding(self, finding: Finding) -> None:
        """Remembers it; one for the same camera, name, volume, day, line and kind is replaced."""
        ...

    def remove_findings(self, camera_id: str, name: str | None = None) -> None:
        """Forgets those of a file; without a name those of the camera's chain."""
        ...

    def findings(self) -> Sequence[Finding]: ...

    def note(self, key: str, text: str | None) -> None:
        """Keeps a position of background work under a name; None forgets it."""
        ...

    def noted(self, key: str) -> str | None: ...

    def clear(self) -> None:
        """Forgets all rows; heads, findings and notes stay."""
        ...

    def close(self) -> None: ...


class FileJournal(Protocol):
    """Who writes down that files go by rule."""

    def on_removed(self, file: RecordedFile, reason: str, by: str) -> None:
        """Call it before `ArchiveFiles.remove_file`: a crash in between then leaves a file too many, which the next
        turn removes, and never a file missing that nobody accounts for. Saying it twice is no fault.

        `reason` and `by` are for people: "older than 30 days", "retention" or "user ana".
        """
        ...


class LineSigner(Protocol):
    """The installation's key for chains: Ed25519 (RFC 8032)."""

    @property
    def key_id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the public key's 32 bytes."""
        ...

    @property
    def public_key(self) -> bytes:
        """Its 32 bytes."""
        ...

    def public_pem(self) -> str:
        """SubjectPublicKeyInfo in PEM."""
        ...

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        ...

    def holds(self, data: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the data."""
        ...


class CheckOrder(_Value):
    """What to verify."""

    # None: every camera.
    camera_id: str | None = None
    # Files that touch [start_us, end_us).
    start_us: int | None = None
    end_us: int | None = None
    max_bytes_per_s: int | None = None
    jobs: int = 2
    # Goes on where the last verification of the same cameras and times was interrupted.
    resume: bool = False


class RebuildOrder(_Value):
    """What to make anew."""

    # Also every index from its video.
    indexes: bool = False
    max_bytes_per_s: int | None = None


WorkState = Literal["running", "done", "cancelled", "failed"]


class Work(_Value):
    """A verification or a rebuild under way, or its result."""

    id: str
    what: Literal["verification", "rebuild"]
    state: WorkState = "running"
    started_us: int
    ended_us: int | None = None
    files_total: int = 0
    files_done: int = 0
    # Verified by the interrupted run that this one continues.
    files_skipped: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    chain_lines: int = 0
    indexes_rebuilt: int = 0
    records_rebuilt: int = 0
    events_read: int = 0
    error: str | None = None
    findings: list[Finding] = []
    # More were found than are listed.
    findings_left_out: int = 0

    @property
    def is_damaged(self) -> bool:
        """Whether it found damage; notices alone are none."""
        return self.findings_left_out > 0 or any(finding.is_damage for finding in self.findings)


class IntegrityStatus(_Value):
    """What is known of the archive's integrity without reading it."""

    key_id: str
    files: int
    files_chained: int
    files_verified: int
    files_damaged: int
    oldest_verified_us: int | None
    findings: list[Finding]
    heads: list[ChainHead]
    running: list[Work]


class Integrity(Protocol):
    """Checking the archive and making its caches anew."""

    def status(self) -> IntegrityStatus: ...

    def damaged_files(self) -> int:
        """Findings of damage that stand, files and chains, without reading anything."""
        ...

    def public_key_pem(self) -> str: ...

    def verify(self, order: CheckOrder) -> Work:
        """Begins a verification. Raises Failure(conflict) while one or a rebuild runs."""
        ...

    def rebuild(self, order: RebuildOrder) -> Work:
        """Begins to make the catalogue anew. Raises Failure(conflict) while one or a verification runs."""
        ...

    def work(self, work_id: str) -> Work:
        """Raises Failure(not_found)."""
        ...

    def cancel(self, work_id: str) -> None:
        """Ends it early; what it found stays. Raises Failure(not_found)."""
        ...
