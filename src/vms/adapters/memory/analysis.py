"""What analysis found, and counts of it, in dictionaries."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Literal, NamedTuple

from vms.contracts.analysis import MINUTE_US, MOST_COUNTS, AnalysedFrame, Count, EventStill
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US
from vms.domain.recordings import Span

LARGEST_STILL_BYTES = 64 << 10


class MemoryAnalysisLog:
    """Satisfies `vms.contracts.analysis.AnalysisLog`."""

    def __init__(self) -> None:
        self._frames: dict[str, list[AnalysedFrame]] = {}
        self._stills: dict[tuple[str, str, int], EventStill] = {}
        self._lock = threading.Lock()

    def append(self, frame: AnalysedFrame) -> None:
        with self._lock:
            self._frames.setdefault(frame.camera_id, []).append(frame)

    def keep_still(self, camera_id: str, event_id: str, start_us: int, still: EventStill) -> None:
        if len(still.jpeg) > LARGEST_STILL_BYTES:
            raise Failure("invalid", f"a still of {len(still.jpeg)} bytes is too large", code="still-too-large")
        with self._lock:
            self._stills[camera_id, event_id, start_us // HOUR_US] = still

    def still(self, camera_id: str, event_id: str, start_us: int) -> EventStill:
        with self._lock:
            found = self._stills.get((camera_id, event_id, start_us // HOUR_US))
        if found is None:
            raise Failure("not_found", "there is no still of this event", code="no-still")
        return found

    def frames(self, camera_id: str, span: Span, limit: int) -> Sequence[AnalysedFrame]:
        with self._lock:
            known = self._frames.get(camera_id, [])
            found = [frame for frame in known if span.start_us <= frame.at_us < span.end_us]
        return sorted(found, key=lambda frame: frame.at_us)[:limit]

    def remove_before(self, camera_id: str, before_us: int) -> int:
        first_hour = before_us // HOUR_US
        with self._lock:
            known = self._frames.pop(camera_id, [])
            gone = {frame.at_us // HOUR_US for frame in known if frame.at_us // HOUR_US < first_hour}
            left = [frame for frame in known if frame.at_us // HOUR_US >= first_hour]
            if left:
                self._frames[camera_id] = left
            for key in [key for key in self._stills if key[0] == camera_id and key[2] < first_hour]:
                gone.add(key[2])
                del self._stills[key]
        return len(gone)

    def cameras(self) -> Sequence[str]:
        with self._lock:
            return sorted({*self._frames, *(key[0] for key in self._stills)})

    def close(self) -> None:
        pass


class _Key(NamedTuple):
    camera_id: str
    minute_us: int
    kind: Literal["seen", "crossed", "inside"]
    label: str
    rule_id: str
    direction: Literal["", "left", "right"]


@dataclass
class _Minute:
    count: int = 0
    means: list[float] = field(default_factory=list)
    peak: int = 0


class MemoryCounts:
    """Satisfies `vms.contracts.analysis.CountRepository`."""

    def __init__(self) -> None:
        self._minutes: dict[_Key, _Minute] = {}
        self._lock = threading.Lock()

    def add(self, counts: Sequence[Count]) -> None:
        with self._lock:
            for count in counts:
                minute_us = count.start_us // MINUTE_US * MINUTE_US
                key = _Key(count.camera_id, minute_us, count.kind, count.label, count.rule_id, count.direction)
                minute = self._minutes.setdefault(key, _Minute())
                minute.count += count.count
                minute.means.append(count.mean)
                minute.peak = max(minute.peak, count.peak)

    def counts(self, camera_ids: Sequence[str] | None, span: Span, step_us: int) -> Sequence[Count]:
        steps: dict[_Key, list[_Minute]] = {}
        with self._lock:
            for key, minute in self._minutes.items():
                wanted = camera_ids is None or key.camera_id in camera_ids
                if wanted and span.start_us <= key.minute_us < span.end_us:
                    start_us = key.minute_us - (key.minute_us - span.start_us) % step_us
                    steps.setdefault(key._replace(minute_us=start_us), []).append(minute)
        if len(steps) > MOST_COUNTS:
            raise Failure("invalid", f"there are more than {MOST_COUNTS} counts", code="too-many-counts")
        found = [
            Count(
                camera_id=key.camera_id,
                start_us=key.minute_us,
                kind=key.kind,
                label=key.label,
                rule_id=key.rule_id,
                direction=key.direction,
                count=sum(minute.count for minute in minutes),
                mean=mean(mean(minute.means) for minute in minutes),
                peak=max(minute.peak for minute in minutes),
            )
            for key, minutes in steps.items()
        ]
        found.sort(key=lambda count: (count.start_us, count.camera_id, count.kind, count.label))
        return found

    def drop(self, camera_id: str | None, before_us: int) -> None:
        with self._lock:
            for key in list(self._minutes):
                if camera_id in {None, key.camera_id} and key.minute_us < before_us:
                    del self._minutes[key]
