"""Which recordings move on to slower, cheaper places, and how fast at this hour: decisions only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from vms.contracts.files import RecordedFile, VolumeStatus

DAY_US = 86_400_000_000
MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True)
class Window:
    """Hours of the day at which moving may take another share of disks and network than otherwise."""

    # Minutes since midnight; past midnight where the end is not after the start.
    from_minute: int
    to_minute: int
    # 0: nothing moves.
    max_bytes_per_s: int
    # 0 is Monday; the day on which the window begins.
    weekdays: frozenset[int] = frozenset(range(7))

    def holds(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        if self.from_minute < self.to_minute:
            return local.weekday() in self.weekdays and self.from_minute <= minute < self.to_minute
        if minute >= self.from_minute:
            return local.weekday() in self.weekdays
        return minute < self.to_minute and (local.weekday() - 1) % 7 in self.weekdays


@dataclass(frozen=True)
class TieringRules:
    """When a recording moves on. None: never."""

    slow_after_days: float | None = None
    object_after_days: float | None = None
    # Outside all windows.
    max_bytes_per_s: int = 20_000_000
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Move:
    """A file and the volume that it goes to; None: the object storage."""

    file: RecordedFile
    volume: str | None
    reason: str


def rate_at(rules: TieringRules, local: datetime) -> int:
    """Bytes per second that moving may take at a local time: the first window that holds decides; 0: nothing moves."""
    for window in rules.windows:
        if window.holds(local):
            return window.max_bytes_per_s
    return rules.max_bytes_per_s


def moves(
    files: Iterable[RecordedFile],
    rules: TieringRules,
    volumes: Sequence[VolumeStatus],
    now_us: int,
    *,
    has_objects: bool,
    limit: int = 100,
) -> list[Move]:
    """The next moves, oldest recording first.

    By age; and from a fast volume that has less than three times its reserve free, the oldest go to a slow one before
    retention would have to delete them. No volume is filled to less than twice its reserve.
    """
    by_name = {volume.name: volume for volume in volumes}
    # As it will be when the moves before are done.
    free_bytes = {volume.name: volume.free_bytes for volume in volumes}
    candidates = sorted(
        (file for file in files if file.sealed and file.object_key is None and file.volume in by_name),
        key=lambda file: (file.end_us, file.camera_id, file.name),
    )
    found: list[Move] = []
    for file in candidates:
        if len(found) >= limit:
            break
        source = by_name[file.volume]
        age_us = now_us - file.end_us
        if has_objects and rules.object_after_days is not None and age_us >= rules.object_after_days * DAY_US:
            found.append(Move(file, None, f"older than {rules.object_after_days:g} days"))
            free_bytes[file.volume] += file.size_bytes
            continue
        if source.tier != "fast":
            continue
        aged = rules.slow_after_days is not None and age_us >= rules.slow_after_days * DAY_US
        tight = free_bytes[file.volume] < 3 * source.reserve_bytes
        if not aged and not tight:
            continue
        target = _roomiest(volumes, free_bytes, file.size_bytes)
        if target is None:
            continue
        reason = f"older than {rules.slow_after_days:g} days" if aged else f"volume {file.volume} is nearly full"
        found.append(Move(file, target, reason))
        free_bytes[file.volume] += file.size_bytes
        free_bytes[target] -= file.size_bytes
    return found


def _roomiest(volumes: Sequence[VolumeStatus], free_bytes: dict[str, int], size_bytes: int) -> str | None:
    slow = [
        volume
        for volume in volumes
        if volume.tier == "slow"
        and volume.state == "ok"
        and free_bytes[volume.name] - size_bytes >= 2 * volume.reserve_bytes
    ]
    best = max(slow, key=lambda volume: free_bytes[volume.name] - 2 * volume.reserve_bytes, default=None)
    return None if best is None else best.name


def monthly_cost(files: Iterable[RecordedFile], price_per_gb_month: float) -> float:
    """What the object storage costs a month with what lies there now; a gigabyte is 10^9 bytes, as providers count."""
    return sum(file.size_bytes for file in files if file.object_key is not None) / 1e9 * price_per_gb_month
