"""The storage service's answer to "is everything that was recorded still there, as it was recorded?"."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence

import structlog

from vms.contracts.catalogue import (
    CheckOrder,
    Finding,
    IntegrityStatus,
    LineSigner,
    RebuildOrder,
    RecordingsCatalogue,
    Work,
)
from vms.contracts.clock import Clock
from vms.contracts.events import RebuildReport
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.storage.cataloguing import Cataloguing
from vms.storage.chain import Chain
from vms.storage.chores import Chore
from vms.storage.rebuilding import Rebuilding
from vms.storage.scrub import Scrub
from vms.storage.verification import Progress, Verification

log = structlog.get_logger(__name__)
# Results are kept for so many orders.
_KEPT = 20
_CATALOGUE_PERIOD_S = 2.0
_HASH_PERIOD_S = 30.0
_SCRUB_PERIOD_S = 3600.0


class IntegrityService:
    """Satisfies `vms.contracts.catalogue.Integrity`. `scrub` is None where nothing goes on in the background.
    `chains_at_once`: files are being closed, and chained when a verification begins."""

    def __init__(
        self,
        signer: LineSigner,
        catalogue: RecordingsCatalogue,
        chain: Chain,
        cataloguing: Cataloguing,
        verification: Verification,
        rebuilding: Rebuilding,
        clock: Clock,
        scrub: Scrub | None = None,
        *,
        chains_at_once: bool = True,
    ) -> None:
        self._signer = signer
        self._catalogue = catalogue
        self._chain = chain
        self._cataloguing = cataloguing
        self._verification = verification
        self._rebuilding = rebuilding
        self._clock = clock
        self._scrub = scrub
        self._chains_at_once = chains_at_once
        self._works: dict[str, Progress] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    @property
    def journal(self) -> Chain:
        """Where removals by rule are written down (`vms.contracts.catalogue.FileJournal`)."""
        return self._chain

    @property
    def catalogue(self) -> RecordingsCatalogue:
        """The rows of all recordings."""
        return self._catalogue

    def rebuild_events_with(self, rebuild: Callable[[], RebuildReport]) -> None:
        """What a rebuild makes the cache of events anew with."""
        self._rebuilding.rebuild_events = rebuild

    def chores(self) -> list[Chore]:
        """What the storage service does for it in the background."""
        chores = [
            Chore("catalogue", _CATALOGUE_PERIOD_S, self._cataloguing.run),
            Chore("hash recordings", _HASH_PERIOD_S, self._cataloguing.hash_unknown),
        ]
        if self._scrub is not None:
            chores.append(Chore("scrub", _SCRUB_PERIOD_S, self._scrub.run))
        return chores

    def status(self) -> IntegrityStatus:
        files = chained = verified = 0
        oldest_us: int | None = None
        for row in self._catalogue.everything():
            files += 1
            chained += row.chain_number is not None
            if row.verified_at_us is not None:
                verified += 1
                oldest_us = row.verified_at_us if oldest_us is None else min(oldest_us, row.verified_at_us)
        findings = list(self._catalogue.findings())
        with self._lock:
            running = [progress.work for progress in self._works.values() if progress.work.state == "running"]
        return IntegrityStatus(
            key_id=self._signer.key_id,
            files=files,
            files_chained=chained,
            files_verified=verified,
            files_damaged=_damaged(findings),
            oldest_verified_us=oldest_us,
            findings=findings,
            heads=list(self._catalogue.heads()),
            running=running,
        )

    def damaged_files(self) -> int:
        return _damaged(self._catalogue.findings())

    def public_key_pem(self) -> str:
        return self._signer.public_pem()

    def verify(self, order: CheckOrder) -> Work:
        def run(progress: Progress) -> None:
            # What was closed a moment ago is chained first, so that it is not taken for somebody else's. While no
            # server runs nothing was: what is not in a chain then is somebody else's.
            if self._chains_at_once:
                self._cataloguing.run(progress.cancelled)
            self._verification.run(order, progress)

        return self._start("verification", run)

    def rebuild(self, order: RebuildOrder) -> Work:
        return self._start("rebuild", lambda progress: self._rebuilding.run(order, progress))

    def work(self, work_id: str) -> Work:
        return self._progress(work_id).work

    def cancel(self, work_id: str) -> None:
        self._progress(work_id).cancelled.set()

    def wait(self, work_id: str, timeout_s: float | None = None) -> Work:
        """Until it has ended, or so long."""
        self._threads[work_id].join(timeout_s)
        return self.work(work_id)

    def stop(self, timeout_s: float) -> None:
        """Cancels what runs; it can be resumed."""
        for progress in list(self._works.values()):
            progress.cancelled.set()
        for thread in list(self._threads.values()):
            thread.join(timeout_s)

    def _progress(self, work_id: str) -> Progress:
        with self._lock:
            progress = self._works.get(work_id)
        if progress is None:
            raise Failure("not_found", "no verification or rebuild has this identifier", code="work-not-found")
        return progress

    def _start(self, what: str, run: Callable[[Progress], None]) -> Work:
        now_us = self._clock.now_us()
        work_id = make_id(now_us, secrets.token_bytes(8))
        progress = Progress(Work.model_validate({"id": work_id, "what": what, "started_us": now_us}))
        with self._lock:
            for other in self._works.values():
                if other.work.state == "running":
                    raise Failure(
                        "conflict", f"a {other.work.what} is running: wait for it or cancel it", code="work-running"
                    )
            for old in list(self._works)[: max(0, len(self._works) + 1 - _KEPT)]:
                del self._works[old]
                self._threads.pop(old, None)
            self._works[work_id] = progress
            thread = threading.Thread(target=self._follow, args=(progress, run), name=f"{what} {work_id}", daemon=True)
            self._threads[work_id] = thread
            thread.start()
        return progress.work

    def _follow(self, progress: Progress, run: Callable[[Progress], None]) -> None:
        error: str | None = None
        try:
            run(progress)
        except Failure as failure:
            error = failure.detail
        except Exception:
            log.exception("work failed", what=progress.work.what, id=progress.work.id)
            error = "an internal error; see the server's log"
        state = "failed" if error is not None else "cancelled" if progress.cancelled.is_set() else "done"
        with progress.lock:
            progress.work = progress.work.model_copy(
                update={"state": state, "error": error, "ended_us": self._clock.now_us()}
            )
        work = progress.work
        log.info("work ended", what=work.what, state=state, files=work.files_done, findings=len(work.findings))


def _damaged(findings: Sequence[Finding]) -> int:
    """Files and chains that something is wrong with, each once."""
    return len({(finding.camera_id, finding.name) for finding in findings if finding.is_damage})
