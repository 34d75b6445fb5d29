"""Whether something stands still, by its box."""

from __future__ import annotations

from vms.ai.geometry import box_area, common_area, overlap
from vms.domain.motion import Box

# Boxes of the same thing in the same place share so much, or one of them is most of the other (it is half hidden).
_SAME_OVERLAP = 0.4
_PART_OF_IT = 0.75
# Elsewhere for so long: it has moved, and it was not one bad box.
_MOVED_US = 2_000_000


def same_place(one: Box, other: Box) -> bool:
    """Whether two boxes are of something that has not moved."""
    common = common_area(one, other)
    if common <= 0:
        return False
    return overlap(one, other) >= _SAME_OVERLAP or common >= _PART_OF_IT * min(box_area(one), box_area(other))


class Stillness:
    """One thing's: where it stands and since when. What moves on begins anew, where it is two seconds later."""

    __slots__ = ("_away_us", "box", "since_us")

    def __init__(self, at_us: int, box: Box) -> None:
        self.box = box
        self.since_us = at_us
        self._away_us: int | None = None

    def see(self, at_us: int, box: Box) -> None:
        if same_place(self.box, box):
            self._away_us = None
        elif self._away_us is None:
            self._away_us = at_us
        elif at_us - self._away_us >= _MOVED_US:
            self.box, self.since_us, self._away_us = box, at_us, None

    @property
    def here(self) -> bool:
        """It was where it stands when it was last seen."""
        return self._away_us is None

    def still_us(self, at_us: int) -> int:
        """For how long it has stood; 0 while it is elsewhere."""
        return at_us - self.since_us if self._away_us is None else 0
