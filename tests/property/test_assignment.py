"""The pairing is the best there is."""

from __future__ import annotations

from itertools import combinations, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from vms.ai.assignment import assign

_GAINS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(-2, 9).map(lambda gain: gain / 2), max_size=14
)


def _largest_sum(gains: dict[tuple[int, int], float]) -> float:
    best = 0.0
    for size in range(1, 6):
        for rows in combinations(range(5), size):
            for columns in permutations(range(5), size):
                pairs = list(zip(rows, columns, strict=True))
                if all(pair in gains for pair in pairs):
                    best = max(best, sum(gains[pair] for pair in pairs))
    return best


@settings(max_examples=150, deadline=None)
@given(_GAINS)
def test_no_other_pairing_gains_more(gains: dict[tuple[int, int], float]) -> None:
    pairs = assign(gains)
    assert sum(gains[pair] for pair in pairs) == _largest_sum(gains)


@given(_GAINS)
def test_nothing_is_paired_twice_and_nothing_that_cannot_be(gains: dict[tuple[int, int], float]) -> None:
    pairs = assign(gains)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(gains.get(pair, 0) > 0 for pair in pairs)


def test_a_large_crowd_of_equals_is_paired_whole() -> None:
    gains = {(row, column): 1.0 for row in range(30) for column in range(40)}
    assert len(assign(gains)) == 30


def test_nothing_gives_nothing() -> None:
    assert assign({}) == []
