"""How often pictures are wanted, and whether the sizes of units tell that something happens: decisions alone."""

from __future__ import annotations

from vms.contracts.frames import Sampling

# Share of the picture that has to change before pictures come at the full rate, and that keeps them coming.
WAKING_ACTIVITY = 0.003
KEEPING_ACTIVITY = 0.002
# So long after the last change the full rate goes on.
QUIET_US = 3_000_000
# A picture that comes a little early is taken: cameras' clocks jitter.
_EARLY = 0.1


class Pace:
    """When the next picture is due: `least_fps` where nothing changes, `most_fps` at once where something does."""

    def __init__(self, sampling: Sampling) -> None:
        self._last_us: int | None = None
        self._active_until_us: int | None = None
        self._now_us = 0
        self.change(sampling)

    def change(self, sampling: Sampling) -> None:
        """Other settings."""
        self._shortest_us = round(1e6 / sampling.most_fps)
        self._longest_us = max(self._shortest_us, round(1e6 / sampling.least_fps))

    @property
    def is_active(self) -> bool:
        """Something changes, or did until lately. So it begins: what is there already is to be seen soon."""
        return self._active_until_us is None or self._now_us < self._active_until_us

    @property
    def period_us(self) -> int:
        """Between pictures, as things are."""
        return self._shortest_us if self.is_active else self._longest_us

    @property
    def shortest_us(self) -> int:
        """Between pictures at the full rate."""
        return self._shortest_us

    def since_last_us(self, at_us: int) -> int | None:
        """From the last picture that was picked; None for the first, and after the clock went back."""
        if self._last_us is None or at_us < self._last_us - self._longest_us:
            return None
        return at_us - self._last_us

    def is_due(self, at_us: int, *, ahead_us: int = 0) -> bool:
        """Whether a picture of that time is wanted; `ahead_us` early, where none other would come in time."""
        since_us = self.since_last_us(at_us)
        if since_us is None:
            return True
        period_us = self.period_us
        return since_us >= period_us - max(ahead_us, round(period_us * _EARLY))

    def pick(self, at_us: int) -> None:
        """A picture of that time is taken. Steadily: one that comes early or late does not move those after it."""
        since_us = self.since_last_us(at_us)
        period_us = self.period_us
        if since_us is not None and self._last_us is not None and abs(since_us - period_us) <= period_us // 2:
            self._last_us += period_us
        else:
            self._last_us = at_us

    def lose(self) -> None:
        """The picture that was picked did not come: the next one is due."""
        self._last_us = None

    def see(self, at_us: int, activity: float) -> None:
        """How much changed up to a picture."""
        if self._active_until_us is None or at_us < self._now_us - QUIET_US:
            self._active_until_us = at_us + QUIET_US
        self._now_us = at_us
        if self.is_active:
            if activity >= KEEPING_ACTIVITY:
                self._active_until_us = at_us + QUIET_US
        elif activity >= WAKING_ACTIVITY:
            self._active_until_us = at_us + QUIET_US
            # At once, whatever was planned.
            self._last_us = at_us

    def begin_anew(self) -> None:
        """What comes is another scene."""
        self._last_us = None
        self._active_until_us = None


# Of deviations from the mean size: what is usual, what a unit counts for at most, and how much in a row is a jump.
_USUAL = 1.5
_MOST = 6.0
_JUMP = 8.0
# How much of a new size goes into the mean.
_SHARE = 1 / 30
# Units closer than this together, and so many for so long, make a mean.
_CLOSE_US = 300_000
_LEARNED_UNITS = 10
_LEARNED_US = 1_000_000
# Units are larger just after a key frame, as they mend what it lost: these have a mean of their own.
_AFTER_KEY_US = 500_000
_LEARNED_UNITS_AFTER_KEY = 4


class _Sizes:
    """Their running mean, and how far from it they are."""

    def __init__(self) -> None:
        self.seen = 0
        self._mean = 0.0
        self._deviation = 0.0

    def see(self, size_bytes: int) -> float:
        """How unusually large that is, in deviations."""
        if self.seen == 0:
            self._mean, self._deviation = float(size_bytes), size_bytes / 4
        self.seen += 1
        deviation = max(self._deviation, 0.05 * self._mean, 16.0)
        away = max(-_MOST / 2, min(_MOST, (size_bytes - self._mean) / deviation))
        # The first ones are averaged.
        share = max(_SHARE, 1 / (self.seen + 1))
        self._mean += share * away * deviation
        self._deviation += share * (abs(away) * deviation - self._deviation)
        return away


class SizeWatch:
    """Units between key frames of a still scene are small and alike. When several in a row are larger than they use to
    be, something happens (CUSUM: Page, Continuous Inspection Schemes, 1954)."""

    def __init__(self) -> None:
        self._key_us: int | None = None
        self._last_us: int | None = None
        self._excess = 0.0
        self.forget()

    @property
    def is_learned(self) -> bool:
        """Whether it knows what is usual."""
        return (
            self._sizes.seen >= _LEARNED_UNITS
            and self._last_us is not None
            and self._last_us - self._since_us >= _LEARNED_US
        )

    def forget(self) -> None:
        """What is usual is learned anew."""
        self._sizes, self._sizes_after_key = _Sizes(), _Sizes()
        self._since_us = 0
        self._excess = 0.0

    def see_key(self, at_us: int) -> None:
        """A key frame."""
        self._key_us = self._last_us = at_us

    def see(self, at_us: int, size_bytes: int) -> bool:
        """Whether sizes have jumped with this unit, which is no key frame; then it begins to count anew."""
        if self._last_us is not None and abs(at_us - self._last_us) > _CLOSE_US:
            # Too far apart to tell of a jump in time.
            self.forget()
        self._last_us = at_us
        if self._key_us is not None and 0 <= at_us - self._key_us < _AFTER_KEY_US:
            away = self._sizes_after_key.see(size_bytes)
            if self._sizes_after_key.seen <= _LEARNED_UNITS_AFTER_KEY:
                return False
        else:
            if self._sizes.seen == 0:
                self._since_us = at_us
            away = self._sizes.see(size_bytes)
        self._excess = max(0.0, self._excess + away - _USUAL)
        if self._excess < _JUMP:
            return False
        self._excess = 0.0
        return self.is_learned
