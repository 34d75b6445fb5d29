"""A disk that can lose its power, fill up, fail and hang: the file system of `crates/power-cut`, mounted for a test.

Needs root and /dev/fuse. What was not synced is lost at a cut, except for the share of pages that reached the disk by
chance; names that were not synced with their directory are too.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).parents[1]
PROGRAM = REPOSITORY / "target" / "release" / "power-cut"


@dataclass(frozen=True, slots=True)
class Loss:
    """What a cut took: pages that were in the cache only, those of them that were kept, changes of names."""

    pages: int
    pages_kept: int
    names: int


class PowerCutDisk:
    """Mounted at `mountpoint` (made if missing) from entry to exit; its content is in memory."""

    def __init__(self, mountpoint: Path, *, capacity_bytes: int = 2 << 30) -> None:
        self.mountpoint = mountpoint
        self._capacity_bytes = capacity_bytes
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        build()
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [PROGRAM, self.mountpoint, str(self._capacity_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "mounted":
            raise RuntimeError(f"{self.mountpoint} cannot be mounted (root and /dev/fuse are needed)")
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def cut(self, seed: int, kept_percent: int) -> Loss:
        """Takes the power. Whoever has files open must have been killed before."""
        _, *numbers = self._tell(f"cut {seed} {kept_percent}").split()
        pages, pages_kept, names = (int(number) for number in numbers)
        return Loss(pages, pages_kept, names)

    def refuse(self, errno: int) -> None:
        """Every write and sync fails with `errno`."""
        self._tell(f"refuse {errno}")

    def slow_down(self, delay_ms: int) -> None:
        """Every write and sync takes that long."""
        self._tell(f"slow {delay_ms}")

    def resize(self, capacity_bytes: int) -> None:
        self._tell(f"capacity {capacity_bytes}")

    def heal(self) -> None:
        """No fault any more."""
        self._tell("heal")

    def used_bytes(self) -> int:
        space = os.statvfs(self.mountpoint)
        return (space.f_blocks - space.f_bfree) * space.f_frsize

    def _tell(self, command: str) -> str:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer or answer.startswith("unknown"):
            raise RuntimeError(f"the disk answers {answer!r} to {command!r}")
        return answer


def build() -> None:
    """Compiles the file system; quick when it is there."""
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--locked", "--package", "power-cut"], cwd=REPOSITORY, check=True
    )
