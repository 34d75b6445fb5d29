"""Contents that were opened for readers elsewhere, kept until they are closed or nobody wants them any more."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from vms.contracts.playback import RecordedBytes
from vms.domain.errors import Failure

IDLE_S = 60.0
MOST = 4096


@dataclass
class _Opened:
    content: RecordedBytes
    used_s: float
    readers: int = 0


class Handles:
    """What is being read stays; what nobody reads goes after `idle_s`, or earlier when there are too many."""

    def __init__(self, now_s: Callable[[], float], *, idle_s: float = IDLE_S, most: int = MOST) -> None:
        self._now_s = now_s
        self._idle_s = idle_s
        self._most = most
        self._opened: dict[str, _Opened] = {}
        self._lock = threading.Lock()

    def put(self, content: RecordedBytes) -> str:
        """The handle of `content`. Raises Failure(exhausted) when so many are being read."""
        handle = secrets.token_hex(16)
        with self._lock:
            dropped = self._expired()
            if len(self._opened) - len(dropped) >= self._most:
                raise Failure("exhausted", f"{self._most} recordings are being read")
            old = [self._opened.pop(name) for name in dropped]
            self._opened[handle] = _Opened(content, self._now_s())
        for opened in old:
            opened.content.close()
        return handle

    def begin(self, handle: str) -> RecordedBytes:
        """The content, which stays until `end`. Raises Failure(not_found)."""
        with self._lock:
            opened = self._opened.get(handle)
            if opened is None:
                raise Failure("not_found", "nothing is open under this handle", code="handle-not-found")
            opened.readers += 1
            return opened.content

    def end(self, handle: str) -> None:
        """One reader less."""
        with self._lock:
            opened = self._opened.get(handle)
            if opened is not None:
                opened.readers -= 1
                opened.used_s = self._now_s()

    def drop(self, handle: str) -> None:
        """Forgets it; who reads it goes on."""
        with self._lock:
            opened = self._opened.pop(handle, None)
        if opened is not None:
            opened.content.close()

    def __len__(self) -> int:
        return len(self._opened)

    def _expired(self) -> list[str]:
        before_s = self._now_s() - self._idle_s
        return [handle for handle, opened in self._opened.items() if opened.readers == 0 and opened.used_s < before_s]
