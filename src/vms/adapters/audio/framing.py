"""How the media core and the Opus worker talk: over pipes, little-endian.

To the worker: one line of JSON {"codec": "aac", "configuration": AudioSpecificConfig in hexadecimal digits,
"clock_rate", "channels"}, then per access unit i64 presentation time in ticks of `clock_rate`, u32 length, bytes.

From the worker, records of u8 kind, i64, u32 length, bytes. Kind 0 is an Opus packet of 20 ms; the i64 is its
presentation time in ticks of 48 kHz. Kind 1 says that units were skipped because they cannot be decoded; the i64 is how
many, without bytes. Kind 2, the first record, without bytes: the worker is ready for units.
"""

from __future__ import annotations

import struct
from typing import IO

UNIT = struct.Struct("<qI")
RECORD = struct.Struct("<BqI")
PACKET, SKIPPED, READY = 0, 1, 2
# An AAC frame has 6144 bits per channel at most (ISO/IEC 14496-3 §4.5.3.2): 36,864 bytes of 48 channels.
LARGEST_UNIT_BYTES = 64 << 10


def read_exactly(pipe: IO[bytes], size_bytes: int) -> bytes:
    """Raises EOFError when the other side is gone."""
    data = pipe.read(size_bytes)
    if len(data) < size_bytes:
        raise EOFError
    return data
