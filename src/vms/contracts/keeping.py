"""What is remembered of how cameras were to be recorded and kept: spans, an operator's recordings, groups, locks,
removed cameras. Times are µs since the Unix epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from vms.domain.recording_policy import Wanted
from vms.domain.retention import CameraGroup, EvidenceLock, FormerCamera


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class RecordingSpan(_Value):
    """How a stream was recorded for a while. What was recorded in a span is judged by it alone, whatever the camera's
    policy became later."""

    id: str
    camera_id: str
    stream: str
    kind: Literal["continuous", "buffered"]
    start_us: int
    # None: it goes on.
    end_us: int | None = None
    # Of a buffered span: what is kept of it.
    wanted: Wanted | None = None
    # Of a buffered span: files that ended before were judged; those still there are kept.
    judged_us: int = 0


class ManualRecording(_Value):
    """A recording that an operator started."""

    id: str
    camera_id: str
    start_us: int
    # When it ends or ended; None: when somebody stops it.
    end_us: int | None = None
    started_by: str

    def runs(self, now_us: int) -> bool:
        """Whether it goes on at that instant."""
        return self.end_us is None or now_us < self.end_us


class RecordingHistory(Protocol):
    """How streams were recorded, and who started what by hand."""

    def spans(self) -> Sequence[RecordingSpan]:
        """All of them, in order of their starts."""
        ...

    def open_spans(self, camera_id: str) -> Sequence[RecordingSpan]: ...

    def change_spans(self, begun: Sequence[RecordingSpan], ended: Mapping[str, int]) -> None:
        """Adds spans, and ends those of the identifiers at those times: all of it or nothing."""
        ...

    def judge_spans(self, judged_us: Mapping[str, int]) -> None:
        """Notes up to when files of the spans were judged."""
        ...

    def remove_spans(self, span_ids: Sequence[str]) -> None: ...

    def add_manual(self, recording: ManualRecording) -> None: ...

    def end_manual(self, recording_id: str, end_us: int) -> None: ...

    def manual(self, camera_id: str | None = None) -> Sequence[ManualRecording]:
        """Those of a camera or of all, in order of their starts."""
        ...

    def remove_manual(self, recording_ids: Sequence[str]) -> None: ...


class GroupRepository(Protocol):
    """Groups of cameras. Names are unique without regard to case."""

    def add(self, group: CameraGroup) -> None:
        """Raises Failure(conflict, group-name-taken)."""
        ...

    def get(self, group_id: str) -> CameraGroup:
        """Raises Failure(not_found, group-not-found)."""
        ...

    def all(self) -> Sequence[CameraGroup]:
        """In the order of their identifiers."""
        ...

    def replace(self, group: CameraGroup) -> None:
        """Raises Failure(not_found, group-not-found) or Failure(conflict, group-name-taken)."""
        ...

    def remove(self, group_id: str) -> None:
        """Raises Failure(not_found, group-not-found)."""
        ...


class LockRepository(Protocol):
    """Evidence locks, released ones included: who locked and who released stays known."""

    def add(self, lock: EvidenceLock) -> None: ...

    def get(self, lock_id: str) -> EvidenceLock:
        """Raises Failure(not_found, lock-not-found)."""
        ...

    def page(self, before_id: str | None, limit: int) -> Sequence[EvidenceLock]:
        """At most `limit` locks, newest first, from the first one older than `before_id`."""
        ...

    def unreleased(self) -> Sequence[EvidenceLock]: ...

    def replace(self, lock: EvidenceLock) -> None:
        """Raises Failure(not_found, lock-not-found)."""
        ...


class FormerCameraRepository(Protocol):
    """Cameras that were removed and may have recordings."""

    def put(self, camera: FormerCamera) -> None: ...

    def all(self) -> Sequence[FormerCamera]: ...

    def remove(self, camera_id: str) -> None:
        """Does nothing when it is not there."""
        ...
