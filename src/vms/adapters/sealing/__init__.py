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
_TOKEN_CHARACTERS = 32
# First byte of what is sealed: version 1, AES-256-GCM, nonce of 12 bytes before the text.
_VERSION = b"\x01"


def load_or_make_key(path: Path, size_bytes: int = _KEY_BYTES) -> bytes:
    """The key in `path` (raw bytes, mode 0600), made at random where there is none.

    Raises Failure(unavailable) when others can read it or its length is wrong: a key that may have leaked, or a file
    that is something else, must not be used.
    """
    _make(path, secrets.token_bytes(size_bytes))
    key = _guarded(path)
    if len(key) != size_bytes:
        raise Failure("unavailable", f"the key {path} has {len(key)} bytes, not {size_bytes}")
    return key


def load_or_make_token(path: Path) -> str:
    """The token in `path` (one line of text, mode 0600), made at random where there is none."""
    _make(path, secrets.token_hex(_KEY_BYTES).encode() + b"\n")
    return load_token(path)


def load_token(path: Path) -> str:
    """The token in `path`. Raises Failure(unavailable) when there is none, others can read it, or it is too short."""
    try:
        token = _guarded(path).decode("ascii").strip()
    except OSError as error:
        raise Failure("unavailable", f"the token {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failure("unavailable", f"the token {path} is no line of text") from error
    if len(token) < _TOKEN_CHARACTERS or not token.isprintable():
        raise Failure("unavailable", f"the token {path} is not one line of at least {_TOKEN_CHARACTERS} characters")
    return token


def _make(path: Path, content: bytes) -> None:
    """Writes `path` where there is none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _guarded(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Failure("unavailable", f"others can read the key {path}: set its mode to 0600")
    return path.read_bytes()


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
