"""Instruction counts of hot functions by callgrind: repeatable whatever else the machine does.

`crates/media-core/examples/hot_functions.rs` runs one function a fixed number of times; the count of an empty run is
subtracted. Counts are compared with `benchmarks/instructions.json`: more than 5 % above warns, more than 10 % fails.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Figure

REPOSITORY = Path(__file__).parents[1]
BASELINE = REPOSITORY / "benchmarks" / "instructions.json"
WARN_ABOVE = 1.05
FAIL_ABOVE = 1.10


@dataclass(slots=True)
class Comparison:
    """Counts per call, and what grew."""

    figures: list[Figure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def compare(*, update: bool = False) -> Comparison:
    """Counts every hot function; with `update` the counts become the baseline."""
    binary = _build()
    names = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    empty = _count(binary, "empty")
    baseline: dict[str, int] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    counts: dict[str, int] = {}
    comparison = Comparison()
    for name in names:
        counts[name] = count = _count(binary, name) - empty
        known = baseline.get(name)
        ratio = count / known if known else 1.0
        comparison.figures.append(Figure(f"{name}, instructions", count, "", known * FAIL_ABOVE if known else None))
        sentence = f"{name} takes {count} instructions, {100 * (ratio - 1):.1f} % above the baseline's {known}"
        if ratio > FAIL_ABOVE and not update:
            comparison.failures.append(sentence)
        elif ratio > WARN_ABOVE:
            comparison.warnings.append(sentence)
    if update:
        BASELINE.write_text(json.dumps(counts, indent=2, sort_keys=True) + "\n")
    return comparison


def _build() -> str:
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--locked", "-p", "media-core", "--example", "hot_functions"],
        cwd=REPOSITORY,
        check=True,
    )
    return str(REPOSITORY / "target" / "release" / "examples" / "hot_functions")


def _count(binary: str, name: str) -> int:
    with tempfile.TemporaryDirectory() as directory:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", binary, name],
            capture_output=True,
            check=False,
            text=True,
        )
    for line in run.stderr.splitlines():
        if "Collected" in line:
            return int(line.split(":")[1].strip())
    raise RuntimeError(f"callgrind did not count {name}:\n{run.stderr[-2000:]}")
