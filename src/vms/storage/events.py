"""Events: kept by group commit, found through the catalogue, told to whoever subscribed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from vms.contracts.clock import Clock
from vms.contracts.events import (
    AmendedEvent,
    EventChange,
    EventFiles,
    EventHour,
    EventPosition,
    EventQuery,
    EventRepository,
    HourFiles,
    JournalEntry,
    NewEvent,
    RebuildReport,
)
from vms.domain.errors import Failure
from vms.domain.events import (
    HOUR_US,
    LONGEST_EVENT_US,
    Event,
    EventAmendment,
    EventMark,
    check_amendment,
    check_event,
)
from vms.domain.recordings import Span
from vms.domain.time import SECOND_US
from vms.storage.chores import Chore
from vms.storage.event_rules import second_posting, settled

log = structlog.get_logger(__name__)
# A disk that takes longer for a batch is taken to hang: whoever waits is told so, and nobody begins to wait.
COMMIT_WAIT_S = 5.0
# Changes that subscribers have not taken yet; more are dropped for them.
MOST_UNTOLD = 10_000
DAY_US = 86_400 * SECOND_US
CHORE_PERIOD_S = 30.0


@dataclass(eq=False)
class _Commit:
    """A change on its way to the disk; also the right to decide about its event until it is there."""

    entry: JournalEntry | None = None
    event: Event | None = None
    kind: Literal["new", "changed"] = "new"
    failure: str | None = None
    done: threading.Event = field(default_factory=threading.Event)


class EventService:
    """Satisfies `vms.contracts.events.EventLog`."""

    def __init__(self, files: EventFiles, catalogue: EventRepository, clock: Clock) -> None:
        self._files = files
        self._catalogue = catalogue
        self._clock = clock
        # Held while files and catalogue change, so that neither runs ahead of the other.
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._undecided: dict[str, _Commit] = {}
        self._waiting: list[_Commit] = []
        self._batch_since_s: float | None = None
        # On the disk, but not in the catalogue, which refused: read again by the chore.
        self._unlisted: dict[str, Event] = {}
        self._stale: set[EventHour] = set()
        # Journals with damaged lines stay, by the length that they were found with.
        self._left_alone: dict[EventHour, int] = {}
        self._is_checked = False
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._subscribers: list[Callable[[EventChange], None]] = []
        self._untold: queue.Queue[EventChange | None] = queue.Queue(MOST_UNTOLD)

    def start(self) -> None:
        """Reads again what an earlier run wrote last, then takes events."""
        self._check(self._clock.now_us() - DAY_US)
        self._threads = [
            threading.Thread(target=self._commit_batches, name="event log", daemon=True),
            threading.Thread(target=self._tell, name="event subscribers", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Keeps what is on its way and ends."""
        with self._lock:
            self._stopping = True
            self._arrived.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)
        if self._writing.acquire(timeout=timeout_s):
            try:
                self._files.close()
            finally:
                self._writing.release()

    def chores(self) -> list[Chore]:
        """What the storage service does for the event log now and then."""
        return [Chore("events", CHORE_PERIOD_S, self.tidy)]

    def add(self, event: Event, *, fresh: bool = False) -> tuple[Event, EventChange | None]:
        check_event(event, self._clock.now_us())
        commit = self._claim(event.id)
        try:
            known = None if fresh else self._find(event.id)
            if known is None:
                return self._keep(commit, NewEvent(event), event, "new")
            amendment = second_posting(known, event)
            if amendment is None:
                return known, None
            return self._keep_amended(commit, known, amendment)
        finally:
            self._release(event.id, commit)

    def amend(self, event_id: str, amendment: EventAmendment) -> Event:
        commit = self._claim(event_id)
        try:
            known = self.get(event_id)
            check_amendment(known, amendment, self._clock.now_us())
            if amendment.apply(known) == known:
                return known
            return self._keep_amended(commit, known, amendment)[0]
        finally:
            self._release(event_id, commit)

    def get(self, event_id: str) -> Event:
        event = self._find(event_id)
        if event is None:
            raise Failure("not_found", "no event has this identifier", code="event-not-found")
        return event

    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> Sequence[Event]:
        return self._catalogue.page(query, before, limit)

    def marks(self, camera_id: str, start_us: int, end_us: int, limit: int) -> Sequence[EventMark]:
        return self._catalogue.marks(camera_id, start_us, end_us, limit)

    def finds_all(self, camera_id: str, span: Span) -> bool:
        with self._lock:
            return self._is_checked and not any(
                hour.camera_id == camera_id
                and hour.hour_us < span.end_us
                and hour.hour_us + HOUR_US > span.start_us - LONGEST_EVENT_US
                for hour in self._stale
            )

    def subscribe(self, callback: Callable[[EventChange], None]) -> Callable[[], None]:
        with self._lock:
            self._subscribers = [*self._subscribers, callback]

        def end() -> None:
            with self._lock:
                self._subscribers = [other for other in self._subscribers if other is not callback]

        return end

    def rebuild_events(self) -> RebuildReport:
        hours = events = 0
        problems: list[str] = []
        found = self._files.hours(None)
        for hour in found:
            try:
                count, damage = self._reread(hour)
            except Failure as failure:
                problems.append(failure.detail)
                continue
            hours, events = hours + 1, events + count
            problems += damage
        self._forget_others(found)
        return RebuildReport(hours=hours, events=events, problems=problems)

    def tidy(self, stopping: threading.Event) -> None:
        """Reads again what the catalogue missed, and moves the journals of hours that are over into Parquet."""
        if not self._is_checked:
            self._check(None, stopping)
            self._is_checked = not stopping.is_set()
        with self._lock:
            stale = sorted(self._stale)
        for hour in stale:
            self._reread_logged(hour)
        known = self._catalogue.hours()
        for hour in settled(known, self._clock.now_us()):
            if stopping.is_set():
                return
            if self._left_alone.get(hour) != known[hour].journal_bytes:
                self._compact(hour, known[hour])

    def _claim(self, event_id: str) -> _Commit:
        """Waits until nothing about this event is on its way; then nobody else decides about it before `_release`."""
        commit = _Commit()
        while True:
            with self._lock:
                other = self._undecided.setdefault(event_id, commit)
            if other is commit:
                return commit
            if not other.done.wait(COMMIT_WAIT_S):
                raise _no_answer()

    def _release(self, event_id: str, commit: _Commit) -> None:
        if commit.entry is not None and not commit.done.is_set():
            return  # Still on its way; the writer releases it.
        with self._lock:
            if self._undecided.get(event_id) is commit:
                del self._undecided[event_id]
        commit.done.set()

    def _find(self, event_id: str) -> Event | None:
        return self._unlisted.get(event_id) or self._catalogue.find(event_id)

    def _keep_amended(
        self, commit: _Commit, known: Event, amendment: EventAmendment
    ) -> tuple[Event, EventChange | None]:
        entry = AmendedEvent(known, amendment, self._clock.now_us())
        return self._keep(commit, entry, amendment.apply(known), "changed")

    def _keep(
        self, commit: _Commit, entry: JournalEntry, event: Event, kind: Literal["new", "changed"]
    ) -> tuple[Event, EventChange | None]:
        with self._lock:
            since_s = self._batch_since_s
            if since_s is not None and self._clock.monotonic_s() - since_s > COMMIT_WAIT_S:
                raise _no_answer()
            if self._stopping:
                raise Failure("unavailable", "the server is stopping")
            commit.entry, commit.event, commit.kind = entry, event, kind
            self._waiting.append(commit)
            self._arrived.notify()
        if not commit.done.wait(COMMIT_WAIT_S):
            raise _no_answer()
        if commit.failure is not None:
            detail = f"the event was not kept: {commit.failure}"
            raise Failure("unavailable", detail, code="events-not-written")
        return event, EventChange(event=event, kind=kind)

    def _commit_batches(self) -> None:
        """The writer: everything that waits shares one sync per journal and one transaction."""
        while True:
            with self._lock:
                while not self._waiting and not self._stopping:
                    self._arrived.wait()
                batch, self._waiting = self._waiting, []
                if not batch:
                    break
                self._batch_since_s = self._clock.monotonic_s()
            try:
                self._commit(batch)
            except Exception:
                # The writer must outlive whatever a batch does to it.
                log.exception("events not written")
                for commit in batch:
                    commit.failure = commit.failure or "an internal error; see the server's log"
            with self._lock:
                self._batch_since_s = None
                for commit in batch:
                    if commit.event is not None:
                        self._undecided.pop(commit.event.id, None)
            for commit in batch:
                commit.done.set()
            self._announce(batch)
        self._untold.put(None)

    def _commit(self, batch: Sequence[_Commit]) -> None:
        with self._writing:
            report = self._files.append([commit.entry for commit in batch if commit.entry is not None])
            for commit, failure in zip(batch, report.failures, strict=True):
                commit.failure = failure
            kept = [commit.event for commit in batch if commit.failure is None and commit.event is not None]
            if not kept:
                return
            try:
                self._catalogue.put(kept, report.files)
            except Failure as failure:
                # They are kept: the files say so at any start. Questions find them when the chore has read them.
                log.error("events not in the catalogue yet", count=len(kept), reason=failure.detail)
                with self._lock:
                    self._unlisted.update({event.id: event for event in kept})
                    self._stale.update(report.files)
                return
            for event in kept:
                self._unlisted.pop(event.id, None)

    def _announce(self, batch: Sequence[_Commit]) -> None:
        for commit in batch:
            if commit.failure is None and commit.event is not None:
                try:
                    self._untold.put_nowait(EventChange(event=commit.event, kind=commit.kind))
                except queue.Full:
                    log.warning("subscribers are slow: an event was not told", event_id=commit.event.id)

    def _tell(self) -> None:
        while True:
            change = self._untold.get()
            if change is None:
                return
            for subscriber in self._subscribers:
                try:
                    subscriber(change)
                except Exception:
                    # One subscriber's fault is not the others'.
                    log.exception("subscriber failed", event_id=change.event.id)

    def _check(self, from_us: int | None, stopping: threading.Event | None = None) -> None:
        """Reads the hours again whose files are not as the catalogue knows them."""
        known = self._catalogue.hours()
        found = self._files.hours(from_us)
        for hour in found:
            if stopping is not None and stopping.is_set():
                return
            try:
                with self._writing:
                    is_known = self._files.files_of(hour) == known.get(hour)
            except Failure as failure:
                log.error("events cannot be read", camera_id=hour.camera_id, reason=failure.detail)
                continue
            if not is_known:
                self._reread_logged(hour)
        if from_us is None:
            self._forget_others(found)

    def _forget_others(self, found: Sequence[EventHour]) -> None:
        """Forgets the hours whose files are gone."""
        for hour in self._catalogue.hours().keys() - set(found):
            with self._writing:
                if self._files.files_of(hour) == HourFiles():
                    self._catalogue.put_hour(hour, [], None)

    def _reread_logged(self, hour: EventHour) -> None:
        try:
            count, problems = self._reread(hour)
        except Failure as failure:
            log.error("events cannot be read", camera_id=hour.camera_id, reason=failure.detail)
            with self._lock:
                self._stale.add(hour)
            return
        log.info("events read again", camera_id=hour.camera_id, hour_us=hour.hour_us, events=count)
        for problem in problems:
            log.error("damaged event log", problem=problem)

    def _reread(self, hour: EventHour) -> tuple[int, list[str]]:
        with self._writing:
            self._files.files_of(hour)
            content = self._files.read(hour)
            self._catalogue.put_hour(hour, content.events, content.files)
            with self._lock:
                self._stale.discard(hour)
                for event in content.events:
                    self._unlisted.pop(event.id, None)
        return len(content.events), content.problems

    def _compact(self, hour: EventHour, files: HourFiles) -> None:
        try:
            compaction = self._files.prepare(hour)
            if compaction is None:
                self._left_alone[hour] = files.journal_bytes
                log.warning("journal left alone", camera_id=hour.camera_id, hour_us=hour.hour_us)
                return
            with self._writing:
                change = self._files.finish(compaction)
                if change is not None:
                    self._catalogue.put([], {hour: change})
        except Failure as failure:
            log.error("events not compacted", camera_id=hour.camera_id, reason=failure.detail)
            with self._lock:
                self._stale.add(hour)


def _no_answer() -> Failure:
    return Failure("unavailable", "the disk of the event log does not answer", code="events-not-written")
