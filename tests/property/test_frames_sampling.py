"""However units come: no more pictures than wanted, and none too late."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vms.adapters.frames.fairness import Allowance
from vms.adapters.frames.pacing import Pace
from vms.adapters.frames.sampling import Feed, Sampler
from vms.contracts.frames import Sampling
from vms.contracts.tap import TappedUnit

T0_US = 1_700_000_000_000_000
rates = st.sampled_from([5, 8, 10, 12, 15, 20, 25, 30])


def unit_at(number: int, fps: int, gop: int, size_bytes: int) -> TappedUnit:
    at_us = T0_US + number * 1_000_000 // fps
    return TappedUnit(0, number % gop == 0, False, number * 90_000 // fps, at_us, 0, bytes(size_bytes))


def show(sampler: Sampler, feeds: list[Feed], activity: float = 0.0) -> list[int]:
    """As a decoder without reordering: the times of what is shown."""
    shown = []
    for feed in feeds:
        if sampler.is_wanted(feed.unit.pts):
            assert feed.wanted
            sampler.see(feed.unit.utc_us, activity)
            shown.append(feed.unit.utc_us)
    return shown


@given(st.lists(st.integers(5_000, 400_000), min_size=1, max_size=300), st.data())
@settings(deadline=None)
def test_no_window_has_more_pictures_than_the_full_rate(steps_us: list[int], data: st.DataObject) -> None:
    pace = Pace(Sampling(least_fps=1, most_fps=5))
    at_us, picked = T0_US, []
    for step_us in steps_us:
        at_us += step_us
        if pace.is_due(at_us):
            pace.pick(at_us)
            pace.see(at_us, data.draw(st.sampled_from([0.0, 0.0025, 0.5])))
            picked.append(at_us)
    for first in range(len(picked)):
        for last in range(first, len(picked)):
            # One more than the rate, and what early and late come to.
            assert last - first <= (picked[last] - picked[first]) / 200_000 + 1


@given(rates, st.integers(1, 10), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_still_scene_costs_little(fps: int, gop_s: int, seed: int) -> None:
    """After three seconds at the full rate: a picture a second at most, and (once what is usual is known) not many more
    units than key frames decoded, whatever the noise."""
    sampler = Sampler(Sampling(least_fps=1, most_fps=5))
    shown: list[int] = []
    decoded = 0
    state = seed
    for number in range(30 * fps):
        state = (state * 1_103_515_245 + 12_345) % 2**31
        size_bytes = 20_000 if number % (gop_s * fps) == 0 else 700 + state % 200
        feeds = sampler.take(unit_at(number, fps, gop_s * fps, size_bytes), disposable=False)
        if number > 10 * fps:
            decoded += len(feeds)
        shown += show(sampler, feeds)
    late = [at_us for at_us in shown if at_us > T0_US + 4_000_000]
    assert len(late) <= 27
    assert all(after - before >= 900_000 for before, after in pairwise(late))
    assert max(after - before for before, after in pairwise(late)) <= 11_000_000
    assert decoded <= 20 / gop_s + 2


@given(
    rates,
    st.integers(1, 10),
    st.integers(60, 4000),
    st.floats(1.6, 20),
    st.integers(10_000, 19_000),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_a_jump_of_sizes_wakes_within_a_second(
    fps: int, gop_s: int, usual_bytes: int, factor: float, jump_ms: int, seed: int
) -> None:
    sampler = Sampler(Sampling(least_fps=1, most_fps=5))
    jump_us = T0_US + jump_ms * 1000
    state = seed
    shown: list[int] = []
    for number in range(22 * fps):
        state = (state * 1_103_515_245 + 12_345) % 2**31
        unit = unit_at(number, fps, gop_s * fps, 0)
        size_bytes = usual_bytes + (state % max(1, usual_bytes // 5))
        if unit.utc_us >= jump_us:
            size_bytes = round(size_bytes * factor) + 100
        unit = unit_at(number, fps, gop_s * fps, 25 * usual_bytes if unit.key else size_bytes)
        feeds = sampler.take(unit, disposable=False)
        shown += show(sampler, feeds, 0.05 if unit.utc_us >= jump_us else 0.0)
    woken = [at_us for at_us in shown if at_us >= jump_us]
    assert woken[0] <= jump_us + 1_000_000
    # And from then on at the full rate.
    assert len([at_us for at_us in woken if at_us < woken[0] + 2_000_000]) >= 8


@given(rates, st.integers(1, 300), st.lists(st.integers(0, 40_000), min_size=50, max_size=400), st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_decoded_has_all_it_needs(fps: int, gop: int, sizes: list[int], data: st.DataObject) -> None:
    """Whatever is dropped, skipped and moves: units are fed in order, from a key frame on, without a hole."""
    sampler = Sampler(Sampling(least_fps=1, most_fps=5))
    fed: list[Feed] = []
    for number, size_bytes in enumerate(sizes):
        unit = unit_at(number, fps, gop, size_bytes)
        what = data.draw(st.sampled_from(["take"] * 30 + ["drop", "skip"]))
        if what == "skip":
            sampler.skip(unit)
            continue
        if what == "drop":
            unit = TappedUnit(**{**vars(unit), "dropped": 1})
        feeds = sampler.take(unit, disposable=False)
        show(sampler, feeds, data.draw(st.sampled_from([0.0, 0.1])))
        fed += feeds
        assert sampler.kept_bytes <= (2 << 20) + 40_000
    before = None
    for feed in fed:
        if not feed.unit.key:
            assert before is not None
            assert before.unit.utc_us == feed.unit.utc_us - _step_us(feed.unit.utc_us, fps)
        before = feed


def _step_us(at_us: int, fps: int) -> int:
    number = round((at_us - T0_US) * fps / 1_000_000)
    return at_us - T0_US - (number - 1) * 1_000_000 // fps


@given(st.floats(0.1, 1), st.lists(st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)), max_size=300))
@settings(deadline=None)
def test_nobody_takes_more_than_the_share_and_what_was_saved(share: float, turns: list[tuple[float, float]]) -> None:
    allowance = Allowance(share)
    now_s = used_s = 0.0
    for pause_s, cpu_s in turns:
        now_s += pause_s
        if not allowance.is_spent(now_s):
            allowance.spend(cpu_s)
            used_s += cpu_s
    assert used_s <= 1.0 + share * now_s + 0.2 + 1e-6
