"""Events: the service that everybody asks, the files that keep them, the catalogue that finds them. Times are µs since
the Unix epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from vms.domain.events import Event, EventAmendment, EventMark
from vms.domain.recordings import Span


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class EventChange(_Value):
    """An event that is new, or was changed, and is safe on the disk."""

    event: Event
    kind: Literal["new", "changed"]


class EventQuery(_Value):
    """Which events are wanted; what is None or empty does not limit."""

    camera_ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    # Events that go on within [start_us, end_us): see Event.touches.
    start_us: int | None = None
    end_us: int | None = None
    # Each must occur in the text or the type, without regard to case; `vms.domain.events.search_words` makes them.
    words: tuple[str, ...] = ()
    # Those without an end alone.
    is_open: bool = False


class EventPosition(NamedTuple):
    """An event's place in the order of lists: by start, then by identifier."""

    start_us: int
    event_id: str


class RebuildReport(_Value):
    """What making the catalogue of events anew found."""

    hours: int = 0
    events: int = 0
    # One sentence each, naming the file: a damaged line, a file that cannot be read.
    problems: list[str] = []


class EventLog(Protocol):
    """What the storage service offers: events that are kept, found and told of."""

    def add(self, event: Event, *, fresh: bool = False) -> tuple[Event, EventChange | None]:
        """Keeps an event and returns when it is on the disk: the event as it is kept, and what changed (None for one
        that was there already). The identifier of an open event with an end closes it. `fresh`: the identifier was made
        just now, so that nothing needs to be looked up.

        Raises FieldFailure for one that cannot be, Failure(conflict, event-exists) when the identifier stands for
        another event, Failure(unavailable, events-not-written) when the disk refuses.
        """
        ...

    def amend(self, event_id: str, amendment: EventAmendment) -> Event:
        """Changes an event; returns when that is on the disk. Raises what `add` raises, Failure(not_found),
        Failure(conflict, event-ended) for another end of one that has ended."""
        ...

    def get(self, event_id: str) -> Event:
        """Raises Failure(not_found, event-not-found)."""
        ...

    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> Sequence[Event]:
        """At most `limit` events, newest start first, from the first one before `before`."""
        ...

    def marks(self, camera_id: str, start_us: int, end_us: int, limit: int) -> Sequence[EventMark]:
        """The newest `limit` events of a camera that go on within [start_us, end_us), newest start first."""
        ...

    def finds_all(self, camera_id: str, span: Span) -> bool:
        """Whether `page` finds every event of a camera that is safe on the disk and goes on within a span. After a
        start, and while the catalogue refuses, it may not for a while."""
        ...

    def subscribe(self, callback: Callable[[EventChange], None]) -> Callable[[], None]:
        """Calls `callback` for every event that is new or changed, once it is safe, in that order; the result ends it.

        Calls come from one thread that serves all subscribers and holds up no acknowledgement: return soon, and expect
        to miss some when you do not (they are in `page`).
        """
        ...

    def rebuild_events(self) -> RebuildReport:
        """Makes the catalogue anew from the files."""
        ...


@dataclass(frozen=True)
class NewEvent:
    """A line for the journal: the event."""

    event: Event


@dataclass(frozen=True)
class AmendedEvent:
    """A line for the journal: what changes of an event. `event` is how it was before."""

    event: Event
    amendment: EventAmendment
    at_us: int


JournalEntry = NewEvent | AmendedEvent


class EventHour(NamedTuple):
    """What one camera's events of one UTC hour are kept under."""

    camera_id: str
    hour_us: int


class HourFiles(_Value):
    """The files of an hour as they are at a moment; equal ones hold the same events."""

    journal_bytes: int = 0
    parquet_bytes: int = 0
    parquet_modified_ns: int = 0


class HourContent(_Value):
    """The events of an hour, and the files that they were read from."""

    files: HourFiles
    events: list[Event] = []
    problems: list[str] = []


class FilesChange(NamedTuple):
    """The files of an hour before and after something was written."""

    before: HourFiles
    after: HourFiles


class AppendReport(NamedTuple):
    """What became of a batch: per entry None or why it is not kept, and the files of the hours written to."""

    failures: list[str | None]
    files: dict[EventHour, FilesChange]


class Compaction(NamedTuple):
    """A Parquet file that was written aside, to take the place of an hour's files as they were then."""

    hour: EventHour
    files: HourFiles


class EventFiles(Protocol):
    """The files that are the truth about events: a journal per camera and UTC hour, Parquet once the hour is over.

    Only `read`, `hours` and `prepare` may run beside another call.
    """

    def append(self, entries: Sequence[JournalEntry]) -> AppendReport:
        """Writes the entries; those without a failure survive whatever happens now."""
        ...

    def hours(self, from_us: int | None) -> Sequence[EventHour]:
        """The hours that there are files of; with `from_us` those of its UTC day and later."""
        ...

    def files_of(self, hour: EventHour) -> HourFiles:
        """The present state; cuts the torn tail of a journal that is not being written to."""
        ...

    def read(self, hour: EventHour) -> HourContent:
        """Raises Failure(malformed) when the Parquet file cannot be read, Failure(unavailable) when the disk fails."""
        ...

    def prepare(self, hour: EventHour) -> Compaction | None:
        """Writes aside the Parquet file that holds the hour's journal too; None when there is no journal, or one with
        damaged lines, which stays for whoever looks into it. Raises what `read` raises."""
        ...

    def finish(self, compaction: Compaction) -> FilesChange | None:
        """Puts the Parquet file in place and removes the journal; None when it was written to meanwhile."""
        ...

    def close(self) -> None: ...


class EventRepository(Protocol):
    """The catalogue of events: a cache of the files for questions."""

    def put(self, events: Sequence[Event], files: Mapping[EventHour, FilesChange]) -> None:
        """Adds or replaces the events, and notes the new state of their hours' files where the one before was known
        (of an hour not known: no files); all or nothing."""
        ...

    def put_hour(self, hour: EventHour, events: Sequence[Event], files: HourFiles | None) -> None:
        """Replaces everything known of an hour; None forgets the hour."""
        ...

    def hours(self) -> dict[EventHour, HourFiles]:
        """Every hour known, and the state of its files then."""
        ...

    def find(self, event_id: str) -> Event | None: ...

    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> Sequence[Event]:
        """At most `limit` events, newest start first, from the first one before `before`."""
        ...

    def marks(self, camera_id: str, start_us: int, end_us: int, limit: int) -> Sequence[EventMark]:
        """The newest `limit` events of a camera that go on within [start_us, end_us), newest start first."""
        ...
