"""An object storage in memory."""

from __future__ import annotations

from collections.abc import Iterable

from vms.domain.errors import Failure


class MemoryObjects:
    """Satisfies `vms.contracts.objects.ObjectStorage`; `down` makes it fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False

    def put(self, key: str, chunks: Iterable[bytes]) -> None:
        self._check()
        content = b"".join(chunks)
        self._check()
        self.objects[key] = content

    def size_bytes(self, key: str) -> int | None:
        self._check()
        content = self.objects.get(key)
        return None if content is None else len(content)

    def read(self, key: str, offset: int, length: int) -> bytes:
        self._check()
        if key not in self.objects:
            raise Failure("not_found", f"there is no object {key}", code="object-not-found")
        found = self.objects[key][offset : offset + length]
        if len(found) != length:
            raise Failure(
                "malformed", f"object {key}: {len(found)} of {length} bytes at {offset}", code="object-too-short"
            )
        return found

    def remove(self, key: str) -> None:
        self._check()
        self.objects.pop(key, None)

    def _check(self) -> None:
        if self.down:
            raise Failure("unavailable", "the object storage fails")
