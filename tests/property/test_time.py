"""Times survive being written and read."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vms.domain.time import format_time, parse_time

MAX_US = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
MIN_US = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
instants = st.integers(MIN_US, MAX_US)


@given(instants)
def test_written_times_are_read_back_exactly(at_us: int) -> None:
    text = format_time(at_us)
    assert len(text) == 27
    assert parse_time(text) == at_us


@given(instants, instants)
def test_their_order_is_that_of_the_text(a_us: int, b_us: int) -> None:
    assert (a_us < b_us) == (format_time(a_us) < format_time(b_us))


@given(st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_offsets_are_those_of_the_standard_library(naive: datetime, offset_minutes: int) -> None:
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    text = f"{naive.isoformat(timespec='microseconds')}{sign}{hours:02d}:{minutes:02d}"
    assert format_time(parse_time(text)) == _in_utc(text)


def _in_utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        at_us = parse_time(text)
    except ValueError:
        return
    assert format_time(at_us)
