"""Reads everything now and then, slowly, so that a disk that forgets is found out while there may be another copy."""

from __future__ import annotations

import threading

import structlog

from vms.contracts.catalogue import CatalogueRow, RecordingsCatalogue, Work
from vms.contracts.clock import Clock
from vms.storage.chain import Chain
from vms.storage.chain_lines import ChainCheck
from vms.storage.pace import Pace
from vms.storage.verification import Progress, Verification

log = structlog.get_logger(__name__)
DAY_US = 86_400_000_000


class Scrub:
    """A chore. Files in the object storage are left to whoever orders a verification: reading them costs money."""

    def __init__(
        self,
        verification: Verification,
        catalogue: RecordingsCatalogue,
        chain: Chain,
        clock: Clock,
        *,
        every_days: int = 30,
        max_bytes_per_s: int = 20_000_000,
    ) -> None:
        self._verification = verification
        self._catalogue = catalogue
        self._chain = chain
        self._clock = clock
        self._every_us = every_days * DAY_US
        self._pace = Pace(max_bytes_per_s, clock.monotonic_s)
        # Chains are looked at once a day; camera → when.
        self._chains_checked_us: dict[str, int] = {}

    def run(self, stopping: threading.Event) -> None:
        """Verifies every file that is due. What was verified before a restart is not due again."""
        for camera_id in self._chain.cameras():
            if stopping.is_set():
                return
            self._check_chain(camera_id, stopping)
        chained: ChainCheck | None = None
        camera_id = ""
        progress = self._progress(stopping)
        for row in self._catalogue.everything():
            if stopping.is_set():
                return
            if not self._is_due(row):
                continue
            if chained is None or camera_id != row.file.camera_id:
                camera_id = row.file.camera_id
                chained = self._check_chain(camera_id, stopping, anew=True)
                progress = self._progress(stopping)
            # Of now, not of when the pass began: a file may have gone by rule meanwhile.
            now = self._catalogue.get(camera_id, row.file.name)
            if now is not None and now.removal_number is None:
                known = chained.files.get(row.file.name) if chained is not None else None
                self._verification.check_one(now, known, self._pace, progress)

    def _is_due(self, row: CatalogueRow) -> bool:
        if not row.file.sealed or row.file.sha256 is None or row.file.object_key is not None:
            return False
        return row.verified_at_us is None or row.verified_at_us < self._clock.now_us() - self._every_us

    def _check_chain(self, camera_id: str, stopping: threading.Event, *, anew: bool = False) -> ChainCheck | None:
        now_us = self._clock.now_us()
        if not anew and now_us - self._chains_checked_us.get(camera_id, 0) < DAY_US:
            return None
        self._chains_checked_us[camera_id] = now_us
        progress = self._progress(stopping)
        checked = self._verification.check_chain(camera_id, progress)
        for finding in progress.work.findings:
            log.error(
                "a chain is damaged", camera_id=camera_id, day=finding.day, line=finding.line, reason=finding.detail
            )
        return checked

    def _progress(self, stopping: threading.Event) -> Progress:
        return Progress(Work(id="", what="verification", started_us=self._clock.now_us()), cancelled=stopping)
