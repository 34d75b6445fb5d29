"""Sealing of secrets at rest."""

from __future__ import annotations

from typing import Protocol


class Sealer(Protocol):
    """Authenticated encryption under a key that stays with the installation."""

    def seal(self, secret: str, bound_to: str) -> bytes:
        """The secret, readable again only with the same `bound_to` (the identifier of its owner)."""
        ...

    def unseal(self, sealed: bytes, bound_to: str) -> str:
        """The secret. Raises Failure(malformed) when the bytes or the binding are not those of `seal`."""
        ...
