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

    def begin(self, event_id: str, start_us: int, track: int, shown: Track | None) -> None:
        """An event about a track began; its first still is made."""
        self._open[event_id] = _Open(event_id, start_us, track, worth(shown) if shown is not None else 0.0)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)

    def end(self, event_id: str) -> None:
        """It is over, or was never to be looked at again."""
        self._open.pop(event_id, None)

    def see(self, tracks: Sequence[Track]) -> list[Wanted]:
        """What of a picture is better than what there is."""
        if not self._open:
            return []
        shown = {track.number: track for track in tracks if track.seen}
        wanted = []
        for known in self._open.values():
            track = shown.get(known.track)
            if track is None or worth(track) < known.worth * _BETTER or worth(track) <= 0:
                continue
            known.worth = worth(track)
            wanted.append(Wanted(known.event_id, known.start_us, track.box))
        return wanted
