"""Makes anew what is a cache of the files: the catalogue, the indexes, the cache of events. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from vms.contracts.catalogue import Finding, RebuildOrder, RecordingsCatalogue
from vms.contracts.clock import Clock
from vms.contracts.events import RebuildReport
from vms.contracts.files import FileReport
from vms.domain.errors import Failure
from vms.storage.cataloguing import Cataloguing
from vms.storage.pace import Pace
from vms.storage.verification import Progress, Verification

log = structlog.get_logger(__name__)


class IndexMaker(Protocol):
    """The part of `vms.contracts.files.ArchiveFiles` that makes indexes."""

    def rebuild_index(self, camera_id: str, name: str) -> FileReport: ...


class Rebuilding:
    """Rebuilds, while recording goes on. `indexes` is None where there is no media core to make them.

    `rebuild_events` makes the cache of events anew from their files; while it is None
    events are not rebuilt, and `skips_events` says so.
    """

    def __init__(
        self,
        cataloguing: Cataloguing,
        catalogue: RecordingsCatalogue,
        verification: Verification,
        clock: Clock,
        indexes: IndexMaker | None,
        rebuild_events: Callable[[], RebuildReport] | None = None,
    ) -> None:
        self._cataloguing = cataloguing
        self._catalogue = catalogue
        self._verification = verification
        self._clock = clock
        self._indexes = indexes
        self.rebuild_events = rebuild_events

    @property
    def skips_events(self) -> bool:
        """Whether the cache of events is left as it is."""
        return self.rebuild_events is None

    def run(self, order: RebuildOrder, progress: Progress) -> None:
        """Rebuilds what is ordered, then reports what the files show. Raises Failure."""
        if order.indexes and self._indexes is None:
            raise Failure("unavailable", "indexes are made by the media core, which is not installed here")
        rows = self._cataloguing.rebuild()
        progress.count(files_total=rows, files_done=0 if order.indexes else rows)
        if order.indexes:
            self._rebuild_indexes(order, progress)
        if self.rebuild_events is not None and not progress.cancelled.is_set():
            report = self.rebuild_events()
            progress.count(events_read=report.events)
            for problem in report.problems:
                progress.find(Finding(kind="unreadable", detail=problem))
        if not progress.cancelled.is_set():
            self._verification.inspect(progress)

    def _rebuild_indexes(self, order: RebuildOrder, progress: Progress) -> None:
        pace = Pace(order.max_bytes_per_s, self._clock.monotonic_s)
        for row in self._catalogue.everything():
            if progress.cancelled.is_set():
                return
            file = row.file
            if not file.sealed or file.object_key is not None or self._indexes is None:
                progress.count(files_skipped=1)
                continue
            try:
                report = self._indexes.rebuild_index(file.camera_id, file.name)
            except Failure as failure:
                # Gone or opened meanwhile is no fault; a video that cannot be read is found by name.
                if failure.kind not in {"not_found", "conflict"}:
                    progress.find(
                        Finding(
                            kind="unreadable", detail=failure.detail, camera_id=file.camera_id, name=file.name,
                            volume=file.volume, at_us=file.start_us, start_us=file.start_us, end_us=file.end_us,
                        )
                    )  # fmt: skip
                progress.count(files_done=1)
                continue
            if report.records_rebuilt:
                log.warning(
                    "an index was made anew", camera_id=file.camera_id, file=file.name, records=report.records_rebuilt
                )
            progress.count(
                files_done=1,
                bytes_done=report.bytes_read,
                indexes_rebuilt=1,
                records_rebuilt=report.records_rebuilt,
            )
            pace.spend(report.bytes_read, progress.cancelled)
