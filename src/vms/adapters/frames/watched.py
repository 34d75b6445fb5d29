"""What is watched, by which process, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

from vms.adapters.frames.process import DecodingProcess
from vms.adapters.frames.shared_memory import Store
from vms.contracts.frames import FrameFigures, Sampling
from vms.domain.back_off import BackOff


@dataclass
class Group:
    """Cameras that share a process, while there are any."""

    process: DecodingProcess | None = None
    back_off: BackOff = field(default_factory=BackOff)


@dataclass
class WatchedCamera:
    """What the server knows of a camera whose pictures are wanted."""

    camera_id: str
    sampling: Sampling
    group: Group
    back_off: BackOff = field(default_factory=BackOff)
    # Another each time that a process takes it up: what is still said of the last time is of no concern.
    number: int = -1
    tap: int | None = None
    # The process that has its settings, and which.
    process: DecodingProcess | None = None
    told: Sampling | None = None
    # Bytes of a slot that its pictures need, and where they go.
    wanted_slot_bytes: int = 0
    store: Store | None = None
    given: int = 0
    figures: FrameFigures = field(default_factory=FrameFigures)
