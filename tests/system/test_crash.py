"""SIGKILL costs at most the fragment in flight, by the sender's own frame numbers."""

from __future__ import annotations

from benchmarks import kills


def test_a_few_kills_lose_little() -> None:
    figures = {figure.name: figure for figure in kills.measure(5, 2)}
    assert all(figure.verdict in ("met", "") for figure in figures.values()), figures
