"""How long the disk lasts: growth of the last day against what is free and what retention frees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vms.contracts.files import RecordedFile
from vms.contracts.storage import Forecast
from vms.domain.retention import DAY_US, Retention

# Of less, no day's growth is made up.
_SHORTEST_US = 10 * 60 * 1_000_000


@dataclass(frozen=True)
class Growth:
    """What one camera adds to a volume a day, and how much more it may have before its own limits hold it."""

    bytes_per_day: float
    # None: no limit of its own holds it.
    room_bytes: float | None


def bytes_per_day(files: Iterable[RecordedFile], now_us: int) -> float | None:
    """What files that began in the last 24 hours grow by in a day; None when there is not enough to tell."""
    total, first_us = 0, now_us
    for file in files:
        if file.end_us > now_us - DAY_US and file.start_us <= now_us:
            total += file.size_bytes
            first_us = min(first_us, file.start_us)
    covered_us = now_us - first_us
    if covered_us < _SHORTEST_US:
        return None
    return total * DAY_US / max(covered_us, 1)


def room(retention: Retention, stored_bytes: int, oldest_us: int, rate: float, now_us: int) -> float | None:
    """How many bytes a camera may still add before its days or bytes hold it."""
    rooms: list[float] = []
    if retention.max_bytes is not None:
        rooms.append(max(0.0, retention.max_bytes - stored_bytes))
    if retention.days is not None:
        missing_days = max(0.0, retention.days - max(0, now_us - oldest_us) / DAY_US)
        rooms.append(missing_days * rate)
    return min(rooms, default=None)


def forecast(available_bytes: int, cameras: Iterable[Growth]) -> Forecast:
    """When `available_bytes` are filled, cameras growing evenly until their limits hold them; or that their limits
    hold all of them before, and when the last."""
    growing = [camera for camera in cameras if camera.bytes_per_day > 0]
    if not growing:
        return Forecast(outcome="unknown")
    held_after = sorted(
        (camera.room_bytes / camera.bytes_per_day, camera.bytes_per_day)
        for camera in growing
        if camera.room_bytes is not None
    )
    rate = sum(camera.bytes_per_day for camera in growing)
    left, day = float(max(0, available_bytes)), 0.0
    for held_day, held_rate in held_after:
        if rate * (held_day - day) > left:
            break
        left -= rate * (held_day - day)
        day, rate = held_day, rate - held_rate
    else:
        if len(held_after) == len(growing):
            return Forecast(outcome="retention", days=day)
    return Forecast(outcome="full", days=day + left / max(rate, 1.0))
