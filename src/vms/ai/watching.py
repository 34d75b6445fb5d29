"""What all rules have in common: what they can do, what is open of theirs, and conditions that have to last."""

from __future__ import annotations

from typing import Any, Protocol

from vms.domain.motion import Box
from vms.domain.vision import Occurrence, Scene, Track

# A track that is missing from the scenes for longer is gone.
FORGET_US = 2_000_000
# A condition that fails for less has not failed: one picture in which somebody was not found.
_FORGIVEN_US = 2_500_000


class Watch(Protocol):
    """One rule at work. Scenes come in order of time; whatever began ends with the same key."""

    def see(self, scene: Scene) -> list[Occurrence]: ...

    def end(self, at_us: int) -> list[Occurrence]:
        """What is open ends, and what was known is forgotten: the camera or the rule is gone."""
        ...


class Spells:
    """The open occurrences of one rule."""

    def __init__(self, rule_id: str) -> None:
        self._rule_id = rule_id
        self._open: dict[str, Occurrence] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._open

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(
        self,
        key: str,
        type_: str,
        at_us: int,
        *,
        track: Track | None = None,
        score: float = 1.0,
        box: Box | None = None,
        **details: Any,
    ) -> Occurrence:
        """Of a track, or of the scene as a whole. Not twice for a key."""
        occurrence = Occurrence(
            self._rule_id,
            key,
            type_,
            "began",
            at_us,
            score=track.score if track is not None else score,
            box=track.box if track is not None else box,
            label=track.label if track is not None else "",
            track=track.number if track is not None else None,
            details=details,
        )
        self._open[key] = occurrence
        return occurrence

    def end(self, key: str, at_us: int, **details: Any) -> list[Occurrence]:
        """Nothing where none is open."""
        began = self._open.pop(key, None)
        if began is None:
            return []
        return [
            Occurrence(
                began.rule_id,
                key,
                began.type,
                "ended",
                max(began.at_us, at_us),
                score=began.score,
                box=began.box,
                label=began.label,
                track=began.track,
                details={**began.details, **details},
            )
        ]

    def end_all(self, at_us: int) -> list[Occurrence]:
        return [occurrence for key in sorted(self._open) for occurrence in self.end(key, at_us)]


class Lasting:
    """A condition that counts when it has held for `on_us`, until it has failed for `off_us`."""

    def __init__(self, on_us: int, off_us: int) -> None:
        self._on_us = on_us
        self._off_us = off_us
        self._since_us: int | None = None
        self._held_us = 0
        self.counts = False

    def see(self, at_us: int, holds: bool) -> bool:
        """Whether it counts now."""
        if holds:
            if self._since_us is None or (not self.counts and at_us - self._held_us > _FORGIVEN_US):
                self._since_us = at_us
            self._held_us = at_us
            if at_us - self._since_us >= self._on_us:
                self.counts = True
        elif at_us - self._held_us >= (self._off_us if self.counts else min(self._off_us, _FORGIVEN_US)):
            self._since_us = None
            self.counts = False
        return self.counts

    @property
    def held_us(self) -> int:
        """When it last held."""
        return self._held_us

    def reset(self) -> None:
        self._since_us = None
        self.counts = False
