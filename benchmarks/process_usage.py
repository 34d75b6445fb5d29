"""CPU time and memory of a process and its children, read from /proc (Linux, proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_s`: user + system seconds since the start; `pss_bytes`: memory, shared pages divided among their users."""

    cpu_s: float
    rss_bytes: int
    pss_bytes: int


def descendants(pid: int) -> list[int]:
    """`pid` and every living process below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, frontier = [], [pid]
    while frontier:
        current = frontier.pop()
        found.append(current)
        frontier.extend(parents.get(current, []))
    return found


def usage(pids: list[int]) -> Usage:
    """The sum over `pids`; processes that ended count nothing."""
    cpu_s, rss_bytes, pss_bytes = 0.0, 0, 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss_bytes += int(line.split()[1]) * 1024
                elif line.startswith("Pss:"):
                    pss_bytes += int(line.split()[1]) * 1024
        except (OSError, ProcessLookupError):
            continue
    return Usage(cpu_s, rss_bytes, pss_bytes)


def usage_of_tree(pid: int) -> Usage:
    """Usage of `pid` and everything it started."""
    return usage(descendants(pid))
