"""Time: integer µs since the Unix epoch inside, RFC 3339 with six decimals and `Z` outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):(\d{2}))$", re.ASCII
)
SECOND_US = 1_000_000


def format_time(at_us: int) -> str:
    """`at_us` as `2026-11-23T10:13:00.000000Z`.

    Raises ValueError outside the years 1 to 9999.
    """
    try:
        at = _EPOCH + timedelta(microseconds=at_us)
    except OverflowError as error:
        raise ValueError(f"{at_us} µs is outside the years 1 to 9999") from error
    return at.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{at.microsecond:06d}Z"


def parse_time(text: str) -> int:
    """µs since the Unix epoch of an RFC 3339 time (§5.6) with any offset; digits past the µs are cut off.

    Raises ValueError with a sentence that says what is wrong. A leap second counts as the second before it: the
    archive's clock has none.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("a time is written like 2026-11-23T10:13:00.000000Z (RFC 3339, with its offset)")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction = (match.group(7) or "").ljust(6, "0")[:6]
    zone = UTC
    if match.group(8) is None:
        offset_hours, offset_minutes = int(match.group(10)), int(match.group(11))
        if offset_hours > 23 or offset_minutes > 59:
            raise ValueError("the time's offset is not between -23:59 and +23:59")
        offset = timedelta(hours=offset_hours, minutes=offset_minutes)
        zone = timezone(-offset if match.group(9) == "-" else offset)
    try:
        at = datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=zone)
    except ValueError as error:
        raise ValueError(f"no such time: {error}") from error
    seconds = at - _EPOCH
    return (seconds.days * 86_400 + seconds.seconds) * SECOND_US + int(fraction)
