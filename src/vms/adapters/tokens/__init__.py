"""JSON Web Tokens signed RS256 (RFC 7519, RFC 7518 §3.3), the key pair in a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from vms.contracts.accounts import TokenClaims
from vms.domain.errors import Failure
from vms.domain.time import SECOND_US

_ISSUER = "vms"
_ALGORITHM = "RS256"


def load_or_make_private_key(path: Path) -> RSAKey:
    """The key in `path` (PKCS#8 PEM, mode 0600), a new one of 2,048 bits where there is none.

    Raises Failure(unavailable) when others can read it or it is no RSA key.
    """
    if not path.exists():
        private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = private.private_bytes(
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
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Failure("unavailable", f"others can read the key {path}: set its mode to 0600")
    try:
        return RSAKey.import_key(path.read_bytes())
    except (JoseError, ValueError) as error:
        raise Failure("unavailable", f"{path} holds no RSA private key") from error


class JwtSigner:
    """Satisfies `vms.contracts.accounts.TokenSigner`."""

    def __init__(self, private_key: RSAKey) -> None:
        self._key = private_key
        self._key_id = private_key.thumbprint()

    def sign(self, claims: TokenClaims, now_us: int) -> str:
        payload: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": claims.user_id,
            "sid": claims.session_id,
            "use": claims.use,
            "iat": now_us // SECOND_US,
            "exp": claims.expires_us // SECOND_US,
        }
        if claims.use == "refresh":
            payload["gen"] = claims.generation
        return jwt.encode({"alg": _ALGORITHM, "kid": self._key_id}, payload, self._key, algorithms=[_ALGORITHM])

    def verify(self, token: str, now_us: int) -> TokenClaims:
        try:
            payload = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            claims = TokenClaims(
                use=payload["use"],
                user_id=payload["sub"],
                session_id=payload["sid"],
                generation=payload.get("gen", 0),
                expires_us=int(payload["exp"]) * SECOND_US,
            )
            issuer = payload["iss"]
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise Failure("unauthorized", "the token is not one of ours", code="invalid-token") from error
        if issuer != _ISSUER or claims.expires_us <= now_us:
            raise Failure("unauthorized", "the token has ended; log in again", code="invalid-token")
        return claims
