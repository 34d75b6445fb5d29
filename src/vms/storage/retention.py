"""Which recordings go, and why: a plan made of nothing but what it is given."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from vms.contracts.files import RecordedFile, VolumeStatus
from vms.domain.recordings import Span
from vms.domain.retention import DAY_US, Limits, Retention
from vms.storage.known_files import KnownFiles

Reason = Literal[
    "unwanted",  # a buffer's file that no event wanted
    "age",  # older than the camera's or group's days
    "thinned",  # of the main stream, older than main_days
    "camera_bytes",
    "group_bytes",
    "volume_age",
    "volume_bytes",
    "space",  # the volume is nearly full
    "last_reserve",  # as before, and only what was guaranteed is left
]
# The reasons for people.
WORDS: dict[Reason, str] = {
    "unwanted": "no event wanted it",
    "age": "older than the days of its camera",
    "thinned": "thinned: the sub stream stays",
    "camera_bytes": "more than the bytes of its camera",
    "group_bytes": "more than the bytes of its group",
    "volume_age": "older than the days of its volume",
    "volume_bytes": "more than the bytes of its volume",
    "space": "the volume was nearly full",
    "last_reserve": "the volume was at its last reserve",
}
# The sub stream covers so much of a file of the main stream before that may be thinned.
_COVERED = 0.9


@dataclass(frozen=True)
class CameraRule:
    """What counts for a camera, its group's limits taken in."""

    retention: Retention = field(default_factory=Retention)
    group_id: str | None = None


@dataclass(frozen=True)
class Rules:
    """All limits and locks. A camera without a rule (recordings of an unknown one) has no limits."""

    cameras: Mapping[str, CameraRule] = field(default_factory=dict)
    # Bytes that a group's cameras have together.
    group_bytes: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, Limits] = field(default_factory=dict)
    # Per camera, in order and apart: `vms.storage.locks.locked_spans`.
    locks: Mapping[str, Sequence[Span]] = field(default_factory=dict)


@dataclass(frozen=True)
class Removal:
    """A file that goes."""

    file: RecordedFile
    reason: Reason


def plan_removals(
    known: KnownFiles,
    rules: Rules,
    volumes: Sequence[VolumeStatus],
    now_us: int,
    *,
    by_age: bool = True,
    passed_over: Collection[tuple[str, str]] = (),
) -> list[Removal]:
    """What to remove now, in the order in which to do it.

    Never: what is being recorded, what is locked. For want of space, within bytes or by age never what is guaranteed
    (`min_days`), unless every volume that is recorded to is at its last reserve. `by_age` False: the clock is not to
    be believed. `passed_over`: (camera, name) of files that could not be removed lately.
    """
    turn = _Turn(known, rules, now_us, set(passed_over))
    if by_age:
        turn.remove_old()
        turn.thin()
        turn.remove_old_on_volumes()
    turn.fit_cameras()
    turn.fit_groups()
    turn.fit_volumes(volumes)
    turn.keep_space(volumes)
    return turn.removals


