"""Scenes to judge rules by: tracks that walk, stand and vanish, at so many pictures a second."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from vms.ai.watching import Watch
from vms.domain.analysis import AnalysisSettings, Rule
from vms.domain.motion import Box
from vms.domain.vision import KeyPoint, Look, Occurrence, Scene, Track

START_US = 1_795_428_780_000_000
SECOND_US = 1_000_000
# The middle of the picture.
ZONE = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.8), (0.3, 0.8))


def rule_of(**fields: object) -> Rule:
    """As somebody would write it."""
    return AnalysisSettings.model_validate({"rules": [{"id": "r", **fields}]}).rules[0]


def settings_of(*rules: Mapping[str, object]) -> AnalysisSettings:
    return AnalysisSettings.model_validate({"rules": list(rules)})


def chance(seed: int) -> random.Random:
    """The same for the same seed."""
    return random.Random(seed)  # noqa: S311 (jitter is no secret)


def track(
    x: float,
    y: float,
    *,
    number: int = 1,
    label: str = "person",
    height: float = 0.2,
    width: float | None = None,
    seen: bool = True,
    since_us: int = START_US,
    points: tuple[KeyPoint, ...] = (),
) -> Track:
    """Its foot is at x, y."""
    half = (width if width is not None else height * 0.25) / 2
    box = Box(x - half, y - height, x + half, y)
    return Track(number, label, 0.9, box, since_us=since_us, at_us=0, seen=seen, points=points)


def scene(at_s: float, *tracks: Track, look: Look | None = None, aspect: float = 16 / 9) -> Scene:
    return Scene(START_US + round(at_s * SECOND_US), tuple(tracks), aspect=aspect, look=look)


def run(watch: Watch, scenes: Iterable[Scene]) -> list[Occurrence]:
    return [occurrence for each in scenes for occurrence in watch.see(each)]


def over(
    seconds: float, tracks_at: Callable[[float], Sequence[Track]], *, fps: float = 5.0, from_s: float = 0.0
) -> list[Scene]:
    """Scenes of some seconds; `tracks_at` gives what is in each by its time since `from_s`."""
    return [scene(from_s + nth / fps, *tracks_at(nth / fps)) for nth in range(round(seconds * fps))]


def told(occurrences: Iterable[Occurrence]) -> list[tuple[str, str]]:
    return [(occurrence.type, occurrence.phase) for occurrence in occurrences]


def assert_paired(occurrences: Sequence[Occurrence]) -> None:
    """Nothing begins twice, ends without having begun or before it, or is left open."""
    began: dict[tuple[str, str], Occurrence] = {}
    for occurrence in occurrences:
        name = occurrence.rule_id, occurrence.key
        if occurrence.phase == "began":
            assert name not in began
            began[name] = occurrence
        elif occurrence.phase == "ended":
            before = began.pop(name)
            assert (before.type, before.track, before.label) == (occurrence.type, occurrence.track, occurrence.label)
            assert occurrence.at_us >= before.at_us
    assert began == {}
