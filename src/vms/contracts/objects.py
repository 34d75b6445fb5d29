"""An object storage: bytes under keys, far away and cheap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class ObjectStorage(Protocol):
    """Every call may raise Failure(unavailable) when the storage does not answer or refuses, with its reason."""

    def put(self, key: str, chunks: Iterable[bytes]) -> None:
        """Writes an object in place of any of that key; there is none until all of it is there. An exception out of
        `chunks` ends the upload and passes on."""
        ...

    def size_bytes(self, key: str) -> int | None:
        """None when there is no such object."""
        ...

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises Failure(not_found) without it, Failure(malformed) when it is shorter."""
        ...

    def remove(self, key: str) -> None:
        """Does nothing when there is no such object."""
        ...
