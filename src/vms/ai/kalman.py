"""Where a box is and how fast it goes, from sightings that are off by a little and come at any distance in time.

Lengths are in picture heights, times in seconds. The noise of the usual box filters is independent per coordinate, so a
filter of eight values falls apart into small ones, which plain arithmetic runs faster than matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

# As shares of the box's longer side. How far a sighting's centre and size are off (σ); how fast a thing may be when it
# is seen first (σ, per second); how much its speed wanders (σ², per second) and its size (σ², per second).
_CENTRE_NOISE = 0.05
_SIZE_NOISE = 0.08
_FIRST_SPEED = 1.0
_ACCELERATION = 0.5
_GROWTH = 0.04


@dataclass
class _Going:
    """A coordinate and its speed, with their variances."""

    place: float
    place_variance: float
    speed_variance: float
    speed: float = 0.0
    covariance: float = 0.0

    def wait(self, seconds: float, wander: float) -> None:
        self.place += self.speed * seconds
        self.place_variance += seconds * (2 * self.covariance + seconds * self.speed_variance) + wander * seconds**3 / 3
        self.covariance += seconds * self.speed_variance + wander * seconds**2 / 2
        self.speed_variance += wander * seconds

    def see(self, place: float, variance: float) -> None:
        off = place - self.place
        total = self.place_variance + variance
        place_gain, speed_gain = self.place_variance / total, self.covariance / total
        self.place += place_gain * off
        self.speed += speed_gain * off
        self.speed_variance -= speed_gain * self.covariance
        self.covariance *= 1 - place_gain
        self.place_variance *= 1 - place_gain


@dataclass
class _Staying:
    """A length that changes little, with its variance."""

    length: float
    variance: float

    def see(self, length: float, variance: float) -> None:
        gain = self.variance / (self.variance + variance)
        self.length += gain * (length - self.length)
        self.variance *= 1 - gain


class MovingBox:
    """A box at constant speed whose size wanders slowly."""

    def __init__(self, x: float, y: float, width: float, height: float) -> None:
        """Its centre and size as first seen."""
        scale = max(width, height)
        centre, speed, size = (_CENTRE_NOISE * scale) ** 2, (_FIRST_SPEED * scale) ** 2, (_SIZE_NOISE * scale) ** 2
        self._x, self._y = _Going(x, centre, speed), _Going(y, centre, speed)
        self._width, self._height = _Staying(width, size), _Staying(height, size)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        square = self.scale**2
        self._x.wait(seconds, _ACCELERATION * square)
        self._y.wait(seconds, _ACCELERATION * square)
        self._width.variance += _GROWTH * square * seconds
        self._height.variance += _GROWTH * square * seconds

    def see(self, x: float, y: float, width: float, height: float) -> None:
        """A sighting, now."""
        square = max(width, height) ** 2
        centre, size = _CENTRE_NOISE**2 * square, _SIZE_NOISE**2 * square
        self._x.see(x, centre)
        self._y.see(y, centre)
        self._width.see(width, size)
        self._height.see(height, size)

    @property
    def x(self) -> float:
        return self._x.place

    @property
    def y(self) -> float:
        return self._y.place

    @property
    def width(self) -> float:
        return self._width.length

    @property
    def height(self) -> float:
        return self._height.length

    @property
    def scale(self) -> float:
        """Its longer side."""
        return max(self._width.length, self._height.length)

    @property
    def spread(self) -> float:
        """How far from its centre a sighting may be expected (σ)."""
        return float((max(self._x.place_variance, self._y.place_variance) + (_CENTRE_NOISE * self.scale) ** 2) ** 0.5)
