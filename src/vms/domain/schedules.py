"""A week's plan in a camera's own time zone: which mode counts at an instant, and when that changes next.

The plan is a plan of the clock on the wall. What the wall clock never shows (the hour that spring skips) never comes,
and what it shows twice (the hour that autumn repeats) comes twice: nobody who reads "08:00 to 18:00" means anything
else. So an instant is looked up by the local date and time that it has, and nothing is ever converted the other way
but to find candidates for the next change.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

SlotMode = Literal["continuous", "motion", "event", "off"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
# A leap year, so that 29 February is a day of every year's plan.
_ANY_LEAP_YEAR = 2000
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_DATE = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Two changes of a zone's offset never lie closer together than this (Ramadan's, of all, are weeks apart).
_PROBE = timedelta(hours=6)
# How far ahead a change is looked for: a week's plan repeats, a holiday may hide one repetition.
HORIZON_DAYS = 9


def minute_of(text: str) -> int:
    """Minutes since midnight of "HH:MM", "24:00" included. Raises ValueError."""
    if text == "24:00":
        return 1440
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("a time of day is written like 08:00, from 00:00 to 24:00")
    return int(match[1]) * 60 + int(match[2])


def _time_of_day(text: str) -> str:
    minute_of(text)
    return text


def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError for one that this system does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # KeyError: ZoneInfoNotFoundError
        raise ValueError("no time zone of this name is known; write an IANA name such as Europe/Berlin") from error


def _zone_name(name: str) -> str:
    zone(name)
    return name


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class Slot(_Value):
    """From one time of a day until before another, by the clock on the wall."""

    start: Annotated[str, AfterValidator(_time_of_day), Field(alias="from", examples=["08:00"])]
    end: Annotated[str, AfterValidator(_time_of_day), Field(alias="to", examples=["18:00"])]
    mode: SlotMode = "continuous"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if minute_of(self.end) <= minute_of(self.start):
            raise ValueError(
                "a slot ends after it begins and on the same day; past midnight, write two: to 24:00, from 00:00"
            )
        return self


def _apart(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    ordered = tuple(sorted(slots, key=lambda slot: minute_of(slot.start)))
    for before, after in pairwise(ordered):
        if minute_of(after.start) < minute_of(before.end):
            raise ValueError(f"the slots {before.start}-{before.end} and {after.start}-{after.end} overlap")
    return ordered


Slots = Annotated[tuple[Slot, ...], Field(max_length=48), AfterValidator(_apart)]


class Week(_Value):
    """A day that is not there has no slots."""

    mon: Slots = ()
    tue: Slots = ()
    wed: Slots = ()
    thu: Slots = ()
    fri: Slots = ()
    sat: Slots = ()
    sun: Slots = ()


def _calendar_day(text: str) -> str:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("a holiday's date is written 2026-12-25, or 12-25 for every year")
    try:
        date(int(match[1] or _ANY_LEAP_YEAR), int(match[2]), int(match[3]))
    except ValueError:
        raise ValueError("the calendar has no such date") from None
    return text


class Holiday(_Value):
    """What counts on one date in place of the week's plan; a date with its year goes before one of every year."""

    date: Annotated[str, AfterValidator(_calendar_day), Field(examples=["2026-12-25", "12-25"])]
    slots: Slots = ()


class Schedule(_Value):
    """When to record and how, outside all slots not at all."""

    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone_name), Field(examples=["America/Sao_Paulo"])]
    week: Week = Week()
    holidays: Annotated[tuple[Holiday, ...], Field(max_length=400)] = ()

    @model_validator(mode="after")
    def _holidays_once(self) -> Self:
        dates = [holiday.date for holiday in self.holidays]
        for date_text in dates:
            if dates.count(date_text) > 1:
                raise ValueError(f"the holiday {date_text} is there twice")
        return self

    def slots_on(self, day: date) -> tuple[Slot, ...]:
        """The slots of a local date, in order."""
        dated, yearly = day.isoformat(), day.isoformat()[5:]
        found: tuple[Slot, ...] | None = None
        for holiday in self.holidays:
            if holiday.date == dated:
                return holiday.slots
            if holiday.date == yearly:
                found = holiday.slots
        if found is not None:
            return found
        week: tuple[Slot, ...] = getattr(self.week, DAYS[day.weekday()])
        return week

    def modes(self) -> set[SlotMode]:
        """The modes of all slots."""
        days = [*(getattr(self.week, day) for day in Week.model_fields), *(holiday.slots for holiday in self.holidays)]
        return {slot.mode for slots in days for slot in slots}

    def mode_at(self, at_us: int) -> SlotMode:
        """What counts at an instant (µs since the Unix epoch)."""
        return self._mode_at(_instant(at_us))

    def next_change_us(self, at_us: int) -> int | None:
        """The first instant after `at_us` at which another mode counts; None when none does within `HORIZON_DAYS`."""
        now = _instant(at_us)
        mode = self._mode_at(now)
        for instant in sorted(self._candidates(now)):
            if instant > now and self._mode_at(instant) != mode:
                return (instant - _EPOCH) // timedelta(microseconds=1)
        return None

    def _mode_at(self, instant: datetime) -> SlotMode:
        local = instant.astimezone(zone(self.time_zone))
        minute = local.hour * 60 + local.minute
        for slot in self.slots_on(local.date()):
            if minute_of(slot.start) <= minute < minute_of(slot.end):
                return slot.mode
        return "off"

    def _candidates(self, now: datetime) -> set[datetime]:
        """Instants at which the mode may change: both of a time that comes twice, and those at which the clock on
        the wall is set."""
        here = zone(self.time_zone)
        first = now.astimezone(here).date() - timedelta(days=1)
        found: set[datetime] = set()
        for offset in range(HORIZON_DAYS + 2):
            day = first + timedelta(days=offset)
            minutes = {0}
            for slot in self.slots_on(day):
                minutes |= {minute_of(slot.start), minute_of(slot.end) % 1440}
            for minute in minutes:
                local = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=here)
                found |= {local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)}
        return found | set(_shifts(self.time_zone, first, HORIZON_DAYS + 2))


def _instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


@lru_cache(maxsize=256)
def _shifts(zone_name: str, first: date, days: int) -> tuple[datetime, ...]:
    """The instants, to the second, at which a zone's offset changes within some days."""
    here = zone(zone_name)
    start = datetime.combine(first, time(), tzinfo=UTC)
    shifts: list[datetime] = []
    for step in range(days * 4 + 4):
        before, after = start + step * _PROBE, start + (step + 1) * _PROBE
        offset = before.astimezone(here).utcoffset()
        if after.astimezone(here).utcoffset() == offset:
            continue
        low, high = 0, int(_PROBE.total_seconds())
        while high - low > 1:
            middle = (low + high) // 2
            if (before + timedelta(seconds=middle)).astimezone(here).utcoffset() == offset:
                low = middle
            else:
                high = middle
        shifts.append(before + timedelta(seconds=high))
    return tuple(shifts)
