"""A recording's index as checks read it (`docs/format/index.md`). Pure; the media core alone writes indexes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 64
_MAGIC = b"VMSIDX1\0"
_CHECKED_BYTES = 60
_FRAGMENT, _GAP, _SEAL = 1, 2, 3
# CRC-32C (Castagnoli), reflected: RFC 3720 §B.4.
_POLYNOMIAL = 0x82F63B78


@dataclass(frozen=True)
class Fragment:
    """A record of kind 1: one moof + mdat."""

    track: int
    samples: int
    start_us: int
    media_time: int
    size_bytes: int
    offset: int
    moof_bytes: int


@dataclass(frozen=True)
class Seal:
    """The record that closes an index."""

    start_us: int
    end_us: int
    file_size_bytes: int


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


_TABLE = _table()


def checksums(index: bytes) -> NDArray[np.uint32]:
    """The CRC-32C of the first 60 bytes of every whole block."""
    blocks = len(index) // BLOCK_BYTES
    columns = np.frombuffer(index, dtype=np.uint8, count=blocks * BLOCK_BYTES).reshape(blocks, BLOCK_BYTES).T
    crc = np.full(blocks, 0xFFFFFFFF, dtype=np.uint32)
    # All blocks side by side, a byte at a time: an index of an hour in milliseconds.
    for column in columns[:_CHECKED_BYTES]:
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    return crc ^ np.uint32(0xFFFFFFFF)


def first_bad_block(index: bytes) -> int | None:
    """The first 64-byte block whose checksum does not hold, the header being 0; None: all hold. A rest that is no whole
    block counts as one that does not."""
    blocks, rest = divmod(len(index), BLOCK_BYTES)
    written = np.frombuffer(index, dtype="<u4", count=blocks * BLOCK_BYTES // 4).reshape(blocks, BLOCK_BYTES // 4)[
        :, -1
    ]
    bad = np.flatnonzero(written != checksums(index))
    if bad.size:
        return int(bad[0])
    return blocks if rest or not blocks else None


def is_header(index: bytes) -> bool:
    """Whether it begins as an index of this version does."""
    return (
        len(index) >= BLOCK_BYTES
        and index[:8] == _MAGIC
        and struct.unpack_from("<HHH", index, 8) == (1, BLOCK_BYTES, BLOCK_BYTES)
    )


def init_size_bytes(index: bytes) -> int:
    """Where the first fragment begins, less the `prft`."""
    return int.from_bytes(index[40:48], "little")


def seal_of(index: bytes) -> Seal | None:
    """The seal, if the index has one at its end; its last 64 bytes are enough."""
    last = index[-BLOCK_BYTES:]
    if len(last) < BLOCK_BYTES or last[0] != _SEAL or first_bad_block(last) is not None:
        return None
    start_us, end_us = struct.unpack_from("<qq", last, 8)
    return Seal(start_us, end_us, int.from_bytes(last[32:40], "little"))


def fragments(index: bytes) -> Iterator[Fragment]:
    """The fragments in the order of the file, up to the first block that cannot be believed."""
    bad = first_bad_block(index)
    end = len(index) // BLOCK_BYTES if bad is None else bad
    for block in range(1, end):
        kind, track, _, samples, _, start_us, media_time, _, size, offset, _, moof_bytes = struct.unpack_from(
            "<BBHHHqqIIQII", index, block * BLOCK_BYTES
        )
        if kind != _FRAGMENT:
            return
        yield Fragment(track, samples, start_us, media_time, size, offset, moof_bytes)
