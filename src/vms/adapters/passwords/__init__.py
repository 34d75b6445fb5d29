"""Password hashes by Argon2id (RFC 9106)."""

from __future__ import annotations

import threading

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

# Each hash takes 64 MiB for about 50 ms: a flood of log-ins must not take the machine's memory.
_AT_ONCE = 2


class Argon2Hasher:
    """Satisfies `vms.contracts.accounts.PasswordHasher`."""

    def __init__(self, *, memory_kib: int = 65_536, passes: int = 3, lanes: int = 2) -> None:
        self._argon2 = argon2.PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody = self._argon2.hash("nobody has this password")

    def hash(self, password: str) -> str:
        with self._slots:
            return self._argon2.hash(password)

    def verify(self, password_hash: str | None, password: str) -> bool:
        with self._slots:
            try:
                self._argon2.verify(password_hash or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        return self._argon2.check_needs_rehash(password_hash)
