"""What independent players see: ffprobe and ffmpeg on a URL or a file."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Presented:
    """Frames that a player shows: presentation times in seconds, in order."""

    times_s: list[float]

    @property
    def count(self) -> int:
        return len(self.times_s)


def probe(source: Path | str) -> dict[str, Any]:
    """ffprobe's view of streams and format; fails the test when ffprobe complains."""
    run = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(source)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    document: dict[str, Any] = json.loads(run.stdout)
    return document


def presented(source: Path | str) -> Presented:
    """Decodes everything and returns what is shown, edit lists honoured."""
    run = subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-i", str(source)),
            *("-map", "0:v:0", "-vsync", "passthrough", "-f", "framemd5", "-"),
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr.strip(), run.stderr
    numerator, denominator = 1, 1
    times = []
    for line in run.stdout.splitlines():
        if line.startswith("#tb 0:"):
            numerator, denominator = (int(part) for part in line.split(":")[1].strip().split("/"))
        elif line and not line.startswith("#"):
            times.append(int(line.split(",")[2]) * numerator / denominator)
    return Presented(times)
