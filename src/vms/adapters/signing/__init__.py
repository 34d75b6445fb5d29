"""The installation's key for chains of recordings: Ed25519 (RFC 8032), in a file for the server's user alone."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vms.domain.errors import Failure


class Ed25519Signer:
    """Satisfies `vms.contracts.catalogue.LineSigner`."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private = private_key
        self._public = private_key.public_key()
        self._public_key = self._public.public_bytes_raw()
        self._key_id = sha256(self._public_key).hexdigest()[:16]

    @classmethod
    def generate(cls) -> Ed25519Signer:
        """A signer with a key of its own, kept nowhere."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def key_id(self) -> str:
        return self._key_id

    @property
    def public_key(self) -> bytes:
        return self._public_key

    def public_pem(self) -> str:
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._public.public_bytes(encoding, form).decode()

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    def holds(self, data: bytes, signature: bytes) -> bool:
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def load_or_make_signer(path: Path) -> Ed25519Signer:
    """The key in `path` (PKCS#8 PEM, mode 0600), a new one where there is none.

    Raises Failure(unavailable) when others can read it or it is no Ed25519 key: chains signed with a key that may have
    leaked prove nothing.
    """
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Failure("unavailable", f"others can read the key {path}: set its mode to 0600")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Failure("unavailable", f"{path} holds no Ed25519 private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Failure("unavailable", f"{path} holds no Ed25519 private key")
    return Ed25519Signer(key)
