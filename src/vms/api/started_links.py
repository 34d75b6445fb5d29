"""Links that were used in time: they stay good until they end."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

_MOST = 65_536


class StartedLinks:
    """Remembers tokens by their hash, the newest ones."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._started: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, token: str) -> bool:
        with self._lock:
            return _digest(token) in self._started

    def add(self, token: str) -> None:
        """The token was used in time."""
        digest = _digest(token)
        with self._lock:
            self._started[digest] = None
            self._started.move_to_end(digest)
            while len(self._started) > self._most:
                self._started.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
