"""What moves on to slower places, when, and how fast."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.contracts.files import RecordedFile, Tier, VolumeStatus
from vms.storage.tiering import DAY_US, TieringRules, Window, monthly_cost, moves, rate_at

GB = 1 << 30
NOW_US = 1_800_000_000_000_000


def _volume(name: str, tier: Tier = "fast", *, free: int = 100 * GB, state: str = "ok") -> VolumeStatus:
    return VolumeStatus.model_validate(
        {
            "name": name, "path": f"/{name}", "weight": 1, "tier": tier, "reserve_bytes": GB, "state": state,
            "free_bytes": free, "total_bytes": 1000 * GB,
        }
    )  # fmt: skip


def _file(days: float, *, volume: str = "ssd", size: int = GB, sealed: bool = True, number: int = 1) -> RecordedFile:
    end_us = NOW_US - round(days * DAY_US)
    return RecordedFile(
        camera_id="c", stream="main", name=f"day/video_{days:g}_{number}.mp4", volume=volume,
        start_us=end_us - 3_600_000_000, end_us=end_us, size_bytes=size, sealed=sealed,
    )  # fmt: skip


RULES = TieringRules(slow_after_days=7, object_after_days=30)
VOLUMES = [_volume("ssd"), _volume("hdd", "slow")]


def _targets(files: list[RecordedFile], rules: TieringRules = RULES, **more: object) -> list[tuple[str, str | None]]:
    volumes = more.pop("volumes", VOLUMES)
    found = moves(files, rules, volumes, NOW_US, has_objects=bool(more.pop("has_objects", True)))  # type: ignore[arg-type]
    return [(move.file.name, move.volume) for move in found]


def test_recordings_move_on_by_age_oldest_first() -> None:
    files = [_file(6.9), _file(7), _file(31), _file(8), _file(40, volume="hdd")]
    assert _targets(files) == [
        ("day/video_40_1.mp4", None),
        ("day/video_31_1.mp4", None),
        ("day/video_8_1.mp4", "hdd"),
        ("day/video_7_1.mp4", "hdd"),
    ]


def test_without_an_object_storage_old_recordings_stay_on_the_slow_volume() -> None:
    assert _targets([_file(31), _file(40, volume="hdd")], has_objects=False) == [("day/video_31_1.mp4", "hdd")]


def test_what_is_being_recorded_or_away_already_stays() -> None:
    away = _file(40).model_copy(update={"object_key": "k"})
    assert _targets([_file(31, sealed=False), away]) == []


def test_a_nearly_full_fast_volume_hands_its_oldest_on_before_they_are_due() -> None:
    volumes = [_volume("ssd", free=2 * GB), _volume("hdd", "slow")]
    files = [_file(1), _file(3), _file(2)]
    assert _targets(files, volumes=volumes) == [("day/video_3_1.mp4", "hdd")], "then three reserves are free"


@pytest.mark.parametrize("slow", [_volume("hdd", "slow", free=2 * GB), _volume("hdd", "slow", state="failing")])
def test_no_volume_is_filled_up_or_trusted_while_it_fails(slow: VolumeStatus) -> None:
    assert _targets([_file(8)], volumes=[_volume("ssd"), slow]) == []


def test_the_roomiest_slow_volume_is_taken() -> None:
    volumes = [_volume("ssd"), _volume("a", "slow", free=10 * GB), _volume("b", "slow", free=11 * GB)]
    files = [_file(9, number=n) for n in range(3)]
    assert [volume for _, volume in _targets(files, volumes=volumes)] == ["b", "a", "b"]


@given(
    st.lists(st.tuples(st.floats(0, 60), st.integers(1, 20)), max_size=60),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_a_plan_never_takes_more_than_there_is(found: list[tuple[float, int]], ssd_gb: int, hdd_gb: int) -> None:
    files = [_file(days, size=size * GB // 4, number=n) for n, (days, size) in enumerate(found)]
    volumes = [_volume("ssd", free=ssd_gb * GB), _volume("hdd", "slow", free=hdd_gb * GB)]
    planned = moves(files, RULES, volumes, NOW_US, has_objects=False)
    assert sum(move.file.size_bytes for move in planned) <= max(0, hdd_gb - 2) * GB
    assert len({move.file.name for move in planned}) == len(planned)


NIGHT = Window(22 * 60, 6 * 60, 50_000_000, frozenset(range(5)))
PAUSE = Window(8 * 60, 18 * 60, 0)


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-23T21:59", 1000),  # a Monday
        ("2026-11-23T22:00", 50_000_000),
        ("2026-11-24T05:59", 50_000_000),
        ("2026-11-24T06:00", 1000),
        ("2026-11-24T08:00", 0),
        ("2026-11-28T05:59", 50_000_000),  # Saturday morning belongs to Friday's night
        ("2026-11-28T23:00", 1000),
        ("2026-11-23T05:59", 1000),  # and Monday morning to Sunday's, which has none
    ],
)
def test_windows_set_the_rate(local: str, expected: int) -> None:
    rules = TieringRules(max_bytes_per_s=1000, windows=(PAUSE, NIGHT))
    assert rate_at(rules, datetime.fromisoformat(local)) == expected


def test_the_cost_counts_what_lies_in_the_object_storage() -> None:
    away = _file(40, size=500_000_000_000).model_copy(update={"object_key": "k"})
    assert monthly_cost([away, _file(1)], 0.02) == pytest.approx(10.0)
