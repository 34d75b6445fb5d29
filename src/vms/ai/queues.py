"""What waits for one device: who comes next, together with whom, and who has waited too long.

All times are µs of a clock that never steps back, and come in from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vms.contracts.inference import Answer, Job

_RANKS = {"high": 0, "normal": 1, "low": 2}
# A picture's regions count as one picture, up to so many.
_REGIONS_OF_A_PICTURE = 16
# For a batch to fill, nobody waits for a camera that was silent this long; and after the second it is forgotten.
_SILENT_AFTER_US = 1_000_000
_FORGOTTEN_AFTER_US = 30_000_000


@dataclass(eq=False)
class Ticket:
    """A job on its way to its answer."""

    job: Job
    done: Callable[[Answer], None]
    since_us: int
    # Runs that a device did not survive.
    tries: int = 0
    # Something went wrong when it was looked at with others: by itself the next time.
    alone: bool = False


@dataclass(frozen=True)
class Limits:
    """How much waits, and how long.

    `most_waiting` pictures per camera and model; whoever waited `patience_us` for others of a higher priority goes
    before them; `longest_wait_us` after it was handed in a job is dropped.
    """

    most_waiting: int = 2
    patience_us: int = 300_000
    longest_wait_us: int = 900_000


@dataclass
class _Lane:
    """What one camera wants of one model."""

    camera_id: str
    model: str
    tickets: deque[Ticket] = field(default_factory=deque)
    # The number of the service that it had last.
    served: int = 0
    # Since when something has been waiting without a service.
    waiting_since_us: int = 0
    asked_us: int = 0


@dataclass(frozen=True)
class _Batch:
    largest: int = 1
    hold_us: int = 0


class DeviceQueue:
    """The jobs that wait for one device. Not for several threads at once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        # By camera, the number of the service that any lane of it had last.
        self._served: dict[str, int] = {}
        self._services = 0
        self._batches: dict[str, _Batch] = {}
        self._alone: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._alone) + sum(len(lane.tickets) for lane in self._lanes.values())

    def depth(self) -> dict[str, int]:
        """How many wait, by model."""
        depth: dict[str, int] = {}
        for ticket in self._all():
            depth[ticket.job.model] = depth.get(ticket.job.model, 0) + 1
        return depth

    def set_batch(self, model: str, largest: int, hold_us: int) -> None:
        """So many pictures go together at most, and the first of them waits so long for more."""
        self._batches[model] = _Batch(largest, hold_us)

    def put(self, ticket: Ticket, now_us: int) -> list[Ticket]:
        """Takes it; what is dropped for it, the oldest first."""
        if ticket.alone:
            self._alone.append(ticket)
            return []
        key = (ticket.job.frame.camera_id, ticket.job.model)
        lane = self._lanes.setdefault(key, _Lane(*key))
        if not lane.tickets:
            lane.waiting_since_us = now_us
        lane.asked_us = now_us
        lane.tickets.append(ticket)
        dropped: list[Ticket] = []
        while len({_picture(waiting) for waiting in lane.tickets}) > self._limits.most_waiting:
            oldest = _picture(lane.tickets[0])
            dropped += [waiting for waiting in lane.tickets if _picture(waiting) == oldest]
            lane.tickets = deque(waiting for waiting in lane.tickets if _picture(waiting) != oldest)
        while len(lane.tickets) > self._limits.most_waiting * _REGIONS_OF_A_PICTURE:
            dropped.append(lane.tickets.popleft())
        return dropped

    def take(self, now_us: int) -> list[Ticket]:
        """What goes to the device now: of one model; nothing where none waits or a batch may still fill."""
        if self._alone:
            return [self._alone.popleft()]
        ready = {
            model for model, lanes in self._by_model().items() if self._ready_at_us(model, lanes, now_us) <= now_us
        }
        lanes = sorted(
            (lane for lane in self._lanes.values() if lane.tickets and lane.model in ready),
            key=lambda lane: self._turn(lane, now_us),
        )
        if not lanes:
            return []
        model = lanes[0].model
        largest = self._batch(model).largest
        taken: list[Ticket] = []
        lanes = [lane for lane in lanes if lane.model == model]
        while lanes and len(taken) < largest:
            for lane in lanes[: largest - len(taken)]:
                taken.append(lane.tickets.popleft())
                self._services += 1
                lane.served = self._served[lane.camera_id] = self._services
                lane.waiting_since_us = now_us
            lanes = [lane for lane in lanes if lane.tickets]
        return taken

    def ready_at_us(self, now_us: int) -> int | None:
        """When `take` gives something, if nothing else comes; None where nothing waits."""
        if self._alone:
            return now_us
        return min((self._ready_at_us(model, lanes, now_us) for model, lanes in self._by_model().items()), default=None)

    def expire(self, now_us: int) -> list[Ticket]:
        """What has waited too long, which is gone from here."""
        before_us = now_us - self._limits.longest_wait_us
        expired = [ticket for ticket in self._all() if ticket.since_us <= before_us]
        if expired:
            self._alone = deque(ticket for ticket in self._alone if ticket.since_us > before_us)
            for lane in self._lanes.values():
                lane.tickets = deque(ticket for ticket in lane.tickets if ticket.since_us > before_us)
        self._forget(now_us)
        return expired

    def drain(self) -> list[Ticket]:
        """Everything that waits, which is gone from here."""
        drained = list(self._all())
        self._alone.clear()
        for lane in self._lanes.values():
            lane.tickets.clear()
        return drained

    def _all(self) -> Iterator[Ticket]:
        yield from self._alone
        for lane in self._lanes.values():
            yield from lane.tickets

    def _by_model(self) -> dict[str, list[_Lane]]:
        """All lanes of each model of which something waits."""
        waiting = {lane.model for lane in self._lanes.values() if lane.tickets}
        by_model: dict[str, list[_Lane]] = {model: [] for model in waiting}
        for lane in self._lanes.values():
            if lane.model in waiting:
                by_model[lane.model].append(lane)
        return by_model

    def _batch(self, model: str) -> _Batch:
        return self._batches.get(model, _Batch())

    def _ready_at_us(self, model: str, lanes: list[_Lane], now_us: int) -> int:
        batch = self._batch(model)
        oldest_us = min(lane.tickets[0].since_us for lane in lanes if lane.tickets)
        is_full = sum(len(lane.tickets) for lane in lanes) >= batch.largest
        # Everybody who may come is there.
        is_complete = all(lane.tickets or now_us - lane.asked_us > _SILENT_AFTER_US for lane in lanes)
        return now_us if is_full or is_complete else oldest_us + batch.hold_us

    def _turn(self, lane: _Lane, now_us: int) -> tuple[int, int, int, int]:
        """Sorts first whose turn it is: by priority, then who was served the longest ago, first by camera."""
        is_starved = now_us - lane.waiting_since_us >= self._limits.patience_us
        rank = 0 if is_starved else min(_RANKS[ticket.job.priority] for ticket in lane.tickets)
        return rank, self._served.get(lane.camera_id, 0), lane.served, lane.tickets[0].since_us

    def _forget(self, now_us: int) -> None:
        before_us = now_us - _FORGOTTEN_AFTER_US
        for key, lane in list(self._lanes.items()):
            if not lane.tickets and lane.asked_us < before_us:
                del self._lanes[key]
        cameras = {lane.camera_id for lane in self._lanes.values()}
        self._served = {camera_id: number for camera_id, number in self._served.items() if camera_id in cameras}


def _picture(ticket: Ticket) -> tuple[int, int]:
    return ticket.job.frame.at_us, ticket.job.frame.pts
