"""What is watched, by which process, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

from vms.adapters.frames.process import DecodingProcess
from vms.adapters.frames.shared_memory import Store
from vms.contracts.frames import FrameFigures, Sampling

# A camera or a process that fails is tried again after so long, twice as long each time; what ran for a while is
# forgiven.
FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 300.0
_FORGIVEN_AFTER_S = 120.0


@dataclass
class BackOff:
    """When to try again."""

    pause_s: float = 0.0
    not_before_s: float = 0.0
    began_s: float = 0.0

    def begin(self, now_s: float) -> None:
        self.began_s = now_s

    def fail(self, now_s: float) -> None:
        if self.began_s and now_s - self.began_s >= _FORGIVEN_AFTER_S:
            self.pause_s = 0.0
        self.pause_s = min(_LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self.pause_s))
        self.not_before_s = now_s + self.pause_s


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
