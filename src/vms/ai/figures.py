"""What devices did in the last minute. Times are µs of a clock that never steps back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vms.contracts.inference import ModelFigures

_WINDOW_US = 60_000_000
# Of the newest runs; a device that makes more than that a minute is described by them.
_MOST_RUNS = 20_000


class _Run(NamedTuple):
    at_us: int
    model: str
    frames: int
    took_us: int


class LastMinute:
    """The runs of one device."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque(maxlen=_MOST_RUNS)
        self._since_us: int | None = None

    def ran(self, model: str, frames: int, took_us: int, now_us: int) -> None:
        """A batch was looked at, up to now."""
        if self._since_us is None:
            self._since_us = now_us - took_us
        self._runs.append(_Run(now_us, model, frames, took_us))

    def frames_per_second(self, now_us: int) -> float:
        """Pictures a second."""
        return sum(run.frames for run in self._recent(now_us)) / self._elapsed_s(now_us)

    def busy(self, now_us: int) -> float:
        """The share of the time in which it ran."""
        return min(1.0, sum(run.took_us for run in self._recent(now_us)) / 1e6 / self._elapsed_s(now_us))

    def models(self, depth: Mapping[str, int], now_us: int) -> tuple[ModelFigures, ...]:
        """By model; `depth`: how many wait."""
        runs = self._recent(now_us)
        return tuple(
            _of_model(model, [run for run in runs if run.model == model], depth.get(model, 0))
            for model in sorted({run.model for run in runs} | set(depth))
        )

    def _recent(self, now_us: int) -> list[_Run]:
        while self._runs and self._runs[0].at_us < now_us - _WINDOW_US:
            self._runs.popleft()
        return list(self._runs)

    def _elapsed_s(self, now_us: int) -> float:
        since_us = max(now_us - _WINDOW_US, self._since_us if self._since_us is not None else now_us)
        if len(self._runs) == _MOST_RUNS:
            since_us = max(since_us, self._runs[0].at_us)
        return max(1.0, (now_us - since_us) / 1e6)


class LastWaits:
    """How long jobs waited before a device took them up."""

    def __init__(self) -> None:
        self._waits: deque[tuple[int, int]] = deque(maxlen=_MOST_RUNS)

    def waited(self, waited_us: int, now_us: int) -> None:
        """One was taken up now."""
        self._waits.append((now_us, waited_us))

    def p95_ms(self, now_us: int) -> float:
        """Nearest rank."""
        while self._waits and self._waits[0][0] < now_us - _WINDOW_US:
            self._waits.popleft()
        return _percentile_ms([waited_us for _, waited_us in self._waits], 0.95)


def _of_model(model: str, runs: Sequence[_Run], depth: int) -> ModelFigures:
    took_us = [run.took_us for run in runs]
    return ModelFigures(
        model=model,
        frames=sum(run.frames for run in runs),
        batches=len(runs),
        p50_ms=_percentile_ms(took_us, 0.5),
        p95_ms=_percentile_ms(took_us, 0.95),
        queue_depth=depth,
    )


def _percentile_ms(values_us: Sequence[int], share: float) -> float:
    if not values_us:
        return 0.0
    ordered = sorted(values_us)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))] / 1000
