"""Who is in a zone: entering, loitering."""

from __future__ import annotations

from vms.ai.presence import Presence
from vms.ai.watching import Spells
from vms.domain.analysis import Loitering, ZoneEntry
from vms.domain.vision import Occurrence, Scene


class ZoneEntries:
    """From when to when each track is in the zone; `dwell_s` tells for how long it was."""

    def __init__(self, rule: ZoneEntry) -> None:
        self._presence = Presence(rule.zone, rule.labels)
        self._spells = Spells(rule.id)

    def see(self, scene: Scene) -> list[Occurrence]:
        came, left = self._presence.see(scene)
        found = []
        for stay in left:
            found += self._spells.end(str(stay.track.number), stay.until_us, dwell_s=stay.dwell_s(stay.until_us))
        for stay in came:
            found.append(self._spells.begin(str(stay.track.number), "zone.entered", scene.at_us, track=stay.track))
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        found = []
        for stay in self._presence.inside():
            found += self._spells.end(str(stay.track.number), at_us, dwell_s=stay.dwell_s(at_us))
        self._presence.clear()
        return found


class Loiterers:
    """Who is in the zone for longer, from when that was so until they leave."""

    def __init__(self, rule: Loitering) -> None:
        self._presence = Presence(rule.zone, rule.labels)
        self._spells = Spells(rule.id)
        self._after_us = round(rule.after_s * 1e6)

    def see(self, scene: Scene) -> list[Occurrence]:
        _, left = self._presence.see(scene)
        found = []
        for stay in left:
            found += self._spells.end(str(stay.track.number), stay.until_us, dwell_s=stay.dwell_s(stay.until_us))
        for stay in self._presence.inside():
            key = str(stay.track.number)
            # A guess may be of somebody who has gone.
            if (
                stay.seen_us == scene.at_us
                and scene.at_us - stay.since_us >= self._after_us
                and key not in self._spells
            ):
                dwell_s = stay.dwell_s(scene.at_us)
                found.append(self._spells.begin(key, "zone.loitering", scene.at_us, track=stay.track, dwell_s=dwell_s))
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        found = []
        for stay in self._presence.inside():
            found += self._spells.end(str(stay.track.number), at_us, dwell_s=stay.dwell_s(at_us))
        self._presence.clear()
        return found
