"""Which picture of an event is kept: the one that shows best what the event is about. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from vms.domain.motion import Box
from vms.domain.vision import Track

# A picture must be so much better than the one before it to be made at all.
_BETTER = 1.3
# Of events that go on; the one that was longest without a better picture is no longer looked at.
MOST_OPEN = 512


def worth(track: Track) -> float:
    """How well a picture shows something: large and certain; what is cut off by the picture's edge counts half."""
    box = track.box
    area = max(0.0, box.right - box.left) * max(0.0, box.bottom - box.top)
    is_cut = box.left <= 0.005 or box.right >= 0.995 or box.top <= 0.005 or box.bottom >= 0.995
    return area * track.score * (0.5 if is_cut else 1.0)


@dataclass(frozen=True)
class Wanted:
    """A still to be made of the picture at hand."""

    event_id: str
    start_us: int
    box: Box | None


@dataclass
class _Open:
    event_id: str
    start_us: int
    track: int
    worth: float


class BestStills:
    """The events of one camera that go on, and how good their stills are."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def __contains__(self, event_id: str) -> bool:
        """Whether a better picture may come."""
        return event_id in self._open

    def begin(self, event_id: str, start_us: int, track: int, shown: Track | None) -> list[str]:
        """An event about a track began; its first still is made. Others that are not looked at any more for it."""
        self._open[event_id] = _Open(event_id, start_us, track, worth(shown) if shown is not None else 0.0)
        return [self._open.popitem(last=False)[0] for _ in range(len(self._open) - MOST_OPEN)]

    def end(self, event_id: str) -> bool:
        """It is over; whether it went on."""
        return self._open.pop(event_id, None) is not None

    def open_events(self) -> list[str]:
        """Those that go on."""
        return list(self._open)

    def see(self, tracks: Sequence[Track]) -> tuple[list[Wanted], list[str]]:
        """What of a picture is better than what there is, and the events that are over since their track is gone."""
        if not self._open:
            return [], []
        shown = {track.number: track for track in tracks}
        wanted, over = [], []
        for known in list(self._open.values()):
            track = shown.get(known.track)
            if track is None:
                over.append(known.event_id)
                del self._open[known.event_id]
            elif track.seen and worth(track) > known.worth * _BETTER:
                known.worth = worth(track)
                wanted.append(Wanted(known.event_id, known.start_us, track.box))
        return wanted, over
