"""How many, of what: counts by the minute."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vms.ai.presence import Presence
from vms.contracts.analysis import Count
from vms.domain.analysis import AnalysisSettings, Occupancy
from vms.domain.vision import Occurrence, Scene

MINUTE_US = 60_000_000
# A track that is missing for longer and comes back counts anew.
_FORGET_US = 10_000_000
# A picture stands for the time up to the next one, but not for longer than that.
_LONGEST_PAUSE_US = 5_000_000

_Key = tuple[Literal["seen", "crossed"], str, str, Literal["", "left", "right"]]


@dataclass
class _Inside:
    """A zone in one minute."""

    presence: Presence
    now: int = 0
    known_us: int = 0
    # Times how many were in it.
    people_us: int = 0
    peak: int = 0

    def add(self, pause_us: int) -> None:
        self.known_us += pause_us
        self.people_us += pause_us * self.now

    def count(self, camera_id: str, start_us: int, rule: Occupancy) -> Count:
        mean = self.people_us / self.known_us if self.known_us else float(self.now)
        label = rule.labels[0] if len(rule.labels) == 1 else ""
        return Count(
            camera_id=camera_id,
            start_us=start_us,
            kind="inside",
            label=label,
            rule_id=rule.id,
            mean=round(mean, 4),
            peak=self.peak,
        )


class Counter:
    """One camera's counts. A minute is handed out once, with the first scene after it.

    seen: tracks by their label; crossed: what tripwires found; inside: of every occupancy rule, how many were in its
    zone at once (the mean over the time that was looked at, and the peak), as one row for all its labels.
    """

    def __init__(self, camera_id: str, settings: AnalysisSettings) -> None:
        self._camera_id = camera_id
        self._known: dict[int, int] = {}
        self._tally: Tally[_Key] = Tally()
        self._zones: dict[Occupancy, _Inside] = {}
        self._minute_us: int | None = None
        self._last_us = 0
        self._set(settings)

    def see(self, scene: Scene, occurrences: Sequence[Occurrence]) -> list[Count]:
        """Counts a scene (best that of `Rules.scene`, where what stands is not seen anew) and what rules found in it;
        gives the counts of the minute before when one is over."""
        now = scene.at_us
        found: list[Count] = []
        minute_us = now - now % MINUTE_US
        if self._minute_us is not None and minute_us != self._minute_us:
            found = self._flush()
        pause_us = min(max(now - self._last_us, 0), _LONGEST_PAUSE_US) if self._last_us else 0
        self._minute_us, self._last_us = minute_us, now
        for track in scene.tracks:
            if track.seen and track.number not in self._known:
                self._tally["seen", track.label, "", ""] += 1
            if track.seen or track.number in self._known:
                self._known[track.number] = now
        for number in [number for number, at_us in self._known.items() if now - at_us > _FORGET_US]:
            del self._known[number]
        for occurrence in occurrences:
            direction = occurrence.details.get("direction")
            if occurrence.type == "line.crossed" and direction in ("left", "right"):
                self._tally["crossed", occurrence.label, occurrence.rule_id, direction] += 1
        for zone in self._zones.values():
            zone.add(pause_us)
            zone.presence.see(scene)
            zone.now = len(zone.presence.inside())
            zone.peak = max(zone.peak, zone.now)
        return found

    def change(self, settings: AnalysisSettings) -> list[Count]:
        """The counts so far, and other rules from now on. Zones that stay keep who is in them."""
        found = self._flush()
        self._set(settings)
        return found

    def end(self) -> list[Count]:
        """The counts so far; the camera is gone."""
        found = self._flush()
        self._known.clear()
        self._minute_us, self._last_us = None, 0
        for zone in self._zones.values():
            zone.presence.clear()
            zone.now = 0
        return found

    def _set(self, settings: AnalysisSettings) -> None:
        old = self._zones
        self._zones = {
            rule: old.get(rule) or _Inside(Presence(rule.zone, rule.labels))
            for rule in settings.rules
            if isinstance(rule, Occupancy) and rule.enabled
        }

    def _flush(self) -> list[Count]:
        start_us = self._minute_us
        if start_us is None:
            return []
        found = [
            Count(
                camera_id=self._camera_id,
                start_us=start_us,
                kind=kind,
                label=label,
                rule_id=rule_id,
                direction=direction,
                count=count,
            )
            for (kind, label, rule_id, direction), count in sorted(self._tally.items())
        ]
        self._tally.clear()
        for rule, zone in self._zones.items():
            found.append(zone.count(self._camera_id, start_us, rule))
            zone.known_us, zone.people_us, zone.peak = 0, 0, zone.now
        return found
