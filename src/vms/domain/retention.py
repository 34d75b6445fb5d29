"""How long recordings are kept: limits, guarantees, locks."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Days = Annotated[int, Field(ge=1, le=36_500)]
Bytes = Annotated[int, Field(ge=1, le=2**60)]
DAY_US = 86_400_000_000


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Limits(_Value):
    """Recordings go when they are older than `days` or when there are more than `max_bytes`; None: no such limit."""

    days: Days | None = None
    max_bytes: Bytes | None = None


class Retention(Limits):
    """The limits of a camera or a group.

    `min_days` are guaranteed: nothing younger goes for want of space, unless the disk itself is at its last reserve.
    After `main_days` the main stream goes wherever the sub stream was recorded.
    """

    min_days: Days | None = None
    main_days: Days | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_days is not None and self.days is not None and self.min_days > self.days:
            raise ValueError("min_days is more than days: what is guaranteed cannot go earlier")
        if self.min_days is not None and self.main_days is not None and self.min_days > self.main_days:
            raise ValueError("min_days is more than main_days: what is guaranteed cannot go earlier")
        return self


def stricter(camera: Retention, group: Retention | None) -> Retention:
    """What counts for a camera of a group, each limit the stricter of both, the guarantee the longer. `max_bytes` is
    the camera's alone: a group's is for all its cameras together. A guarantee longer than the days wins over them."""
    if group is None:
        return camera
    return Retention.model_construct(
        days=_least(camera.days, group.days),
        max_bytes=camera.max_bytes,
        min_days=max(camera.min_days or 0, group.min_days or 0) or None,
        main_days=_least(camera.main_days, group.main_days),
    )


def _least(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return min(known, default=None)


class CameraGroup(BaseModel):
    """Cameras whose recordings share limits."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    retention: Retention = Retention()
    created_us: int
    updated_us: int


class FormerCamera(BaseModel):
    """A camera that was removed: its recordings stay, under the limits that it had last."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    retention: Retention = Retention()
    group_id: str | None = None
    removed_us: int


class EvidenceLock(BaseModel):
    """Recordings of some cameras that nothing removes, whatever the limits say."""

    model_config = ConfigDict(frozen=True)

    id: str
    camera_ids: tuple[str, ...]
    start_us: int
    end_us: int
    reason: str
    # The name of who locked it.
    owner: str
    # None: until somebody releases it.
    until_us: int | None = None
    created_us: int
    released_us: int | None = None
    released_by: str | None = None

    def holds(self, now_us: int) -> bool:
        """Whether it counts at that instant."""
        return self.released_us is None and (self.until_us is None or now_us < self.until_us)
