"""A camera's rules at work: scenes in, occurrences out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vms.ai.anomalies import UnusualScenes
from vms.ai.crowds import Crowds, FullPlaces
from vms.ai.falls import Falls
from vms.ai.removals import RemovedThings
from vms.ai.standing import Standing
from vms.ai.tampering import TamperWatch
from vms.ai.things import AbandonedThings, ParkedThings
from vms.ai.traffic import Speeds, WrongWays
from vms.ai.tripwires import LineCrossings
from vms.ai.watching import Watch
from vms.ai.zones import Loiterers, ZoneEntries
from vms.domain.analysis import (
    Abandoned,
    AnalysisSettings,
    Anomaly,
    Crowding,
    Fall,
    Loitering,
    Occupancy,
    Parked,
    Removed,
    Rule,
    Speed,
    Tampering,
    Tripwire,
    WrongWay,
    ZoneEntry,
)
from vms.domain.vision import Occurrence, Scene, Track

# Pictures come out of order by less.
_CLOCK_SET_BACK_US = 10_000_000


def watch_for(rule: Rule) -> Watch | None:  # noqa: PLR0912 (a case per kind)
    """The state machine of a rule; none for one that only counts."""
    watch: Watch | None
    match rule:
        case Tripwire():
            watch = LineCrossings(rule)
        case ZoneEntry():
            watch = ZoneEntries(rule)
        case Loitering():
            watch = Loiterers(rule)
        case Crowding():
            watch = Crowds(rule)
        case Occupancy():
            watch = FullPlaces(rule, rule.most) if rule.most is not None else None
        case WrongWay():
            watch = WrongWays(rule)
        case Speed():
            watch = Speeds(rule)
        case Abandoned():
            watch = AbandonedThings(rule)
        case Removed():
            watch = RemovedThings(rule)
        case Parked():
            watch = ParkedThings(rule)
        case Fall():
            watch = Falls(rule)
        case Tampering():
            watch = TamperWatch(rule)
        case Anomaly():
            watch = UnusualScenes(rule)
    return watch


@dataclass(frozen=True)
class _Running:
    rule: Rule
    watch: Watch


class Rules:
    """All rules of one camera. Time is that of the scenes alone."""

    def __init__(self, settings: AnalysisSettings) -> None:
        self._standing = Standing()
        self._running = _start(settings, {})
        self._at_us = 0
        # The last scene as the rules saw it: standing things with the numbers that they had first.
        self.scene = Scene(0)

    def see(self, scene: Scene) -> list[Occurrence]:
        """What a picture begins, ends or shows at once, in order of the rules.

        A picture that is not newer than the last one is passed over, and so are boxes that cannot be. Where the clock
        was set back, what is open ends and all begins anew.
        """
        found: list[Occurrence] = []
        if scene.at_us <= self._at_us:
            if self._at_us - scene.at_us < _CLOCK_SET_BACK_US:
                return []
            found = self.end(self._at_us)
        self._at_us = scene.at_us
        if not all(_is_possible(track) for track in scene.tracks):
            scene = replace(scene, tracks=tuple(track for track in scene.tracks if _is_possible(track)))
        self.scene = self._standing.see(scene)
        for running in self._running.values():
            found += running.watch.see(self.scene)
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        """What is open ends: the camera is gone. Later scenes begin anew."""
        self._standing.clear()
        return [occurrence for running in self._running.values() for occurrence in running.watch.end(at_us)]

    def change(self, settings: AnalysisSettings, at_us: int) -> list[Occurrence]:
        """Other rules from now on; those that stay, if under another name, go on, and what was open of the others
        ends."""
        old = self._running
        self._running = _start(settings, old)
        return [
            occurrence
            for rule_id, running in old.items()
            if rule_id not in self._running or self._running[rule_id].watch is not running.watch
            for occurrence in running.watch.end(at_us)
        ]


def _start(settings: AnalysisSettings, old: dict[str, _Running]) -> dict[str, _Running]:
    running: dict[str, _Running] = {}
    for rule in settings.rules:
        if not rule.enabled:
            continue
        before = old.get(rule.id)
        if before is not None and before.rule.model_copy(update={"name": rule.name}) == rule:
            running[rule.id] = _Running(rule, before.watch)
        elif (watch := watch_for(rule)) is not None:
            running[rule.id] = _Running(rule, watch)
    return running


def _is_possible(track: Track) -> bool:
    """Its box has an area, in or about the picture; what is no number is neither."""
    box = track.box
    return 0 < box.right - box.left < 4 and 0 < box.bottom - box.top < 4 and -4 < box.left < 4 and -4 < box.top < 4
