"""Decoder configuration records (ISO/IEC 14496-15 §5.3.3.1, §8.3.3.1) and the parameter sets inside them."""

from __future__ import annotations

from collections.abc import Iterator


def parameter_sets(codec: str, configuration: bytes) -> list[bytes]:
    """The NAL units of an avcC (`h264`) or hvcC (`h265`) record, in its order.

    Raises ValueError for a record that is cut or of another version.
    """
    try:
        return list(_avc(configuration) if codec == "h264" else _hevc(configuration))
    except IndexError:
        raise ValueError(f"the {codec} configuration record is cut") from None


def length_size(codec: str, configuration: bytes) -> int:
    """Bytes of the length before each NAL unit: 1, 2 or 4."""
    return (configuration[4 if codec == "h264" else 21] & 3) + 1


def with_four_byte_lengths(codec: str, configuration: bytes) -> bytes:
    """The record, saying that lengths have four bytes."""
    at = 4 if codec == "h264" else 21
    return configuration[:at] + bytes([configuration[at] | 3]) + configuration[at + 1 :]


def nal_units(sample: bytes, size_of_length: int) -> Iterator[bytes]:
    """The NAL units of a length-prefixed sample. Raises ValueError when a length points past its end."""
    at = 0
    while at < len(sample):
        end = at + size_of_length + int.from_bytes(sample[at : at + size_of_length], "big")
        if end > len(sample):
            raise ValueError(f"a NAL unit at byte {at} reaches past the sample's {len(sample)} bytes")
        yield sample[at + size_of_length : end]
        at = end


def is_parameter_set(codec: str, nal: bytes) -> bool:
    """SPS or PPS of H.264 (types 7, 8); VPS, SPS or PPS of H.265 (types 32 to 34)."""
    if not nal:
        return False
    return nal[0] & 31 in {7, 8} if codec == "h264" else 32 <= nal[0] >> 1 & 63 <= 34


def _take(data: bytes, at: int) -> tuple[bytes, int]:
    size = data[at] << 8 | data[at + 1]
    end = at + 2 + size
    if end > len(data):
        raise IndexError
    return data[at + 2 : end], end


def _avc(data: bytes) -> Iterator[bytes]:
    if data[0] != 1:
        raise ValueError("not an avcC record of version 1")
    at = 6
    for _ in range(data[5] & 31):
        nal, at = _take(data, at)
        yield nal
    count, at = data[at], at + 1
    for _ in range(count):
        nal, at = _take(data, at)
        yield nal


def _hevc(data: bytes) -> Iterator[bytes]:
    if data[0] != 1:
        raise ValueError("not an hvcC record of version 1")
    at = 23
    for _ in range(data[22]):
        count = data[at + 1] << 8 | data[at + 2]
        at += 3
        for _ in range(count):
            nal, at = _take(data, at)
            yield nal
