"""However requests come, no window lets more through than its rate and one burst."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vms.gateway.rate_limit import TokenBuckets

gaps = st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200)


@given(st.integers(1, 60), gaps)
def test_no_window_lets_more_through(per_minute: int, between_s: list[float]) -> None:
    buckets = TokenBuckets(per_minute)
    now_s = 0.0
    passed: list[float] = []
    for gap_s in between_s:
        now_s += gap_s
        if buckets.take("a", now_s).allowed:
            passed.append(now_s)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window_s = passed[last] - passed[first]
            assert last - first + 1 <= per_minute + window_s * per_minute / 60 + 1e-6


@given(st.integers(1, 60), gaps)
def test_waiting_as_told_is_enough(per_minute: int, between_s: list[float]) -> None:
    buckets = TokenBuckets(per_minute)
    now_s = 0.0
    for gap_s in between_s:
        now_s += gap_s / 10
        verdict = buckets.take("a", now_s)
        if not verdict.allowed:
            assert 0 < verdict.retry_after_s <= 60 / per_minute
            now_s += verdict.retry_after_s + 1e-6
            assert buckets.take("a", now_s).allowed


@given(st.lists(st.text(max_size=3), max_size=300), st.integers(1, 20))
def test_memory_is_bounded(keys: list[str], capacity: int) -> None:
    buckets = TokenBuckets(5, capacity=capacity)
    for at, key in enumerate(keys):
        buckets.take(key, at)
        assert len(buckets) <= capacity


@given(st.lists(st.floats(-100, 100, allow_nan=False), min_size=1, max_size=50))
def test_a_clock_that_steps_back_gives_nothing_away(times_s: list[float]) -> None:
    buckets = TokenBuckets(1)
    span_s = max(times_s) - min(times_s)
    passed = sum(buckets.take("a", at_s).allowed for at_s in times_s)
    assert passed <= 1 + span_s / 60 + 1e-6
