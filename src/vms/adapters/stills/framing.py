"""How the server and the still worker talk: over pipes, little-endian lengths before bytes.

Request: u32 length and JSON header {"codec", "configuration_bytes", "unit_bytes":[…], "pts_90k":[…],
"wanted_pts_90k", "height"}, then the configuration and the units. Answer: u8 status, u32 length, bytes: a JPEG
(status 0) or a sentence (1 malformed, 2 unsupported).
"""

from __future__ import annotations

import struct
from typing import IO

OK, MALFORMED, UNSUPPORTED = 0, 1, 2
LENGTH = struct.Struct("<I")
ANSWER = struct.Struct("<BI")


def read_exactly(pipe: IO[bytes], size_bytes: int) -> bytes:
    """Raises EOFError when the other side is gone."""
    parts = []
    missing = size_bytes
    while missing:
        part = pipe.read(missing)
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