class _Turn:
    def __init__(self, known: KnownFiles, rules: Rules, now_us: int, passed_over: set[tuple[str, str]]) -> None:
        self._known = known
        self._rules = rules
        self._now_us = now_us
        self._gone = passed_over
        # Per camera and per (camera, volume), what is planned to go.
        self._freed: dict[str, int] = defaultdict(int)
        self._freed_on: dict[tuple[str, str], int] = defaultdict(int)
        self.removals: list[Removal] = []

    def remove_old(self) -> None:
        for (camera_id, _), files in self._known.streams().items():
            days = self._retention(camera_id).days
            if days is not None:
                self._remove_ended_before(files, self._now_us - days * DAY_US, "age")

    def thin(self) -> None:
        for (camera_id, stream), files in self._known.streams().items():
            days = self._retention(camera_id).main_days
            subs = self._known.stream(camera_id, "sub")
            if stream != "main" or days is None or not subs:
                continue
            ended = takewhile(lambda file, days=days: file.end_us < self._now_us - days * DAY_US, files)  # type: ignore[misc]
            for file in [file for file in ended if self._may_go(file) and self._covered(file, subs)]:
                self._remove(file, "thinned")

    def remove_old_on_volumes(self) -> None:
        limits = {name: limit.days for name, limit in self._rules.volumes.items() if limit.days is not None}
        if not limits:
            return
        for files in self._known.streams().values():
            for name, days in limits.items():
                for file in self._ended_before(files, self._now_us - days * DAY_US):
                    if file.volume == name and file.object_key is None and self._may_go(file):
                        self._remove(file, "volume_age")

    def fit_cameras(self) -> None:
        for camera_id in self._known.cameras():
            limit = self._retention(camera_id).max_bytes
            if limit is not None:
                self._shrink(self._bytes_of(camera_id) - limit, {camera_id: self._bytes_of(camera_id)}, "camera_bytes")

    def fit_groups(self) -> None:
        if not self._rules.group_bytes:
            return
        members: dict[str, dict[str, int]] = defaultdict(dict)
        for camera_id in self._known.cameras():
            rule = self._rules.cameras.get(camera_id)
            if rule is not None and rule.group_id is not None and rule.group_id in self._rules.group_bytes:
                members[rule.group_id][camera_id] = self._bytes_of(camera_id)
        for group_id, sizes in members.items():
            self._shrink(sum(sizes.values()) - self._rules.group_bytes[group_id], sizes, "group_bytes")

    def fit_volumes(self, volumes: Sequence[VolumeStatus]) -> None:
        for volume in volumes:
            limit = self._rules.volumes.get(volume.name)
            if limit is not None and limit.max_bytes is not None and volume.state != "missing":
                sizes = self._bytes_on(volume.name)
                self._shrink(sum(sizes.values()) - limit.max_bytes, sizes, "volume_bytes", volume=volume.name)

    def keep_space(self, volumes: Sequence[VolumeStatus]) -> None:
        """Frees from twice the reserve to three times. At a quarter above the reserve, where the recorder is about to
        stop, what was guaranteed goes too, unless it can record elsewhere."""
        usable = [volume for volume in volumes if volume.state in {"ok", "full"}]
        for volume in usable:
            free_bytes = self._free(volume)
            if free_bytes < 2 * volume.reserve_bytes:
                wanted = 3 * volume.reserve_bytes - free_bytes
                self._shrink(wanted, self._bytes_on(volume.name), "space", volume=volume.name)
        recorded_to = [volume for volume in usable if volume.weight > 0 and volume.tier == "fast"]
        if any(not self._at_last_reserve(volume) for volume in recorded_to):
            return
        for volume in recorded_to:
            self._break_guarantee(volume)

    def _at_last_reserve(self, volume: VolumeStatus) -> bool:
        return 4 * self._free(volume) < 5 * volume.reserve_bytes

    def _break_guarantee(self, volume: VolumeStatus) -> None:
        """The oldest of all cameras, until half the reserve more is free."""
        oldest = heapq.merge(
            *(self._oldest(camera_id, volume.name, guaranteed=True) for camera_id in self._bytes_on(volume.name)),
            key=lambda file: file.start_us,
        )
        for file in oldest:
            if 2 * self._free(volume) >= 3 * volume.reserve_bytes:
                return
            self._remove(file, "last_reserve")

    def _shrink(self, by_bytes: int, sizes: Mapping[str, int], reason: Reason, *, volume: str | None = None) -> None:
        """Removes the oldest files of the camera that has most, again and again: whoever fills the disk pays for it,
        and does not push out what the others recorded."""
        heap = [(-size, camera_id) for camera_id, size in sizes.items()]
        heapq.heapify(heap)
        oldest = {camera_id: self._oldest(camera_id, volume, guaranteed=False) for camera_id in sizes}
        while by_bytes > 0 and heap:
            size, camera_id = heapq.heappop(heap)
            file = next(oldest[camera_id], None)
            if file is None:
                continue
            self._remove(file, reason)
            by_bytes -= file.size_bytes
            heapq.heappush(heap, (size + file.size_bytes, camera_id))

    def _oldest(self, camera_id: str, volume: str | None, *, guaranteed: bool) -> Iterator[RecordedFile]:
        """What may go of a camera (on a volume), the oldest first."""
        streams = [self._known.stream(camera_id, stream) for stream in ("main", "sub")]
        for file in heapq.merge(*streams, key=lambda file: file.start_us):
            if volume is not None and (file.volume != volume or file.object_key is not None):
                continue
            if not guaranteed and self._is_guaranteed(file):
                return
            if self._may_go(file, guaranteed=guaranteed):
                yield file

    def _is_guaranteed(self, file: RecordedFile) -> bool:
        days = self._retention(file.camera_id).min_days
        return days is not None and file.end_us > self._now_us - days * DAY_US

    def _remove_ended_before(self, files: Sequence[RecordedFile], before_us: int, reason: Reason) -> None:
        for file in self._ended_before(files, before_us):
            if self._may_go(file):
                self._remove(file, reason)

    def _ended_before(self, files: Sequence[RecordedFile], before_us: int) -> Iterator[RecordedFile]:
        """Files are in order of their starts: none that begins later ended before."""
        return (file for file in takewhile(lambda file: file.start_us < before_us, files) if file.end_us < before_us)

    def _may_go(self, file: RecordedFile, *, guaranteed: bool = False) -> bool:
        if not file.sealed or (file.camera_id, file.name) in self._gone:
            return False
        if not guaranteed and self._is_guaranteed(file):
            return False
        locked = self._rules.locks.get(file.camera_id, ())
        index = bisect_right(locked, file.end_us, key=lambda span: span.start_us)
        return index == 0 or locked[index - 1].end_us <= file.start_us

    def _covered(self, file: RecordedFile, subs: Sequence[RecordedFile]) -> bool:
        """Whether the sub stream was recorded (and stays) at nearly all of a main file's time."""
        index = max(0, bisect_right(subs, file.start_us, key=lambda sub: sub.start_us) - 1)
        covered_us = 0
        for sub in takewhile(lambda sub: sub.start_us < file.end_us, subs[index : index + 200]):
            if (sub.camera_id, sub.name) not in self._gone:
                covered_us += max(0, min(sub.end_us, file.end_us) - max(sub.start_us, file.start_us))
        return covered_us >= _COVERED * (file.end_us - file.start_us)

    def _remove(self, file: RecordedFile, reason: Reason) -> None:
        self._gone.add((file.camera_id, file.name))
        self._freed[file.camera_id] += file.size_bytes
        if file.object_key is None:
            self._freed_on[file.camera_id, file.volume] += file.size_bytes
        self.removals.append(Removal(file, reason))

    def _retention(self, camera_id: str) -> Retention:
        rule = self._rules.cameras.get(camera_id)
        return _NO_LIMITS if rule is None else rule.retention

    def _bytes_of(self, camera_id: str) -> int:
        return self._known.bytes_of(camera_id) - self._freed[camera_id]

    def _bytes_on(self, volume: str) -> dict[str, int]:
        return {
            camera_id: size - self._freed_on[camera_id, volume]
            for camera_id, size in self._known.bytes_on(volume).items()
        }

    def _free(self, volume: VolumeStatus) -> int:
        freed = sum(size for (_, name), size in self._freed_on.items() if name == volume.name)
        return volume.free_bytes + freed


_NO_LIMITS = Retention()
