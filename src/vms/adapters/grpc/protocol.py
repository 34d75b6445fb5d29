"""What both sides of `vms.v1` agree upon beside the messages."""

from __future__ import annotations

# Greatest and least version of the package that this software speaks.
PROTOCOL_VERSION = 1
OLDEST_PROTOCOL_VERSION = 1

TOKEN_METADATUM = "authorization"  # noqa: S105 (its name)
FAILURE_METADATUM = "vms-failure-bin"
# Of bytes that stream: what a network thread sends at once without keeping others waiting.
PIECE_BYTES = 256 << 10
# Requests are small: the largest is an SDP offer.
LARGEST_REQUEST_BYTES = 1 << 20
# The largest answer is a picture in a long group of pictures: its key frame and everything since.
LARGEST_REPLY_BYTES = 128 << 20


def speaks_with(version: int, oldest_version: int) -> bool:
    """Whether a peer of those versions and this software have one in common."""
    return version >= OLDEST_PROTOCOL_VERSION and oldest_version <= PROTOCOL_VERSION


def bearer(token: str) -> str:
    """The value of the token's metadatum."""
    return f"Bearer {token}"
