"""Which files of a buffer are kept: those that something wanted, with the time before and after it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from vms.contracts.files import RecordedFile
from vms.contracts.keeping import ManualRecording, RecordingSpan
from vms.domain.recording_policy import Wanted
from vms.domain.recordings import Span
from vms.domain.time import SECOND_US

# A file of a buffer is judged when it ended so long before the time before an event: a minute for the file that the
# event's time before begins in, two for events that are told late.
SLACK_US = 180 * SECOND_US
# Files of a buffer have a minute and what is left of a group of pictures. Anything longer was never one, whatever the
# spans say.
LONGEST_BUFFERED_US = 600 * SECOND_US
# The end of what goes on.
_FOREVER_US = 1 << 62


class Happening(Protocol):
    """What the decision needs of an event."""

    @property
    def type(self) -> str: ...

    @property
    def start_us(self) -> int: ...

    @property
    def end_us(self) -> int | None: ...


def wanted_spans(wanted: Wanted, events: Iterable[Happening], manual: Iterable[ManualRecording]) -> list[Span]:
    """What is kept of a buffer, in order and apart: around each event that is wanted, and what an operator started
    with the time before it. What goes on has no end yet."""
    before_us, after_us = wanted.pre_event_s * SECOND_US, wanted.post_event_s * SECOND_US
    found = [
        (event.start_us - before_us, _FOREVER_US if event.end_us is None else event.end_us + after_us)
        for event in events
        if wanted.wants(event.type)
    ]
    found += [(entry.start_us - before_us, _FOREVER_US if entry.end_us is None else entry.end_us) for entry in manual]
    merged: list[tuple[int, int]] = []
    for start_us, end_us in sorted(found):
        if merged and start_us <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_us))
        else:
            merged.append((start_us, end_us))
    return [Span(start_us=start_us, end_us=end_us) for start_us, end_us in merged]


def ripe(file: RecordedFile, spans: Sequence[RecordingSpan], now_us: int) -> list[RecordingSpan]:
    """The buffered spans that a file is to be judged by now; empty when it is not to be judged: it is being recorded,
    too young, judged already, or touches a span in which everything was kept.

    `spans` are those of the file's stream. A file outside all of them (of a time before anybody remembered) stays.
    """
    if not file.sealed or file.end_us - file.start_us > LONGEST_BUFFERED_US:
        return []
    touched = [
        span for span in spans if span.start_us <= file.end_us and (span.end_us is None or file.start_us <= span.end_us)
    ]
    for span in touched:
        if span.kind == "continuous" or span.wanted is None or file.end_us <= span.judged_us:
            return []
        if file.end_us > now_us - span.wanted.pre_event_s * SECOND_US - SLACK_US:
            return []
    return touched


def is_wanted(file: RecordedFile, wanted: Mapping[str, Sequence[Span]], judged_by: Iterable[RecordingSpan]) -> bool:
    """Whether anything that one of the spans wants touches the file; `wanted` is by the span's identifier."""
    return any(_touches(wanted[span.id], file) for span in judged_by)


def question(files: Sequence[RecordedFile], judged_by: Iterable[RecordingSpan]) -> Span:
    """The span of time whose events decide about these files."""
    parameters = [span.wanted for span in judged_by if span.wanted is not None]
    before_us = max((wanted.pre_event_s for wanted in parameters), default=0) * SECOND_US
    after_us = max((wanted.post_event_s for wanted in parameters), default=0) * SECOND_US
    return Span(
        start_us=min(file.start_us for file in files) - after_us - 1,
        end_us=max(file.end_us for file in files) + before_us + 1,
    )


def _touches(wanted: Sequence[Span], file: RecordedFile) -> bool:
    index = bisect_right(wanted, file.end_us, key=lambda span: span.start_us)
    return index > 0 and wanted[index - 1].end_us >= file.start_us
