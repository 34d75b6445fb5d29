"""A week's plan against the clocks of real zones."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vms.domain.recording_policy import RecordingPolicy, plan
from vms.domain.schedules import DAYS, HORIZON_DAYS, Schedule
from vms.domain.time import format_time, parse_time

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


def _schedule(zone: str, *slots: tuple[str, str], **rest: Any) -> Schedule:
    """The same slots on every day."""
    day = [{"from": start, "to": end, "mode": "continuous"} for start, end in slots]
    return Schedule.model_validate({"time_zone": zone, "week": dict.fromkeys(DAYS, day), **rest})


def _changes(schedule: Schedule, start: str, end: str) -> list[str]:
    """Every change from `start` to `end`, as the mode and when it begins."""
    at_us, end_us = parse_time(start), parse_time(end)
    found: list[str] = []
    while True:
        change_us = schedule.next_change_us(at_us)
        if change_us is None or change_us > end_us:
            return found
        found.append(f"{schedule.mode_at(change_us)} {format_time(change_us)[:16]}")
        at_us = change_us


def test_a_day_of_two_slots() -> None:
    schedule = _schedule("America/New_York", ("08:00", "12:00"), ("13:30", "24:00"))
    assert _changes(schedule, "2026-11-23T06:00:00Z", "2026-11-24T14:00:00Z") == [
        "continuous 2026-11-23T13:00",
        "off 2026-11-23T17:00",
        "continuous 2026-11-23T18:30",
        "off 2026-11-24T05:00",
        "continuous 2026-11-24T13:00",
    ]


def test_slots_that_meet_at_midnight_are_no_change() -> None:
    schedule = _schedule("Europe/Berlin", ("22:00", "24:00"), ("00:00", "06:00"))
    assert _changes(schedule, "2026-11-23T20:00:00Z", "2026-11-24T20:00:00Z") == [
        "continuous 2026-11-23T21:00",
        "off 2026-11-24T05:00",
    ]


@pytest.mark.parametrize(
    ("zone", "slot", "start", "end", "changes"),
    [
        # 02:00 becomes 03:00 on 29 March 2026: a slot inside the skipped hour never comes that day.
        ("Europe/Berlin", ("02:00", "03:00"), "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", []),
        # A slot that begins inside it begins when the clock jumps past its begin.
        (
            "Europe/Berlin",
            ("02:30", "04:00"),
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            ["continuous 2026-03-29T01:00", "off 2026-03-29T02:00"],
        ),
        # One that ends inside it ends at the jump.
        (
            "Europe/Berlin",
            ("00:00", "02:30"),
            "2026-03-28T22:30:00Z",
            "2026-03-29T21:00:00Z",
            ["continuous 2026-03-28T23:00", "off 2026-03-29T01:00"],
        ),
        # 03:00 becomes 02:00 on 25 October 2026: the hour from 02:00 is there twice, and so is the slot.
        (
            "Europe/Berlin",
            ("02:00", "02:30"),
            "2026-10-24T22:00:00Z",
            "2026-10-25T21:00:00Z",
            [
                "continuous 2026-10-25T00:00",
                "off 2026-10-25T00:30",
                "continuous 2026-10-25T01:00",
                "off 2026-10-25T01:30",
            ],
        ),
        # A slot that ends in the middle of it ends twice: the clock goes back into it.
        (
            "Europe/Berlin",
            ("01:00", "02:45"),
            "2026-10-24T22:00:00Z",
            "2026-10-25T21:00:00Z",
            [
                "continuous 2026-10-24T23:00",
                "off 2026-10-25T00:45",
                "continuous 2026-10-25T01:00",
                "off 2026-10-25T01:45",
            ],
        ),
        # São Paulo set its clocks at midnight: 4 November 2018 began at 01:00.
        (
            "America/Sao_Paulo",
            ("00:00", "01:30"),
            "2018-11-04T00:00:00Z",
            "2018-11-04T12:00:00Z",
            ["continuous 2018-11-04T03:00", "off 2018-11-04T03:30"],
        ),
        # And the last hour of 17 February 2018 came twice.
        (
            "America/Sao_Paulo",
            ("23:00", "24:00"),
            "2018-02-17T12:00:00Z",
            "2018-02-18T12:00:00Z",
            ["continuous 2018-02-18T01:00", "off 2018-02-18T03:00"],
        ),
        # Lord Howe Island moves its clock by half an hour: 02:00 becomes 02:30 on 4 October 2026, …
        (
            "Australia/Lord_Howe",
            ("02:15", "02:45"),
            "2026-10-03T12:00:00Z",
            "2026-10-04T12:00:00Z",
            ["continuous 2026-10-03T15:30", "off 2026-10-03T15:45"],
        ),
        # … and 02:00 becomes 01:30 on 5 April.
        (
            "Australia/Lord_Howe",
            ("01:30", "01:45"),
            "2026-04-04T12:00:00Z",
            "2026-04-05T12:00:00Z",
            [
                "continuous 2026-04-04T14:30",
                "off 2026-04-04T14:45",
                "continuous 2026-04-04T15:00",
                "off 2026-04-04T15:15",
            ],
        ),
    ],
)
def test_when_clocks_are_set(zone: str, slot: tuple[str, str], start: str, end: str, changes: list[str]) -> None:
    assert _changes(_schedule(zone, slot), start, end) == changes


def test_cameras_in_different_zones_have_the_same_plan_at_different_times() -> None:
    at_us = parse_time("2026-11-23T12:30:00Z")
    modes = {
        name: _schedule(name, ("08:00", "12:00")).mode_at(at_us)
        for name in ("America/Sao_Paulo", "Europe/Berlin", "Australia/Lord_Howe", "UTC")
    }
    assert modes == {
        "America/Sao_Paulo": "continuous",
        "Europe/Berlin": "off",
        "Australia/Lord_Howe": "off",
        "UTC": "off",
    }


def test_holidays_replace_the_week_and_a_dated_one_the_yearly() -> None:
    schedule = _schedule(
        "UTC",
        ("08:00", "18:00"),
        holidays=[
            {"date": "12-25"},
            {"date": "2027-12-25", "slots": [{"from": "10:00", "to": "11:00", "mode": "motion"}]},
            {"date": "02-29", "slots": [{"from": "00:00", "to": "24:00", "mode": "event"}]},
        ],
    )
    assert schedule.mode_at(parse_time("2026-12-24T10:30:00Z")) == "continuous"
    assert schedule.mode_at(parse_time("2026-12-25T10:30:00Z")) == "off"
    assert schedule.mode_at(parse_time("2027-12-25T10:30:00Z")) == "motion"
    assert schedule.mode_at(parse_time("2027-12-25T12:00:00Z")) == "off"
    assert schedule.mode_at(parse_time("2028-02-29T23:59:59.999999Z")) == "event"
    assert schedule.mode_at(parse_time("2028-03-01T00:00:00Z")) == "off"


@pytest.mark.parametrize(
    "broken",
    [
        {"time_zone": "Europe/Atlantis"},
        {"time_zone": ""},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "/etc/localtime"},
        {"time_zone": "Europe"},
        {"time_zone": "UTC\0"},
        {"week": {"mon": [{"from": "08:00", "to": "08:00"}]}},
        {"week": {"mon": [{"from": "18:00", "to": "08:00"}]}},
        {"week": {"mon": [{"from": "24:00", "to": "24:00"}]}},
        {"week": {"mon": [{"from": "00:00", "to": "24:01"}]}},
        {"week": {"mon": [{"from": "8:00", "to": "09:00"}]}},
        {"week": {"mon": [{"from": "٠٨:00", "to": "09:00"}]}},
        {"week": {"mon": [{"from": "08:00", "to": "12:00"}, {"from": "11:59", "to": "13:00"}]}},
        {"week": {"mon": [{"from": "08:00", "to": "12:00", "mode": "schedule"}]}},
        {"week": {"mon": [{"from": "08:00", "to": "12:00", "mode": "manual"}]}},
        {"week": {"monday": []}},
        {"holidays": [{"date": "2026-02-29"}]},
        {"holidays": [{"date": "25-12"}]},
        {"holidays": [{"date": "2026-12-25"}, {"date": "2026-12-25"}]},
        {"holidays": [{"date": "12-25", "slots": [{"from": "09:00", "to": "08:00"}]}]},
    ],
)
def test_schedules_that_are_none(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate({"time_zone": "UTC", **broken})
    with pytest.raises(ValidationError):
        RecordingPolicy.model_validate({"mode": "schedule", "schedule": {"time_zone": "UTC", **broken}})


def test_a_schedule_that_never_changes() -> None:
    assert _schedule("UTC", ("00:00", "24:00")).next_change_us(0) is None
    assert _schedule("UTC").next_change_us(0) is None


times = st.integers(0, 24 * 60).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")


@st.composite
def days(draw: st.DrawFn) -> list[dict[str, str]]:
    bounds = sorted(draw(st.sets(st.integers(0, 1440), max_size=6)))
    texts = [f"{minute // 60:02}:{minute % 60:02}" for minute in bounds]
    modes = st.sampled_from(["continuous", "motion", "event", "off"])
    return [
        {"from": start, "to": end, "mode": draw(modes)} for start, end in zip(texts[::2], texts[1::2], strict=False)
    ]


@settings(deadline=None)
@given(
    st.sampled_from(
        ["Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Casablanca"]
    ),
    st.fixed_dictionaries(dict.fromkeys(DAYS, days())),
    st.integers(parse_time("2018-01-01T00:00:00Z"), parse_time("2028-01-01T00:00:00Z")),
    st.integers(0, 7 * 24 * 60),
)
def test_the_mode_stays_until_the_next_change_and_is_that_of_the_wall_clock(
    zone: str, week: dict[str, Any], at_us: int, minutes: int
) -> None:
    schedule = Schedule.model_validate({"time_zone": zone, "week": week})
    change_us = schedule.next_change_us(at_us)
    mode = schedule.mode_at(at_us)
    limit_us = at_us + (HORIZON_DAYS - 1) * 24 * HOUR_US if change_us is None else change_us
    probe_us = at_us + (limit_us - at_us) * minutes // (7 * 24 * 60)
    if probe_us < limit_us:
        assert schedule.mode_at(probe_us) == mode
    if change_us is not None:
        assert change_us > at_us
        assert schedule.mode_at(change_us) != mode
        assert schedule.mode_at(change_us - 1) == mode
    local = datetime.fromtimestamp(probe_us // 1_000_000, ZoneInfo(zone))
    now = local.strftime("%H:%M")
    slots = [slot for slot in week[DAYS[local.weekday()]] if slot["from"] <= now < slot["to"]]
    assert schedule.mode_at(probe_us) == (slots[0]["mode"] if slots else "off")


@settings(deadline=None)
@given(st.integers(0, 2**45), st.integers(1, 10**6))
def test_planning_again_at_the_change_and_never_before_is_enough(start_us: int, seconds: int) -> None:
    policy = RecordingPolicy.model_validate(
        {
            "mode": "schedule",
            "streams": {"sub": "continuous"},
            "schedule": {"time_zone": "Europe/Berlin", "week": {"mon": [{"from": "08:00", "to": "18:00"}]}},
        }
    )
    first = plan(policy, ["main", "sub"], start_us, None)
    later_us = start_us + int(timedelta(seconds=seconds).total_seconds() * 1_000_000)
    if first.changes_us is None or later_us < first.changes_us:
        if later_us < start_us + (HORIZON_DAYS - 1) * 24 * HOUR_US:
            assert plan(policy, ["main", "sub"], later_us, None).streams == first.streams
    else:
        assert plan(policy, ["main", "sub"], first.changes_us, None).streams != first.streams
