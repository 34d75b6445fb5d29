"""Which device looks at which camera's pictures.

A camera stays with its device while that is open, so that its batches and figures stay together. New ones go where the
load that results is the least, by measured speed: a slow device gets fewer. Times are µs of a clock that never steps
back; the load of a device is the share of its time that its cameras need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from vms.contracts.inference import DeviceInfo

# What a picture takes before it was measured.
_GUESSED_US = {"cpu": 30_000.0, "openvino": 15_000.0}
_GUESSED_OTHERWISE_US = 5_000.0
# The weight of a new measurement; over how long a camera's pictures are counted.
_WEIGHT = 0.1
_RATE_OVER_US = 5_000_000
_NOMINAL_RATE = 2.0
_FORGOTTEN_AFTER_US = 60_000_000
# From this load on a reserve helps out; a camera moves where the busiest is above the second, and the other one with it
# stays a fifth below that.
_FULL = 0.9
_MOVED_ABOVE = 0.5
_GAIN = 0.8

# A camera, and which devices can look at its pictures (not all of them with every model).
Client = tuple[str, str]


def is_processor(device: DeviceInfo) -> bool:
    """It is the machine's own, which recording needs too."""
    return device.kind == "cpu" or device.id == "openvino:CPU"


@dataclass
class _Device:
    kind: str
    reserve: bool
    cost_us: float
    open: bool = False


@dataclass
class _Client:
    among: tuple[str, ...] = ()
    device_id: str | None = None
    # Pictures a second, as of `asked_us`; a guess to begin with.
    rate: float = _NOMINAL_RATE
    asked_us: int = 0


@dataclass
class Shares:
    """Devices, and who is with which."""

    _devices: dict[str, _Device] = field(default_factory=dict)
    _clients: dict[Client, _Client] = field(default_factory=dict)

    def add(self, device_id: str, kind: str, *, reserve: bool = False) -> None:
        """A device, closed. A reserve gets cameras only where no other is open, or all are full."""
        self._devices[device_id] = _Device(kind, reserve, _GUESSED_US.get(kind, _GUESSED_OTHERWISE_US))

    def open(self, device_id: str) -> None:
        """It takes cameras; those that a reserve took for its sake choose anew."""
        device = self._devices[device_id]
        if not device.open and not device.reserve:
            for client in self._clients.values():
                if client.device_id is not None and self._devices[client.device_id].reserve:
                    client.device_id = None
        device.open = True

    def close(self, device_id: str) -> None:
        """It takes none, and its cameras choose anew."""
        self._devices[device_id].open = False
        for client in self._clients.values():
            if client.device_id == device_id:
                client.device_id = None

    def took(self, device_id: str, picture_us: float) -> None:
        """A picture took so long there."""
        device = self._devices[device_id]
        device.cost_us += _WEIGHT * (picture_us - device.cost_us)

    def device_for(self, client: Client, among: Sequence[str], now_us: int) -> str | None:
        """Where the next picture goes, of those devices that can look at it; None where none of them is open."""
        known = self._clients.setdefault(client, _Client(asked_us=now_us))
        known.rate = known.rate * math.exp((known.asked_us - now_us) / _RATE_OVER_US) + 1e6 / _RATE_OVER_US
        known.asked_us, known.among = now_us, tuple(among)
        if known.device_id in known.among:
            return known.device_id
        known.device_id = self._best(known, now_us)
        return known.device_id

    def rebalance(self, now_us: int) -> Client | None:
        """Moves one from the busiest device to the least busy one where that helps; who was moved."""
        for client, known in list(self._clients.items()):
            if now_us - known.asked_us > _FORGOTTEN_AFTER_US:
                del self._clients[client]
        loads = {
            device_id: self.load(device_id, now_us) for device_id in self._candidates(tuple(self._devices), now_us)
        }
        if len(loads) < 2:
            return None
        busiest, idlest = max(loads, key=lambda each: loads[each]), min(loads, key=lambda each: loads[each])
        if loads[busiest] < _MOVED_ABOVE:
            return None

        def rest(client: Client) -> float:
            return loads[busiest] - self._rate(self._clients[client], now_us) * self._devices[busiest].cost_us / 1e6

        def there(client: Client) -> float:
            return loads[idlest] + self._rate(self._clients[client], now_us) * self._devices[idlest].cost_us / 1e6

        movable = [
            client
            for client, known in self._clients.items()
            if known.device_id == busiest and idlest in known.among and there(client) < _GAIN * loads[busiest]
        ]
        if not movable:
            return None
        moved = min(movable, key=lambda client: max(rest(client), there(client)))
        self._clients[moved].device_id = idlest
        return moved

    def load(self, device_id: str, now_us: int) -> float:
        """The share of its time that its cameras need."""
        rate = sum(self._rate(known, now_us) for known in self._clients.values() if known.device_id == device_id)
        return rate * self._devices[device_id].cost_us / 1e6

    def cameras(self, device_id: str) -> tuple[str, ...]:
        """Who is with it."""
        return tuple(sorted({client[0] for client, known in self._clients.items() if known.device_id == device_id}))

    def _best(self, client: _Client, now_us: int) -> str | None:
        rate = self._rate(client, now_us)

        def resulting(device_id: str) -> float:
            return self.load(device_id, now_us) + rate * self._devices[device_id].cost_us / 1e6

        return min(self._candidates(client.among, now_us), key=resulting, default=None)

    def _candidates(self, among: Sequence[str], now_us: int) -> list[str]:
        """The open ones; reserves only where they are needed."""
        opened = [device_id for device_id in among if self._devices[device_id].open]
        first = [device_id for device_id in opened if not self._devices[device_id].reserve]
        if first and any(self.load(device_id, now_us) < _FULL for device_id in first):
            return first
        return opened

    def _rate(self, client: _Client, now_us: int) -> float:
        return client.rate * math.exp((client.asked_us - now_us) / _RATE_OVER_US)
