"""What analysis found: files that keep it, counts of it, and whoever watches it live. Times are µs since the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.inference import PoolFigures
from vms.domain.models import ModelManifest
from vms.domain.motion import Box
from vms.domain.recordings import Span
from vms.domain.vision import Track


@dataclass(frozen=True)
class AnalysedFrame:
    """A picture and what is followed in it. `pts` in ticks of `clock_rate`, as live players get it."""

    camera_id: str
    stream: str
    at_us: int
    pts: int
    clock_rate: int
    width: int
    height: int
    tracks: tuple[Track, ...] = ()


class EventStill(NamedTuple):
    """The best picture of an event: when it was taken, where in it what the event is about is, a JPEG of 64 KiB at
    most."""

    taken_us: int
    box: Box | None
    jpeg: bytes


class AnalysisLog(Protocol):
    """`ai_HH.vms-idx` of every camera (docs/format/analysis.md). Its methods may be called from any thread."""

    def append(self, frame: AnalysedFrame) -> None:
        """Takes it; on disk within a second or two. Raises Failure(exhausted|unavailable)."""
        ...

    def keep_still(self, camera_id: str, event_id: str, start_us: int, still: EventStill) -> None:
        """A picture of an event, in the file of the hour that the event begins in; takes the place of one before.
        Raises Failure(exhausted|unavailable), Failure(invalid) for one that is too large."""
        ...

    def still(self, camera_id: str, event_id: str, start_us: int) -> EventStill:
        """Raises Failure(not_found)."""
        ...

    def frames(self, camera_id: str, span: Span, limit: int) -> Sequence[AnalysedFrame]:
        """In order of time."""
        ...

    def remove_before(self, camera_id: str, before_us: int) -> int:
        """Removes the hours that end at `before_us` or earlier; how many."""
        ...

    def cameras(self) -> Sequence[str]:
        """Those that something is kept of."""
        ...

    def close(self) -> None:
        """What was taken is on the disk then, or lost."""
        ...


MINUTE_US = 60_000_000
# In one answer.
MOST_COUNTS = 100_000


class Count(BaseModel):
    """How many, of what, in a step of time. seen: tracks that began; crossed: over a line (`direction`); inside:
    how many were in a zone at once (mean and peak)."""

    model_config = ConfigDict(frozen=True)

    camera_id: str
    start_us: int
    kind: Literal["seen", "crossed", "inside"]
    label: str
    rule_id: str = ""
    direction: Literal["", "left", "right"] = ""
    count: int = 0
    mean: float = 0.0
    peak: int = 0


class CountRepository(Protocol):
    """Counts by the minute. A cache: the files can give it again."""

    def add(self, counts: Sequence[Count]) -> None:
        """Adds to what is there of the same camera, minute, kind, label, rule and direction; of means the mean."""
        ...

    def counts(self, camera_ids: Sequence[str] | None, span: Span, step_us: int) -> Sequence[Count]:
        """Summed by steps of whole minutes from the span's start, which begins with a minute; in order of time. The
        mean of a step is that of its minutes. Raises Failure(invalid, too-many-counts) beyond MOST_COUNTS."""
        ...

    def drop(self, camera_id: str | None, before_us: int) -> None:
        """Of one camera, or of all that there are or were."""
        ...


class HeatMap(BaseModel):
    """How long something stood in each cell, in seconds, row by row."""

    model_config = ConfigDict(frozen=True)

    columns: int
    rows: int
    seconds: tuple[float, ...]


class CameraAnalysis(BaseModel):
    """How it goes with one camera."""

    model_config = ConfigDict(frozen=True)

    state: Literal["off", "starting", "running", "failed"] = "off"
    reason: str | None = None
    detector: str = ""
    device: str = ""
    frames_per_second: float = 0.0
    analysed: int = 0
    # For want of memory or of a free device.
    dropped: int = 0
    # From the frame's arrival to its tracks and events, last minute.
    delay_p50_ms: float = 0.0
    delay_p95_ms: float = 0.0
    longest_ms: float = 0.0
    objects: int = 0


# Upper bounds of the steps of InferenceTimes.
BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)


class InferenceTimes(NamedTuple):
    """How long a device took for a model since the start: pictures per step of BOUNDS_MS, and those beyond."""

    device: str
    model: str
    counts: tuple[int, ...]
    sum_ms: float


class AnalysisFigures(BaseModel):
    """How it goes with everything."""

    model_config = ConfigDict(frozen=True)

    cameras: dict[str, CameraAnalysis] = {}
    inference: tuple[InferenceTimes, ...] = ()
    # From the frame's arrival to its events on the disk, last minute.
    event_delay_p50_ms: float = 0.0
    event_delay_p95_ms: float = 0.0
    # None: nothing asked for devices yet.
    pool: PoolFigures | None = None


class KnownModel(NamedTuple):
    """A model of the catalogue or of this machine's disk, and whether it is taken where none is named."""

    manifest: ModelManifest
    installed: bool
    default: bool


LiveListener = Callable[[AnalysedFrame], None]


class Analysis(Protocol):
    """What the AI service offers."""

    def status(self, camera_id: str) -> CameraAnalysis: ...

    def follow(self, camera_id: str, listener: LiveListener) -> Callable[[], None]:
        """Calls with every analysed frame, on a thread of the service's, which must not wait; the answer ends it."""
        ...

    def frames(self, camera_id: str, span: Span, limit: int) -> Sequence[AnalysedFrame]: ...

    def counts(self, camera_ids: Sequence[str] | None, span: Span, step_us: int) -> Sequence[Count]: ...

    def heat_map(self, camera_id: str, span: Span) -> HeatMap: ...

    def event_still(self, event_id: str) -> EventStill:
        """Raises Failure(not_found)."""
        ...

    def models(self) -> Sequence[KnownModel]:
        """Those that are installed and those that can be, by name."""
        ...

    def pool(self) -> PoolFigures:
        """The devices; the first question begins the search for them where nothing did yet."""
        ...

    def figures(self) -> AnalysisFigures: ...
