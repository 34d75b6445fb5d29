"""Secrets at rest: AES-256-GCM under a key in a file that only the server's user can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vms.domain.errors import Failure

_KEY_BYTES = 32
_NONCE_BYTES = 12
# First byte of what is sealed: version 1, AES-256-GCM, nonce of 12 bytes before the text.
_VERSION = b"\x01"


def load_or_make_key(path: Path, size_bytes: int = _KEY_BYTES) -> bytes:
    """The key in `path` (raw bytes, mode 0600), made at random where there is none.

    Raises Failure(unavailable) when others can read it or its length is wrong: a key that may have leaked, or a file
    that is something else, must not be used.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(size_bytes))
            file.flush()
            os.fsync(file.fileno())
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Failure("unavailable", f"others can read the key {path}: set its mode to 0600")
    key = path.read_bytes()
    if len(key) != size_bytes:
        raise Failure("unavailable", f"the key {path} has {len(key)} bytes, not {size_bytes}")
    return key


class AesGcmSealer:
    """Satisfies `vms.contracts.secrets.Sealer`."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, secret: str, bound_to: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret.encode(), bound_to.encode())

    def unseal(self, sealed: bytes, bound_to: str) -> str:
        if sealed[:1] != _VERSION or len(sealed) < 1 + _NONCE_BYTES + 16:
            raise Failure("malformed", "a sealed secret cannot be read: it is not in the form that this version writes")
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, text, bound_to.encode()).decode()
        except (InvalidTag, UnicodeDecodeError) as error:
            raise Failure(
                "malformed", "a sealed secret cannot be read: it is altered, or its key is another"
            ) from error
