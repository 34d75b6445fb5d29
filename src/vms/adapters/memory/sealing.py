"""A sealer for tests."""

from __future__ import annotations

import hashlib
import hmac

from vms.domain.errors import Failure


class MemorySealer:
    """Satisfies `vms.contracts.secrets.Sealer`: a keystream by hash and a tag; not for real secrets."""

    def __init__(self, key: bytes = b"memory") -> None:
        self._key = key
        self._count = 0

    def seal(self, secret: str, bound_to: str) -> bytes:
        self._count += 1
        nonce = self._count.to_bytes(8, "big")
        text = self._mix(secret.encode(), nonce)
        return nonce + self._tag(nonce + text, bound_to) + text

    def unseal(self, sealed: bytes, bound_to: str) -> str:
        nonce, tag, text = sealed[:8], sealed[8:40], sealed[40:]
        if not hmac.compare_digest(tag, self._tag(nonce + text, bound_to)):
            raise Failure("malformed", "a sealed secret cannot be read")
        return self._mix(text, nonce).decode()

    def _mix(self, text: bytes, nonce: bytes) -> bytes:
        stream = hashlib.shake_256(self._key + nonce).digest(len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))

    def _tag(self, text: bytes, bound_to: str) -> bytes:
        return hmac.digest(self._key, text + bound_to.encode(), "sha256")
