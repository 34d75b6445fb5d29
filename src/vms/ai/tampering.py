"""Cameras that are covered, turned away, out of focus, or show the same picture for ever.

A picture is judged against what the camera is known to show: its contrast, its sharpness, and where it is brighter and
darker from cell to cell. That pattern outlasts day and night and lamps, which change all cells alike; a hand over the
lens takes it away, and another view has another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vms.ai.watching import Lasting, Spells
from vms.domain.analysis import Tampering
from vms.domain.vision import Look, Occurrence, Scene

# Nothing is judged before so much was learned; then it is followed at this pace.
_LEAST_LOOKS = 10
_LEAST_LEARNING_US = 10_000_000
_TAU_S = 60.0
# A camera that sees so little by itself (night without any light) cannot be judged.
_LEAST_CONTRAST = 0.03
# Shares of the normal contrast and sharpness that a covered lens leaves at most.
_FLAT = 0.35
# Likeness of the pattern: none of it is left; enough that it is the same view; and two pictures of one view.
_NOTHING_LEFT = 0.4
_ANOTHER_VIEW = 0.25
_SETTLED = 0.7
# Of sharpness to contrast, what a lens out of focus leaves at most; brightness and contrast stay about the same.
_BLURRED = 0.45
_BRIGHTNESS = (0.6, 1.6)
_LEAST_CONTRAST_SHARE = 0.5
# Over again for so long, it is over.
_OVER_US = 2_000_000
# Another view that stays is the view from then on; a softer picture that stays is how the camera is set.
_NEW_VIEW_AFTER_US = 30_000_000
_SOFT_AFTER_US = 3_600_000_000
# Encoders repeat still scenes bit by bit from key frame to key frame, some of them for tens of seconds; the noise of a
# sensor never repeats. Only what stays the same for longer than that is frozen.
_FROZEN_LEAST_US = 60_000_000
_FROZEN_LEAST_LOOKS = 10
# After a longer pause nothing goes on from before.
_LONGEST_PAUSE_US = 10_000_000

_KINDS = ("covered", "moved", "defocused")


@dataclass
class _Normal:
    """What the camera shows."""

    look: Look
    cells: list[float]
    pattern: tuple[float, ...]
    since_us: int
    looks: int = 1

    def learn(self, look: Look, pause_s: float) -> None:
        self.looks += 1
        share = max(1 - math.exp(-pause_s / _TAU_S), 1 / self.looks)
        old = self.look
        self.look = Look(
            old.brightness + share * (look.brightness - old.brightness),
            old.contrast + share * (look.contrast - old.contrast),
            old.sharpness + share * (look.sharpness - old.sharpness),
        )
        self.cells = [mean + share * (cell - mean) for mean, cell in zip(self.cells, look.cells, strict=True)]
        self.pattern = pattern(self.cells)


class TamperWatch:
    """From when to when a camera is tampered with."""

    def __init__(self, rule: Tampering) -> None:
        self._spells = Spells(rule.id)
        after_us = round(rule.after_s * 1e6)
        self._lasting = {kind: Lasting(after_us, _OVER_US) for kind in _KINDS}
        self._frozen_after_us = max(after_us, _FROZEN_LEAST_US)
        self._normal: _Normal | None = None
        self._last: Look | None = None
        self._last_us = 0
        # Since when, and in how many looks, it has been the same picture.
        self._same_since_us = 0
        self._same_looks = 0
        # The view that a turned camera shows, and since when an event of it is open.
        self._view: tuple[float, ...] = ()
        self._began_us: dict[str, int] = {}

    def see(self, scene: Scene) -> list[Occurrence]:
        look = scene.look
        if look is None or not _is_sound(look):
            return []
        now = scene.at_us
        found: list[Occurrence] = []
        if self._normal is not None and len(self._normal.cells) != len(look.cells):
            # Another picture altogether: the stream has changed.
            found += self.end(now)
        elif now - self._last_us > _LONGEST_PAUSE_US:
            self._last = None
            for kind in _KINDS:
                if not self._lasting[kind].counts:
                    self._lasting[kind].reset()
        found += self._see_frozen(look, now)
        if self._normal is None:
            self._normal = _Normal(look, list(look.cells), pattern(look.cells), now)
        elif self._normal.looks < _LEAST_LOOKS or now - self._normal.since_us < _LEAST_LEARNING_US:
            self._normal.learn(look, (now - self._last_us) / 1e6)
        else:
            found += self._judge(self._normal, look, now)
        self._last, self._last_us = look, now
        return found

    def end(self, at_us: int) -> list[Occurrence]:
        for lasting in self._lasting.values():
            lasting.reset()
        self._normal, self._last = None, None
        self._began_us.clear()
        return self._spells.end_all(at_us)

    def _see_frozen(self, look: Look, now: int) -> list[Occurrence]:
        if self._last is None or look.activity > 0 or look.cells != self._last.cells or not _same(look, self._last):
            self._same_since_us, self._same_looks = now, 1
            return self._spells.end("frozen", now)
        self._same_looks += 1
        still_us = now - self._same_since_us
        if still_us < self._frozen_after_us or self._same_looks < _FROZEN_LEAST_LOOKS or "frozen" in self._spells:
            return []
        return [self._spells.begin("frozen", "camera.frozen", now, still_s=round(still_us / 1e6, 3))]

    def _judge(self, normal: _Normal, look: Look, now: int) -> list[Occurrence]:
        suspected: dict[str, dict[str, Any]] = {}
        if normal.look.contrast >= _LEAST_CONTRAST:
            suspected = self._suspect(normal.look, normal.pattern, look)
        found: list[Occurrence] = []
        for kind in _KINDS:
            lasting = self._lasting[kind]
            counts = lasting.see(now, kind in suspected)
            if counts and kind not in self._spells:
                self._began_us[kind] = now
                found.append(self._spells.begin(kind, f"camera.{kind}", now, **suspected.get(kind, {})))
            elif not counts:
                found += self._spells.end(kind, lasting.held_us)
        if self._is_settled("moved", _NEW_VIEW_AFTER_US, now) or self._is_settled("defocused", _SOFT_AFTER_US, now):
            for kind in ("moved", "defocused"):
                self._lasting[kind].reset()
                found += self._spells.end(kind, now)
            self._normal = _Normal(look, list(look.cells), pattern(look.cells), now)
        elif not suspected:
            normal.learn(look, (now - self._last_us) / 1e6)
        return found

    def _suspect(self, normal: Look, known: tuple[float, ...], look: Look) -> dict[str, dict[str, Any]]:
        """What this one picture looks like, with what an event of it says."""
        contrast = look.contrast / normal.contrast
        sharpness = look.sharpness / normal.sharpness if normal.sharpness > 0 else 1.0
        now_is = pattern(look.cells)
        same = likeness(now_is, known)
        if contrast < _FLAT and sharpness < _FLAT:
            # By chance noise looks like anything now and then: a covered lens is free again when its view is back.
            if same < (_SETTLED if self._lasting["covered"].counts else _NOTHING_LEFT):
                return {"covered": {"contrast": round(contrast, 3), "likeness": round(same, 3)}}
            return {}
        if same < _ANOTHER_VIEW:
            if likeness(now_is, self._view) < _SETTLED:
                # It still turns, or something passes right before it.
                self._view = now_is
                if not self._lasting["moved"].counts:
                    self._lasting["moved"].reset()
            return {"moved": {"likeness": round(same, 3)}}
        brightness = look.brightness / normal.brightness if normal.brightness > 0 else 1.0
        stays = _BRIGHTNESS[0] <= brightness <= _BRIGHTNESS[1] and contrast >= _LEAST_CONTRAST_SHARE
        if stays and sharpness < _BLURRED * contrast:
            return {"defocused": {"sharpness": round(sharpness, 3)}}
        return {}

    def _is_settled(self, kind: str, after_us: int, now: int) -> bool:
        return kind in self._spells and self._lasting[kind].held_us == now and now - self._began_us[kind] >= after_us


def pattern(cells: tuple[float, ...] | list[float]) -> tuple[float, ...]:
    """Where a picture gets brighter and darker from cell to cell, −1 to 1 each.

    Of neighbours' differences, since light that falls in evenly, however strong, leaves them; each is weighed against
    the usual one of the same picture, so that one lamp is not all there is.
    """
    steps = [after - before for before, after in pairwise(cells)]
    if not steps:
        return ()
    usual = sorted(map(abs, steps))[len(steps) // 2]
    return tuple(step / (abs(step) + usual) if step else 0.0 for step in steps)


def likeness(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Of two patterns: 1 for the same, around 0 for any two, 0 where one of them has none."""
    if len(one) != len(other):
        return 0.0
    norm = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / norm if norm > 0 else 0.0


def _same(look: Look, last: Look) -> bool:
    """Whether both are of the same picture, to the last bit."""
    return (look.brightness, look.contrast, look.sharpness) == (last.brightness, last.contrast, last.sharpness)


def _is_sound(look: Look) -> bool:
    return bool(look.cells) and math.isfinite(look.brightness + look.contrast + look.sharpness + sum(look.cells))
