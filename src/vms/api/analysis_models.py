"""What analysis found and how it goes, as the interface shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from vms.api.times import ApiTime
from vms.contracts.analysis import AnalysedFrame, Count, KnownModel
from vms.contracts.inference import DeviceFigures, PoolFigures
from vms.domain.models import Task
from vms.domain.vision import Track

_PLACES = 4
Box = tuple[float, float, float, float]
Step = Literal["minute", "hour", "day"]
STEPS_US: dict[Step, int] = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}


class TrackAnswer(BaseModel):
    """Something that is followed: its number for as long as it is, and its box as left, top, right, bottom, 0–1."""

    number: int
    label: str
    score: float
    box: Box
    # The picture showed it; else its place is a guess.
    seen: bool
    # Key points as x, y and score, by their place.
    points: list[tuple[float, float, float]] | None = None

    @classmethod
    def of(cls, track: Track) -> TrackAnswer:
        """The answer for a track."""
        box = track.box
        points = [(round(p.x, _PLACES), round(p.y, _PLACES), round(p.score, 2)) for p in track.points]
        return cls.model_construct(
            number=track.number,
            label=track.label,
            score=round(track.score, 3),
            box=(
                round(box.left, _PLACES),
                round(box.top, _PLACES),
                round(box.right, _PLACES),
                round(box.bottom, _PLACES),
            ),
            seen=track.seen,
            points=points or None,
        )


class AnalysedFrameAnswer(BaseModel):
    """A picture and what is followed in it; `pts` in ticks of `clock_rate`; its size as the camera sent it."""

    at: ApiTime
    pts: int
    clock_rate: int
    width: int
    height: int
    stream: str
    tracks: list[TrackAnswer]

    @classmethod
    def of(cls, frame: AnalysedFrame) -> AnalysedFrameAnswer:
        """The answer for a frame."""
        return cls.model_construct(
            at=frame.at_us,
            pts=frame.pts,
            clock_rate=frame.clock_rate,
            width=frame.width,
            height=frame.height,
            stream=frame.stream,
            tracks=[TrackAnswer.of(track) for track in frame.tracks],
        )


class PushedFrame(AnalysedFrameAnswer):
    """As it is pushed: `rtp` is the picture's RTP timestamp in the session that was named."""

    rtp: int | None


class Detections(BaseModel):
    """Analysed pictures in order of time."""

    items: list[AnalysedFrameAnswer]
    next_cursor: str | None = None


class CountAnswer(BaseModel):
    """How many, of what, in a step of time. seen: tracks that began; crossed: over a line; inside: in a zone."""

    camera_id: str
    start: ApiTime
    kind: Literal["seen", "crossed", "inside"]
    label: str
    rule_id: str
    direction: Literal["", "left", "right"]
    count: int
    mean: float
    peak: int

    @classmethod
    def of(cls, count: Count) -> CountAnswer:
        """The answer for a count."""
        return cls.model_construct(
            camera_id=count.camera_id,
            start=count.start_us,
            kind=count.kind,
            label=count.label,
            rule_id=count.rule_id,
            direction=count.direction,
            count=count.count,
            mean=round(count.mean, 3),
            peak=count.peak,
        )


class Counts(BaseModel):
    """Counts in order of time."""

    items: list[CountAnswer]
    next_cursor: str | None = None

    @classmethod
    def of(cls, counts: Sequence[Count]) -> Counts:
        """The answer for counts."""
        return cls.model_construct(items=[CountAnswer.of(count) for count in counts], next_cursor=None)


class ModelAnswer(BaseModel):
    """A model that is installed or can be; `default`: it is taken where none is named."""

    name: str
    title: str
    task: Task
    version: str
    licence: str
    commercial: bool
    notice: str
    labels: list[str]
    installed: bool
    default: bool
    size_bytes: int
    precision: Literal["fp32", "fp16", "int8"]

    @classmethod
    def of(cls, known: KnownModel) -> ModelAnswer:
        """The answer for a model."""
        manifest = known.manifest
        return cls.model_construct(
            name=manifest.name,
            title=manifest.title,
            task=manifest.task,
            version=manifest.version,
            licence=manifest.licence,
            commercial=manifest.commercial,
            notice=manifest.notice,
            labels=list(manifest.labels),
            installed=known.installed,
            default=known.default,
            size_bytes=manifest.size_bytes,
            precision=manifest.precision,
        )


class Models(BaseModel):
    """The models by name."""

    items: list[ModelAnswer]
    next_cursor: str | None = None


class Devices(BaseModel):
    """The devices that run models."""

    items: list[DeviceFigures]
    next_cursor: str | None = None


class PoolAnswer(BaseModel):
    """All devices together: since the start jobs answered, dropped for newer ones, and failed; the wait before a device
    took one up, of the last minute."""

    answered: int
    dropped: int
    failed: int
    waited_p95_ms: float

    @classmethod
    def of(cls, figures: PoolFigures) -> PoolAnswer:
        """The answer for the pool."""
        return cls.model_construct(
            answered=figures.answered,
            dropped=figures.dropped,
            failed=figures.failed,
            waited_p95_ms=figures.waited_p95_ms,
        )
