"""Keeps to the limits: every few seconds it looks at what changed, decides, and removes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from vms.contracts.catalog import CameraRepository
from vms.contracts.catalogue import FileJournal
from vms.contracts.clock import Clock
from vms.contracts.files import ArchiveFiles, RecordedFile, VolumeStatus
from vms.contracts.keeping import (
    FormerCameraRepository,
    GroupRepository,
    LockRepository,
    ManualRecording,
    RecordingHistory,
    RecordingSpan,
)
from vms.contracts.objects import ObjectStorage
from vms.contracts.storage import CameraReport, KeepingReport, Removed, VolumeReport
from vms.domain.errors import Failure
from vms.domain.recordings import Span
from vms.domain.retention import DAY_US, Limits, Retention, stricter
from vms.domain.time import SECOND_US
from vms.storage import forecast, keeping
from vms.storage.clock_watch import ClockWatch
from vms.storage.keeping import Happening
from vms.storage.known_files import KnownFiles, StreamKey
from vms.storage.locks import locked_spans
from vms.storage.retention import WORDS, CameraRule, Reason, Removal, Rules, plan_removals

log = structlog.get_logger(__name__)
# How long a file that could not be removed is left alone.
_AGAIN_AFTER_S = 60.0
# How often it is written down up to when buffers were judged; less is judged again after a restart.
_NOTE_EVERY_S = 600.0
_TIDY_EVERY_S = 3600.0
_SETTLED_AFTER_S = 15.0
_REPORT_WAIT_S = 1.0
_PAGE = 500

# What happened at a camera within a span of time, open events included.
Happenings = Callable[[str, Span], Iterable[Happening]]


def nothing_happens(_: str, __: Span) -> Iterable[Happening]:
    """Where no events are kept."""
    return ()


class Keeper:
    """Satisfies `vms.contracts.storage.Keeping`; `turn` is a chore.

    What goes is written down in the journal first: nothing goes unseen.
    """

    def __init__(
        self,
        files: ArchiveFiles,
        cameras: CameraRepository,
        groups: GroupRepository,
        locks: LockRepository,
        former: FormerCameraRepository,
        history: RecordingHistory,
        clock: Clock,
        *,
        happenings: Happenings = nothing_happens,
        volume_limits: Mapping[str, Limits] | None = None,
        journal: FileJournal | None = None,
        objects: ObjectStorage | None = None,
    ) -> None:
        self._files = files
        self._cameras = cameras
        self._groups = groups
        self._locks = locks
        self._former = former
        self._history = history
        self._clock = clock
        self._happenings = happenings
        self._volume_limits = dict(volume_limits or {})
        self._journal = journal
        self._objects = objects
        self._known = KnownFiles()
        self._clock_watch = ClockWatch()
        self._by_age = True
        self._rules = Rules()
        # Per buffered span, up to when its files were judged; see RecordingSpan.judged_us.
        self._judged_us: dict[str, int] = {}
        self._noted_us: dict[str, int] = {}
        self._note_at_s = 0.0
        self._tidy_at_s = 0.0
        # Files that could not be removed, and when to try again.
        self._failed: dict[tuple[str, str], float] = {}
        self._removed: dict[str, Removed] = {}
        # Per volume, what should be free after the last removals, and until when to count on it.
        self._expected: dict[str, tuple[int, float]] = {}
        self._report = KeepingReport()
        # A turn and a report do not meet.
        self._lock = threading.Lock()

    def turn(self, stopping: threading.Event) -> None:
        """Looks, decides, removes. Raises Failure when something that it needs does not answer: then nothing that
        hangs on it was removed, but whatever does not."""
        with self._lock:
            self._look()
            unanswered = self._try_to_drop_unwanted(stopping) if self._by_age else None
            volumes = self._settled(self._files.volumes())
            removals = plan_removals(
                self._known,
                self._rules,
                volumes,
                self._clock.now_us(),
                by_age=self._by_age,
                passed_over=self._failed.keys(),
            )
            self._carry_out(removals, stopping)
            self._expect(volumes, removals)
            self._note_judged()
            self._tidy(volumes)
            if unanswered is not None:
                raise unanswered

    def report(self) -> KeepingReport:
        # A turn that removes thousands of files does not hold up whoever looks: they see what was seen last.
        if not self._lock.acquire(timeout=_REPORT_WAIT_S):
            return self._report
        try:
            self._look()
            now_us = self._clock.now_us()
            rates = {key: self._rate(key, now_us) for key in self._known.streams()}
            self._report = KeepingReport(
                volumes=[self._volume_report(volume, rates, now_us) for volume in self._files.volumes()],
                cameras=[self._camera_report(camera_id, rates, now_us) for camera_id in self._known.cameras()],
                removed=dict(self._removed),
                removes_by_age=self._by_age,
            )
            return self._report
        finally:
            self._lock.release()

    def _settled(self, volumes: Sequence[VolumeStatus]) -> list[VolumeStatus]:
        """The volumes with the space that the last turn freed: file systems take their time to say so, and until then
        the same space must not be freed again with other recordings."""
        now_s = self._clock.monotonic_s()
        self._expected = {name: entry for name, entry in self._expected.items() if entry[1] > now_s}
        return [
            volume.model_copy(update={"free_bytes": max(volume.free_bytes, self._expected[volume.name][0])})
            if volume.name in self._expected
            else volume
            for volume in volumes
        ]

    def _expect(self, volumes: Sequence[VolumeStatus], removals: Sequence[Removal]) -> None:
        until_s = self._clock.monotonic_s() + _SETTLED_AFTER_S
        for volume in volumes:
            freed_bytes = sum(
                removal.file.size_bytes
                for removal in removals
                if removal.file.volume == volume.name
                and removal.file.object_key is None
                and (removal.file.camera_id, removal.file.name) not in self._failed
            )
            if freed_bytes > 0:
                self._expected[volume.name] = (volume.free_bytes + freed_bytes, until_s)

    def _look(self) -> None:
        self._known.apply(self._files.file_changes(self._known.revision))
        now_us, monotonic_s = self._clock.now_us(), self._clock.monotonic_s()
        newest_us = max((files[-1].end_us for files in self._known.streams().values()), default=None)
        self._by_age = self._clock_watch.is_believed(now_us, monotonic_s, newest_us)
        self._rules = self._read_rules()
        self._failed = {key: again_s for key, again_s in self._failed.items() if again_s > monotonic_s}

    def _locked(self) -> Mapping[str, Sequence[Span]]:
        # A clock that is not believed ends no lock.
        return locked_spans(self._locks.unreleased(), self._clock.now_us() if self._by_age else None)

    def _read_rules(self) -> Rules:
        groups = {group.id: group for group in self._groups.all()}

        def rule(retention: Retention, group_id: str | None) -> CameraRule:
            group = groups.get(group_id) if group_id is not None else None
            return CameraRule(stricter(retention, None if group is None else group.retention), group_id)

        rules: dict[str, CameraRule] = {}
        after: str | None = None
        while page := self._cameras.page(after, _PAGE):
            rules.update({camera.id: rule(camera.retention, camera.group_id) for camera in page})
            after = page[-1].id
        # Last: a camera that is removed meanwhile is among these before it is gone from those.
        for former in self._former.all():
            rules.setdefault(former.id, rule(former.retention, former.group_id))
        return Rules(
            cameras=rules,
            group_bytes={
                group.id: group.retention.max_bytes
                for group in groups.values()
                if group.retention.max_bytes is not None
            },
            volumes=self._volume_limits,
            locks=self._locked(),
        )

    def _try_to_drop_unwanted(self, stopping: threading.Event) -> Failure | None:
        """Why buffers could not be judged: the disk must not fill up for that."""
        try:
            self._drop_unwanted(stopping)
        except Failure as failure:
            return failure
        return None

    def _drop_unwanted(self, stopping: threading.Event) -> None:
        """Removes what buffers hold and nothing wanted."""
        now_us = self._clock.now_us()
        spans: dict[StreamKey, list[RecordingSpan]] = defaultdict(list)
        for span in self._history.spans():
            judged_us = self._judged_us.get(span.id, span.judged_us)
            spans[span.camera_id, span.stream].append(span.model_copy(update={"judged_us": judged_us}))
        ripe: dict[str, list[tuple[RecordedFile, list[RecordingSpan]]]] = defaultdict(list)
        reached: dict[str, int] = {}
        for (camera_id, stream), theirs in spans.items():
            due = [span for span in theirs if span.kind == "buffered" and not _is_done(span)]
            if not due:
                continue
            longest_s = max(span.wanted.pre_event_s if span.wanted else 0 for span in due)
            limit_us = now_us - longest_s * SECOND_US - keeping.SLACK_US
            from_us = min(max(span.start_us, span.judged_us) for span in due) - keeping.LONGEST_BUFFERED_US
            for file in self._known.since(camera_id, stream, from_us):
                if not file.sealed:
                    limit_us = min(limit_us, file.start_us)
                judged_by = keeping.ripe(file, theirs, now_us)
                if judged_by:
                    ripe[camera_id].append((file, judged_by))
            # Not the later of this and before: a clock that was set back must not leave a mark in the future.
            reached.update(dict.fromkeys((span.id for span in due), limit_us))
        unsettled, unanswered = self._drop_ripe(ripe, stopping)
        for key in unsettled:
            for span in spans[key]:
                reached.pop(span.id, None)
        self._judged_us.update(reached)
        if unanswered is not None:
            raise unanswered

    def _drop_ripe(
        self, ripe: Mapping[str, list[tuple[RecordedFile, list[RecordingSpan]]]], stopping: threading.Event
    ) -> tuple[set[StreamKey], Failure | None]:
        """The streams of which something is still to be judged, and the first failure on the way."""
        unsettled: set[StreamKey] = set()
        unanswered: Failure | None = None
        for camera_id, files in ripe.items():
            try:
                complete = not stopping.is_set() and self._drop_unwanted_of(camera_id, files, stopping)
            except Failure as failure:
                # One camera's trouble is its own.
                complete, unanswered = False, unanswered or failure
            if not complete:
                unsettled.update((camera_id, file.stream) for file, _ in files)
        return unsettled, unanswered

    def _drop_unwanted_of(
        self, camera_id: str, files: list[tuple[RecordedFile, list[RecordingSpan]]], stopping: threading.Event
    ) -> bool:
        """Whether all that was to go is gone."""
        judges = {span.id: span for _, judged_by in files for span in judged_by}
        asked = keeping.question([file for file, _ in files], judges.values())
        events = list(self._happenings(camera_id, asked))
        manual: Sequence[ManualRecording] = self._history.manual(camera_id)
        wanted = {
            span.id: keeping.wanted_spans(span.wanted, events, manual)
            for span in judges.values()
            if span.wanted is not None
        }
        unwanted = [
            Removal(file, "unwanted")
            for file, judged_by in files
            if not keeping.is_wanted(file, wanted, judged_by) and not _is_locked(file, self._rules.locks)
        ]
        return self._carry_out(unwanted, stopping)

    def _carry_out(self, removals: Sequence[Removal], stopping: threading.Event) -> bool:
        """Removes in order; whether all of it is gone."""
        removed: dict[str, Removed] = {}
        refused: list[Failure] = []
        complete = True
        for removal in removals:
            file = removal.file
            if stopping.is_set():
                return False
            # Thousands of files take minutes: what was locked since the plan was made stays.
            if _is_locked(file, self._locked()):
                continue
            if (file.camera_id, file.name) in self._failed:
                complete = False
                continue
            try:
                self._write_down(file, removal.reason)
                if file.object_key is not None and self._objects is not None:
                    # First: what only its key leads to would lie there for ever.
                    self._objects.remove(file.object_key)
                freed_bytes = self._files.remove_file(file.camera_id, file.name)
            except Failure as failure:
                if failure.kind != "not_found":
                    self._failed[file.camera_id, file.name] = self._clock.monotonic_s() + _AGAIN_AFTER_S
                    complete = False
                    refused.append(failure)
                    continue
                freed_bytes = 0
            self._known.drop(file.camera_id, file.name)
            for counted in (removed, self._removed):
                before = counted.get(removal.reason, Removed())
                counted[removal.reason] = Removed(files=before.files + 1, size_bytes=before.size_bytes + freed_bytes)
        if refused:
            # A disk that refuses one refuses thousands.
            log.warning("recordings not removed", files=len(refused), reason=refused[0].detail)
        for reason, figures in removed.items():
            say = log.error if reason == "last_reserve" else log.info
            say("recordings removed", reason=reason, files=figures.files, size_bytes=figures.size_bytes)
        return complete

    def _write_down(self, file: RecordedFile, reason: Reason) -> None:
        """Says that a file goes. Where it cannot be said the file stays, unless recording would have to stop for it:
        then it goes, and verifying will call it missing. Raises Failure."""
        if self._journal is None:
            return
        try:
            self._journal.on_removed(file, WORDS[reason], "retention")
        except Failure as failure:
            if reason not in {"space", "last_reserve"}:
                raise
            log.error(
                "a recording goes unwritten, for want of space",
                camera_id=file.camera_id,
                file=file.name,
                reason=failure.detail,
            )

    def _note_judged(self) -> None:
        if self._clock.monotonic_s() < self._note_at_s:
            return
        self._note_at_s = self._clock.monotonic_s() + _NOTE_EVERY_S
        news = {span_id: at_us for span_id, at_us in self._judged_us.items() if self._noted_us.get(span_id) != at_us}
        if news:
            self._history.judge_spans(news)
            self._noted_us.update(news)

    def _tidy(self, volumes: Sequence[VolumeStatus]) -> None:
        """Forgets spans, operators' recordings and removed cameras that no recording is left of."""
        if self._clock.monotonic_s() < self._tidy_at_s or not self._by_age:
            return
        if any(volume.state == "missing" for volume in volumes):
            # Recordings that lie there are not known of now, and come back with the volume.
            return
        self._tidy_at_s = self._clock.monotonic_s() + _TIDY_EVERY_S
        old_us = self._clock.now_us() - 2 * DAY_US
        oldest: dict[str, int] = {}
        for (camera_id, _), files in self._known.streams().items():
            oldest[camera_id] = min(files[0].start_us, oldest.get(camera_id, files[0].start_us))

        def is_past(camera_id: str, end_us: int | None) -> bool:
            return end_us is not None and end_us < min(old_us, oldest.get(camera_id, old_us))

        spans = [span.id for span in self._history.spans() if is_past(span.camera_id, span.end_us)]
        if spans:
            self._history.remove_spans(spans)
        for span_id in spans:
            self._judged_us.pop(span_id, None)
            self._noted_us.pop(span_id, None)
        manual = [entry.id for entry in self._history.manual() if is_past(entry.camera_id, entry.end_us)]
        if manual:
            self._history.remove_manual(manual)
        for camera in self._former.all():
            if camera.id not in oldest and camera.removed_us < old_us:
                self._former.remove(camera.id)

    def _rate(self, key: StreamKey, now_us: int) -> float:
        return forecast.bytes_per_day(self._known.since(*key, now_us - DAY_US), now_us) or 0.0

    def _volume_report(self, volume: VolumeStatus, rates: Mapping[StreamKey, float], now_us: int) -> VolumeReport:
        growth: list[forecast.Growth] = []
        oldest_us: list[int] = []
        for (camera_id, stream), files in self._known.streams().items():
            recent = list(self._known.since(camera_id, stream, now_us - DAY_US))
            there = sum(file.size_bytes for file in recent if file.volume == volume.name)
            every = sum(file.size_bytes for file in recent)
            first = next((file for file in files if file.volume == volume.name), None)
            if first is not None:
                oldest_us.append(first.start_us)
            rate = rates[camera_id, stream] * there / every if every else 0.0
            if rate > 0:
                growth.append(forecast.Growth(rate, self._room(camera_id, rate, rates, now_us)))
        return VolumeReport(
            status=volume,
            bytes_per_day=sum(camera.bytes_per_day for camera in growth) if growth else None,
            forecast=forecast.forecast(volume.free_bytes - 2 * volume.reserve_bytes, growth),
            oldest_us=min(oldest_us, default=None),
        )

    def _room(self, camera_id: str, rate: float, rates: Mapping[StreamKey, float], now_us: int) -> float | None:
        """A stream's part of what its camera may still add."""
        rule = self._rules.cameras.get(camera_id)
        whole = sum(rates.get((camera_id, stream), 0.0) for stream in ("main", "sub"))
        if rule is None or whole <= 0:
            return None
        oldest_us = min(
            files[0].start_us for stream in ("main", "sub") if (files := self._known.stream(camera_id, stream))
        )
        left = forecast.room(rule.retention, self._known.bytes_of(camera_id), oldest_us, whole, now_us)
        return None if left is None else left * rate / whole

    def _camera_report(self, camera_id: str, rates: Mapping[StreamKey, float], now_us: int) -> CameraReport:
        streams = [files for stream in ("main", "sub") if (files := self._known.stream(camera_id, stream))]
        rate = sum(rates.get((camera_id, stream), 0.0) for stream in ("main", "sub"))
        room_bytes = self._room(camera_id, rate, rates, now_us) if rate > 0 else None
        return CameraReport(
            camera_id=camera_id,
            size_bytes=self._known.bytes_of(camera_id),
            oldest_us=min(files[0].start_us for files in streams),
            newest_us=max(files[-1].end_us for files in streams),
            bytes_per_day=rate or None,
            days_left=None if room_bytes is None else room_bytes / rate,
        )


def _is_done(span: RecordingSpan) -> bool:
    """Every file of the span was judged: it ended, and no file of a buffer that began in it can end later."""
    return span.end_us is not None and span.judged_us > span.end_us + keeping.LONGEST_BUFFERED_US


def _is_locked(file: RecordedFile, locks: Mapping[str, Sequence[Span]]) -> bool:
    return any(span.start_us < file.end_us and file.start_us < span.end_us for span in locks.get(file.camera_id, ()))
