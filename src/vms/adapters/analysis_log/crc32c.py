"""CRC-32C (Castagnoli), as RFC 3720 §B.4 shows it: reflected polynomial 0x82F63B78, start and end inverted.

Reading a day means hundreds of thousands of records, for which a loop over bytes takes minutes. The checksum is linear:
what a byte adds to it depends on its value and on how many bytes follow, so that the parts of a block are looked up and
put together at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F6_3B78
_BLOCK_BYTES = 1024


def _tables() -> npt.NDArray[np.uint32]:
    """What a byte adds, by the number of bytes that follow it in its block, and by its value."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, first >> 1 ^ np.uint32(_POLYNOMIAL), first >> 1).astype(np.uint32)
    tables = np.empty((_BLOCK_BYTES, 256), dtype=np.uint32)
    tables[0] = first
    for follow in range(1, _BLOCK_BYTES):
        before = tables[follow - 1]
        tables[follow] = first[before & 0xFF] ^ before >> 8
    return tables


_TABLES = _tables()
# The last byte of a block has none that follows.
_PLACES = np.arange(_BLOCK_BYTES - 1, -1, -1)


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of `data`."""
    state = 0xFFFF_FFFF
    content = np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(content), _BLOCK_BYTES):
        block = content[start : start + _BLOCK_BYTES]
        if len(block) < 4:
            for byte in block.tolist():
                state = int(_TABLES[0, (state ^ byte) & 0xFF]) ^ state >> 8
            continue
        block = block.copy()
        block[:4] ^= np.frombuffer(state.to_bytes(4, "little"), dtype=np.uint8)
        state = int(np.bitwise_xor.reduce(_TABLES[_PLACES[-len(block) :], block]))
    return state ^ 0xFFFF_FFFF
