"""Which of a camera's units are decoded: decisions alone, no picture is touched.

A unit between key frames needs all before it, back to the key frame. So they are kept as they come, and decoded
together when one of them is to be shown; what the next key frame makes needless never is. Where nothing changes even
the pictures that are due wait for the key frame, as long as the sizes of the units say that nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass

from vms.adapters.frames.pacing import WAKING_ACTIVITY, Pace, SizeWatch
from vms.contracts.frames import Sampling
from vms.contracts.tap import TappedUnit

# What is kept undecoded at most. Decoding it must not take longer than a picture may come late.
_MOST_UNITS = 300
_MOST_BYTES = 2 << 20
_LONGEST_CATCH_UP_S = 0.4
# Between looks at a scene whose sizes jump though nothing is seen.
_PROBE_US = 400_000
# Pictures that never come out of the decoder.
_MOST_AWAITED = 32


@dataclass(frozen=True)
class Feed:
    """A unit to decode now. `wanted`: its picture is to be shown; `fresh`: the decoder has missed some before it."""

    unit: TappedUnit
    wanted: bool
    fresh: bool


class Sampler:
    """One camera's. `take` every unit; tell what became of it by `is_wanted`, `see` and `lose`."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._pace = Pace(sampling)
        self._sizes = SizeWatch()
        # Undecoded, whether others need them.
        self._kept: list[tuple[TappedUnit, bool]] = []
        self._kept_bytes = 0
        # Units make no sense before the next key frame; the decoder missed some before this one.
        self._broken_off = True
        self._has_hole = True
        self._key_us: int | None = None
        self._key_period_us = 0
        self._probing = False
        self._awaited: set[int] = set()
        # What decoding a unit takes, as measured by whoever does it.
        self.unit_cost_s = 0.0
        self.missed = 0

    def change(self, sampling: Sampling) -> None:
        """Other settings."""
        self._sampling = sampling
        self._pace.change(sampling)

    def begin_anew(self) -> None:
        """The units that follow are others."""
        self._pace.begin_anew()
        self._sizes.forget()
        self._drop_kept()
        self._broken_off = True
        self._key_us, self._key_period_us = None, 0
        self._awaited.clear()

    @property
    def kept_bytes(self) -> int:
        """Of units that are not decoded yet."""
        return self._kept_bytes

    def skip(self, unit: TappedUnit) -> None:
        """A unit that there is no time for, and with it what needs it."""
        self.missed += 1 + unit.dropped
        self._broken_off = True
        self._drop_kept()

    @property
    def is_resting(self) -> bool:
        """Nothing changes: key frames do."""
        return self._sampling.longest_rest_s > 0 and not self._pace.is_active and self._sizes.is_learned

    def take(self, unit: TappedUnit, *, disposable: bool) -> list[Feed]:
        """What is to be decoded now, in order. `disposable`: no other unit needs this one."""
        self.missed += unit.dropped
        if unit.key:
            return self._take_key(unit)
        if self._sampling.key_frames_only:
            self._has_hole = True
            return []
        if unit.dropped or self._broken_off:
            self._broken_off = True
            self.missed += 1
            self._drop_kept()
            return []
        if self._pace.is_active:
            self._sizes.forget()
        jumped = self._sizes.see(unit.utc_us, len(unit.data))
        self._keep(unit, disposable)
        wanted = self._is_wanted_between_keys(unit.utc_us, jumped=jumped)
        # Whoever reorders gives a picture only when more have come.
        if wanted or self._awaited or self._is_full():
            return self._feed_kept(wanted=wanted)
        return []

    def is_wanted(self, pts: int) -> bool:
        """Whether the picture that came out of the decoder is to be shown; to be asked once."""
        if pts not in self._awaited:
            return False
        self._awaited.discard(pts)
        return True

    def see(self, at_us: int, activity: float) -> None:
        """What a picture showed."""
        self._pace.see(at_us, activity)
        if activity >= WAKING_ACTIVITY:
            self._probing = False

    def lose(self) -> None:
        """A unit was refused: what was wanted may not come."""
        self._awaited.clear()
        self._pace.lose()

    def _take_key(self, unit: TappedUnit) -> list[Feed]:
        at_us = unit.utc_us
        if self._key_us is not None and not unit.dropped:
            self._key_period_us = max(0, at_us - self._key_us)
        self._key_us = at_us
        self._sizes.see_key(at_us)
        self._broken_off = False
        self._drop_kept()
        # Where key frames are enough, the one nearest to when a picture is due.
        wanted = self._pace.is_due(at_us, ahead_us=self._key_period_us // 2 if self._are_keys_enough() else 0)
        self._keep(unit, disposable=False)
        return self._feed_kept(wanted=wanted) if wanted or self._awaited else []

    def _are_keys_enough(self) -> bool:
        """Key frames come at least as often as pictures are wanted."""
        return 0 < self._key_period_us <= self._pace.period_us

    def _is_wanted_between_keys(self, at_us: int, *, jumped: bool) -> bool:
        since_us = self._pace.since_last_us(at_us)
        if self.is_resting:
            if jumped:
                self._probing = True
            if self._probing and (since_us is None or since_us >= min(_PROBE_US, self._pace.period_us)):
                self._probing = False
                return True
            return since_us is None or since_us >= self._sampling.longest_rest_s * 1e6
        if self._are_keys_enough() and self._key_us is not None and at_us < self._key_us + 2 * self._key_period_us:
            # The next key frame comes in time; when it is long overdue, this one does.
            return False
        return self._pace.is_due(at_us)

    def _keep(self, unit: TappedUnit, disposable: bool) -> None:
        self._kept.append((unit, disposable))
        self._kept_bytes += len(unit.data)

    def _is_full(self) -> bool:
        return (
            len(self._kept) >= _MOST_UNITS
            or self._kept_bytes > _MOST_BYTES
            or len(self._kept) * self.unit_cost_s > _LONGEST_CATCH_UP_S
        )

    def _feed_kept(self, *, wanted: bool) -> list[Feed]:
        last = self._kept[-1][0]
        if wanted:
            self._pace.pick(last.utc_us)
            if len(self._awaited) >= _MOST_AWAITED:
                self._awaited.clear()
            self._awaited.add(last.pts)
        feeds: list[Feed] = []
        for unit, disposable in self._kept:
            if disposable and not (unit is last and (wanted or self._awaited)):
                continue
            # What is awaited would be lost where the decoder began anew.
            fresh = unit.key and self._has_hole and not (self._awaited - {last.pts})
            feeds.append(Feed(unit, wanted and unit is last, fresh))
            self._has_hole = False
        self._kept, self._kept_bytes = [], 0
        return feeds

    def _drop_kept(self) -> None:
        if self._kept:
            self._has_hole = True
        self._kept, self._kept_bytes = [], 0
