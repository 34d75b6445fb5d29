"""When each stream of a camera is recorded, and how."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vms.domain.schedules import Schedule

StreamName = Literal["main", "sub"]
# buffered: in files of a minute, which the storage service drops again where nothing happened.
StreamRecording = Literal["off", "continuous", "buffered"]
EventType = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$")]
MOTION = "motion"
LONGEST_PRE_EVENT_S = 600
LONGEST_POST_EVENT_S = 3600
# The end of an operator's recording that has none.
NEVER_US = 1 << 62


class RecordingMode(StrEnum):
    """When a camera is recorded."""

    CONTINUOUS = "continuous"
    MOTION = "motion"
    EVENT = "event"
    SCHEDULE = "schedule"
    OFF = "off"
    MANUAL = "manual"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class StreamModes(_Value):
    """Modes of single streams; a stream without one has the camera's."""

    main: RecordingMode | None = None
    sub: RecordingMode | None = None


class RecordingPolicy(_Value):
    """When a camera is recorded. `{"mode": …}` alone is enough."""

    mode: RecordingMode = RecordingMode.CONTINUOUS
    streams: StreamModes = StreamModes()
    # Kept from before an event's start, and from after its end.
    pre_event_s: Annotated[int, Field(ge=0, le=LONGEST_PRE_EVENT_S)] = 60
    post_event_s: Annotated[int, Field(ge=0, le=LONGEST_POST_EVENT_S)] = 30
    schedule: Schedule | None = None
    # Which events the mode `event` is for; None: all but motion, which has its own mode.
    event_types: Annotated[tuple[EventType, ...], Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _schedule_where_it_counts(self) -> Self:
        if self.schedule is None and RecordingMode.SCHEDULE in {self.mode, self.streams.main, self.streams.sub}:
            raise ValueError("the mode schedule needs a schedule")
        return self

    def mode_of(self, stream: StreamName) -> RecordingMode:
        """The mode of a stream: its own, or the camera's."""
        return getattr(self.streams, stream) or self.mode


class Wanted(_Value):
    """Which events keep what a buffered stream recorded, and how much around each."""

    pre_event_s: int
    post_event_s: int
    # Events of these types; None: all but motion.
    event_types: tuple[str, ...] | None = None

    def wants(self, event_type: str) -> bool:
        """Whether an event of that type keeps anything."""
        return event_type != MOTION if self.event_types is None else event_type in self.event_types


class StreamPlan(_Value):
    """What a stream records; `wanted` says what of a buffer is kept."""

    recording: StreamRecording
    wanted: Wanted | None = None


class RecordingPlan(_Value):
    """What every stream of a camera records from one instant until another; `changes_us` None: until the policy or
    an operator changes it (or the schedule, further ahead than it looks)."""

    streams: dict[StreamName, StreamPlan]
    changes_us: int | None = None


def plan(
    policy: RecordingPolicy, streams: Iterable[StreamName], now_us: int, started_until_us: int | None
) -> RecordingPlan:
    """What to record at `now_us` (µs since the Unix epoch).

    `started_until_us`: an operator's recording runs until then, None without one. It makes streams record that would
    not: those of the mode manual, and those outside their schedule's slots. A buffered stream stays buffered, since
    what the operator wants of it is kept like an event; the mode off stays off.
    """
    started = started_until_us is not None and now_us < started_until_us
    changes: set[int] = set()
    if started and started_until_us is not None and started_until_us < NEVER_US:
        changes.add(started_until_us)
    planned: dict[StreamName, StreamPlan] = {}
    for stream in streams:
        mode = policy.mode_of(stream)
        may_start = mode is not RecordingMode.OFF
        if mode is RecordingMode.SCHEDULE and policy.schedule is not None:
            mode = RecordingMode(policy.schedule.mode_at(now_us))
            change_us = policy.schedule.next_change_us(now_us)
            if change_us is not None:
                changes.add(change_us)
        planned[stream] = _stream_plan(policy, mode, started=started and may_start)
    return RecordingPlan(streams=planned, changes_us=min(changes, default=None))


def _stream_plan(policy: RecordingPolicy, mode: RecordingMode, *, started: bool) -> StreamPlan:
    if mode is RecordingMode.CONTINUOUS:
        return StreamPlan(recording="continuous")
    if mode in {RecordingMode.MOTION, RecordingMode.EVENT}:
        types = (MOTION,) if mode is RecordingMode.MOTION else policy.event_types
        wanted = Wanted(pre_event_s=policy.pre_event_s, post_event_s=policy.post_event_s, event_types=types)
        return StreamPlan(recording="buffered", wanted=wanted)
    return StreamPlan(recording="continuous" if started else "off")
