"""Pictures that are unlike what a camera's auto-encoder learned."""

from __future__ import annotations

from vms.ai.watching import Lasting, Spells
from vms.domain.analysis import Anomaly
from vms.domain.vision import Occurrence, Scene

# A finding's score at the threshold that the model was given when it was trained.
UNUSUAL_SCORE = 0.5
_OVER_US = 2_000_000
# Not looked at for so long: whatever was is over.
_LONGEST_PAUSE_US = 10_000_000


class UnusualScenes:
    """From when the picture has been unusual for long enough until it is as ever."""

    def __init__(self, rule: Anomaly) -> None:
        self._spells = Spells(rule.id)
        self._lasting = Lasting(round(rule.after_s * 1e6), _OVER_US)
        self._looked_us = 0
        self._highest = 0.0

    def see(self, scene: Scene) -> list[Occurrence]:
        now, finding = scene.at_us, scene.unusual
        if finding is None:
            if now - self._looked_us > _LONGEST_PAUSE_US:
                self._lasting.reset()
                return self._spells.end("scene", self._looked_us)
            return []
        self._looked_us = now
        if not self._lasting.see(now, finding.score >= UNUSUAL_SCORE):
            return self._spells.end("scene", self._lasting.held_us, highest=self._highest)
        self._highest = max(self._highest, round(finding.score, 3)) if self._spells else round(finding.score, 3)
        if self._spells:
            return []
        return [self._spells.begin("scene", "scene.unusual", now, score=finding.score, box=finding.box)]

    def end(self, at_us: int) -> list[Occurrence]:
        self._lasting.reset()
        return self._spells.end_all(at_us)
