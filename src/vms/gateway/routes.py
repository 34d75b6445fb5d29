"""Which requests count against the rate limit, and on whose account."""

from __future__ import annotations

import ipaddress
import re

# Media and stills are bounded by how many run at once, health checks are asked by machines, the front's questions are
# its viewers' (each of which was a request already).
_UNCOUNTED = re.compile(
    r"^/(?:healthz|readyz|metrics|internal/.*"
    r"|api/v1/cameras/[^/]+/(?:live/.*|playback(?:\.mp4|/.*)|snapshot\.jpg|frame\.jpg)"
    r"|api/v1/exports/[^/]+/download)$"
)
SESSION_FACTOR = 10


def is_counted(path: str) -> bool:
    """Whether a request for `path` is a control request."""
    return _UNCOUNTED.fullmatch(path) is None


def address_key(address: str) -> str:
    """The key of a caller without a session: the address, or of IPv6 the /64, which one host owns whole."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address {parsed.ipv4_mapped}"
        return f"address {ipaddress.ip_network((int(parsed) >> 64 << 64, 64))}"
    return f"address {parsed}"


def client_address(forwarded_for: str | None, peer: str | None) -> str:
    """Who is calling. The front appends the address that it saw, so the last entry is the one to believe."""
    if forwarded_for:
        last = forwarded_for.rpartition(",")[2].strip()
        if last:
            return last
    return peer or ""


def bearer_token(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750 §2.1)."""
    if authorization is None:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None
