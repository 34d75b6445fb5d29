"""Events that should have been found, against those that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vms.adapters.evaluation.truth import TrueEvent

# A rule may wait until it is sure: a tripwire until somebody is well off the line.
TOLERANCE_S = 2.0


@dataclass(frozen=True)
class FoundEvent:
    """An event of a rule, at a time of the clip."""

    rule: str
    at_s: float
    direction: str = ""


@dataclass(frozen=True)
class EventScores:
    """Of one rule: how many there are, how many were found, and how many of those are right."""

    rule: str
    true: int
    found: int
    right: int

    @property
    def false(self) -> int:
        return self.found - self.right

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0


def score_events(rule: str, fps: int, true: Sequence[TrueEvent], found: Sequence[FoundEvent]) -> EventScores:
    """An event is right when one of its rule and direction is true within two seconds of it, each once: the nearest
    pairs first."""
    expected = [event for event in true if event.rule == rule]
    given = [event for event in found if event.rule == rule]
    pairs = sorted(
        (abs(event.frame / fps - other.at_s), row, column)
        for row, event in enumerate(expected)
        for column, other in enumerate(given)
        if event.direction == other.direction
    )
    rows: set[int] = set()
    columns: set[int] = set()
    for apart_s, row, column in pairs:
        if apart_s <= TOLERANCE_S and row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
    return EventScores(rule, len(expected), len(given), len(rows))
