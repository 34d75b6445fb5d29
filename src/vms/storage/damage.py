"""Where in a recording the damage is: its fragments' boxes against its index."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass

from vms.storage.index_reading import Fragment, fragments, init_size_bytes

# (offset, length) → so many bytes of the video, fewer at its end.
ReadAt = Callable[[int, int], bytes]
_MOOF_HEAD_BYTES = 88
_LONG_START_OFFSETS = 0x000800


@dataclass(frozen=True)
class Damage:
    """The first damage that shows in the structure of a video."""

    at_us: int
    detail: str


def reader_of(descriptor: int) -> ReadAt:
    """Reads an open file by position."""
    return lambda offset, length: os.pread(descriptor, length, offset)


def first_damage(read_at: ReadAt, size_bytes: int, index: bytes) -> Damage | None:
    """The first fragment that is not what its record says; None when only the bytes of samples may have changed."""
    first_us: int | None = None
    expected = None
    for fragment in fragments(index):
        if first_us is None:
            first_us = fragment.start_us
            if not _is_head(read_at, init_size_bytes(index)):
                return Damage(first_us, "the head of the file (ftyp, moov) is damaged")
        if expected is not None and fragment.offset != expected:
            return Damage(fragment.start_us, "the index has a hole before this fragment")
        expected = fragment.offset + fragment.size_bytes
        if expected > size_bytes:
            return Damage(fragment.start_us, f"the file ends at byte {size_bytes}, inside this fragment or before it")
        reason = _wrong_with(fragment, read_at(fragment.offset, fragment.moof_bytes))
        if reason is not None:
            return Damage(fragment.start_us, f"the fragment at byte {fragment.offset} is damaged: {reason}")
    return None


def _is_head(read_at: ReadAt, init_size: int) -> bool:
    ftyp = read_at(0, 8)
    if len(ftyp) < 8 or ftyp[4:] != b"ftyp":
        return False
    ftyp_size = int.from_bytes(ftyp[:4], "big")
    moov = read_at(ftyp_size, 8)
    return moov[4:] == b"moov" and ftyp_size + int.from_bytes(moov[:4], "big") == init_size


def _wrong_with(fragment: Fragment, moof: bytes) -> str | None:  # noqa: PLR0911 (a list of checks)
    """What of a fragment's moof and mdat header contradicts its record (`docs/format/recording.md`)."""
    if len(moof) < fragment.moof_bytes or len(moof) < _MOOF_HEAD_BYTES + 8:
        return "its head is cut off"
    moof_size, kind = struct.unpack_from(">I4s", moof)
    mdat_size, mdat = struct.unpack_from(">I4s", moof, len(moof) - 8)
    if kind != b"moof" or moof[28:32] != b"traf" or moof[36:40] != b"tfhd" or moof[52:56] != b"tfdt":
        return "its moof is none"
    if moof[72:76] != b"trun" or mdat != b"mdat":
        return "its trun or mdat is none"
    flags, samples, data_offset = struct.unpack_from(">III", moof, 76)
    if moof_size + 8 != len(moof) or data_offset != len(moof) or moof_size + mdat_size != fragment.size_bytes:
        return "its boxes have other sizes"
    track_id, decode_time = struct.unpack_from(">I", moof, 44)[0], struct.unpack_from(">Q", moof, 60)[0]
    if track_id != fragment.track + 1 or decode_time != fragment.media_time or samples != fragment.samples:
        return "its track, time or number of samples is another"
    step = 16 if flags & _LONG_START_OFFSETS else 12
    if moof_size != _MOOF_HEAD_BYTES + step * samples:
        return "its samples do not fit its moof"
    sizes = sum(struct.unpack_from(">I", moof, _MOOF_HEAD_BYTES + step * sample + 4)[0] for sample in range(samples))
    if sizes + 8 != mdat_size:
        return "its samples do not fit its mdat"
    return None
