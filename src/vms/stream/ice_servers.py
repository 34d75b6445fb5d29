"""Relays and reflectors that a viewer may use, and time-limited log-ins at the relays.

The log-in is what coturn calls `use-auth-secret` (draft-uberti-behave-turn-rest-00 §2.2): the user name is
`expiry:subject`, the password base64(HMAC-SHA1(shared secret, user name)). Nothing is stored and nobody is asked:
whoever knows the secret can check it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from pydantic import SecretStr

from vms.contracts.stream import IceServer

LOG_IN_LASTS_S = 12 * 60 * 60


@dataclass(frozen=True)
class Relays:
    """STUN and TURN servers of the installation, and the secret that it shares with the latter."""

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: SecretStr | None = None


def ice_servers(relays: Relays, *, subject: str, now_s: int) -> list[IceServer]:
    """What `subject` gets. A relay without a secret is not offered: it would be open to everybody."""
    servers = [IceServer(urls=relays.stun_urls)] if relays.stun_urls else []
    if relays.turn_urls and relays.turn_secret is not None:
        username = f"{now_s + LOG_IN_LASTS_S}:{subject}"
        digest = hmac.digest(relays.turn_secret.get_secret_value().encode(), username.encode(), hashlib.sha1)
        credential = base64.b64encode(digest).decode()
        servers.append(IceServer(urls=relays.turn_urls, username=username, credential=credential))
    return servers
