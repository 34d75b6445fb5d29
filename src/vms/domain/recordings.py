"""Recordings: spans of time, what a timeline shows, exports."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from vms.domain.errors import Failure


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Span(_Value):
    """The half-open span [start_us, end_us) of µs since the Unix epoch."""

    start_us: int
    end_us: int


class RecordedRange(Span):
    """Recorded without a gap longer than 200 ms."""

    stream: str = "main"


class Gap(Span):
    """Nothing was recorded, and why."""

    cause: str = "unknown"


class Timeline(_Value):
    """What of a span is recorded, in order of time; a range ends at the last sample that is safe on the disk."""

    ranges: list[RecordedRange] = []
    gaps: list[Gap] = []


ExportFormat = Literal["mp4", "mkv", "zip"]
ExportState = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL_EXPORT_STATES: frozenset[ExportState] = frozenset({"done", "failed", "cancelled"})


class ExportFile(_Value):
    """One file inside an export."""

    name: str
    size_bytes: int
    sha256: str | None = None


class Export(_Value):
    """An export, from its order to its file."""

    id: str
    camera_ids: list[str]
    span: Span
    format: ExportFormat
    state: ExportState = "queued"
    progress: float = 0.0
    bytes_written: int = 0
    error: str | None = None
    path: str | None = None
    sha256: str | None = None
    files: list[ExportFile] = []
    owner: str
    created_us: int
    updated_us: int


def span(start_us: int, end_us: int, *, longest_us: int | None = None) -> Span:
    """A span that a request names.

    Raises Failure(invalid) when it ends before it starts or is longer than `longest_us`.
    """
    if end_us <= start_us:
        raise Failure("invalid", "end must be after start", code="span-reversed")
    if longest_us is not None and end_us - start_us > longest_us:
        raise Failure(
            "invalid", f"the span is longer than the {longest_us // 86_400_000_000} days allowed", code="span-too-long"
        )
    return Span(start_us=start_us, end_us=end_us)
