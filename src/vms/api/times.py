"""Times as the interface writes them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from vms.domain.time import format_time, parse_time

# In a query string a bare `+` means a space: 10:13:00+01:00 arrives as "10:13:00 01:00".
_SPACED_OFFSET = re.compile(r" (\d{2}:\d{2})$")


def _parse(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("a time is a string like 2026-11-23T10:13:00.000000Z")  # noqa: TRY004 (pydantic expects it)
    head = value[:19]
    return parse_time(head + _SPACED_OFFSET.sub(r"+\1", value[19:]))


ApiTime = Annotated[
    int,
    BeforeValidator(_parse),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T10:13:00.000000Z"]}),
]
"""µs since the Unix epoch inside, RFC 3339 with µs and Z outside."""
