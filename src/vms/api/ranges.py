"""Preconditions and byte ranges (RFC 9110 §13 and §14), as arithmetic on header values; the front's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers

# An entity tag of a list, weak or strong (RFC 9110 §8.8.3).
_TAG = re.compile(r'[ \t,]*(W/)?"([^"]*)"')
# One range of `bytes`; several, or another unit, are answered with everything (RFC 9110 §14.2).
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE | re.ASCII)
_DIGITS = 19


@dataclass(frozen=True)
class Outcome:
    """How to answer: with bytes [offset, offset + length), or without any."""

    status: Literal[200, 206, 304, 412, 416]
    offset: int = 0
    length: int = 0


def evaluate(headers: Headers, etag: str, size_bytes: int, *, is_get: bool) -> Outcome:
    """In the order of RFC 9110 §13.2.2. `etag` is strong and without quotes; a range counts for GET alone."""
    if_match = _joined(headers, "if-match")
    if if_match is not None and not _lists(if_match, etag, weak_too=False):
        return Outcome(412)
    if_none_match = _joined(headers, "if-none-match")
    if if_none_match is not None and _lists(if_none_match, etag, weak_too=True):
        return Outcome(304)
    whole = Outcome(200, 0, size_bytes)
    asked = _joined(headers, "range") if is_get else None
    if asked is None:
        return whole
    # A date or a weak tag never matches: what is served has a strong tag and no Last-Modified.
    if_range = _joined(headers, "if-range")
    if if_range is not None and if_range != f'"{etag}"':
        return whole
    return _select(asked, size_bytes)


def _joined(headers: Headers, name: str) -> str | None:
    """Several lines of one list-valued field are one line with commas (RFC 9110 §5.3)."""
    lines = [line.strip() for line in headers.getlist(name)]
    return ",".join(lines) if lines else None


def _lists(text: str, etag: str, *, weak_too: bool) -> bool:
    if text == "*":
        return True
    at = 0
    while (tag := _TAG.match(text, at)) is not None:
        if tag[2] == etag and (weak_too or tag[1] is None):
            return True
        at = tag.end()
    return False


def _select(text: str, size_bytes: int) -> Outcome:
    whole = Outcome(200, 0, size_bytes)
    asked = _RANGE.fullmatch(text.strip())
    if asked is None or not (asked[1] or asked[2]):
        return whole
    if not asked[1]:
        suffix = min(_number(asked[2]), size_bytes)
        return Outcome(206, size_bytes - suffix, suffix) if suffix else Outcome(416)
    first = _number(asked[1])
    last = _number(asked[2]) if asked[2] else size_bytes - 1
    if asked[2] and last < first:
        return whole
    if first >= size_bytes:
        return Outcome(416)
    return Outcome(206, first, min(last, size_bytes - 1) - first + 1)


def _number(digits: str) -> int:
    """Numbers of more digits than any size has are as good as the greatest."""
    plain = digits.lstrip("0") or "0"
    return int(plain) if len(plain) <= _DIGITS else 10**_DIGITS
