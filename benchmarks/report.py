"""Results as JSON and as a table; a target met or missed is said in words."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `target` is an upper bound unless `at_least`."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """`met`, `missed` or empty where there is no target."""
        if self.target is None:
            return ""
        met = self.value >= self.target if self.at_least else self.value <= self.target
        return "met" if met else "missed"


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest-rank percentile, `share` from 0 to 1; 0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def table(figures: list[Figure]) -> str:
    """A Markdown table."""
    lines = ["| figure | measured | target | |", "| --- | --- | --- | --- |"]
    for figure in figures:
        bound = "" if figure.target is None else f"{'≥' if figure.at_least else '≤'} {figure.target:g} {figure.unit}"
        lines.append(f"| {figure.name} | {figure.value:.3g} {figure.unit} | {bound} | {figure.verdict} |")
    return "\n".join(lines)


def write(directory: Path, bench: str, figures: list[Figure]) -> Path:
    """Writes `{bench}.json` with the machine it ran on; its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{bench}.json"
    document = {
        "bench": bench,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in figures],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
