"""Identifiers: UUIDs of version 7 (RFC 9562 §5.7), so that their order is the order of creation."""

from __future__ import annotations

import re

ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_ID = re.compile(ID_PATTERN)


def make_id(now_us: int, entropy: bytes) -> str:
    """The identifier for something created at `now_us` (µs since the Unix epoch) with 8 bytes of `entropy`.

    The 12 bits after the milliseconds carry the µs within them, as RFC 9562 §6.2 method 3 allows.
    """
    if len(entropy) < 8:
        raise ValueError("an identifier needs 8 bytes of entropy")
    milliseconds, microseconds = divmod(now_us, 1000)
    fraction = microseconds * 4096 // 1000
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | fraction
    low = int.from_bytes(entropy[:8], "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: str) -> bool:
    """Whether `text` has the form that `make_id` gives; anything else names nothing and never reaches a path."""
    return _ID.fullmatch(text) is not None
