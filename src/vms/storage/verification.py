"""Everything that was recorded against everything that lies there: chains, files, and what does not belong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from vms.contracts.catalogue import CatalogueRow, CheckOrder, Finding, FindingKind, RecordingsCatalogue, Work
from vms.contracts.clock import Clock
from vms.contracts.files import ArchiveFiles
from vms.domain.errors import Failure
from vms.domain.time import format_time, parse_time
from vms.storage import archive_paths, index_reading
from vms.storage.chain import Chain
from vms.storage.chain_lines import ChainCheck, ChainedFile
from vms.storage.file_check import Expected, Outcome, check_file
from vms.storage.pace import Pace
from vms.storage.survey import Placed, index_beside, survey

log = structlog.get_logger(__name__)
# More findings are counted, not listed.
MOST_FINDINGS = 1000
_HOUR_US = 3_600_000_000
# name → directory of every volume that is there.
Volumes = Callable[[], Mapping[str, Path]]


@dataclass
class Progress:
    """A verification under way, shared by its threads."""

    work: Work
    cancelled: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, **more: int) -> None:
        """Adds to counters of the work."""
        with self.lock:
            self.work = self.work.model_copy(update={name: getattr(self.work, name) + by for name, by in more.items()})

    def count_bytes(self, size_bytes: int) -> None:
        """Bytes were read."""
        self.count(bytes_done=size_bytes)

    def find(self, finding: Finding) -> None:
        """Keeps a finding."""
        with self.lock:
            if len(self.work.findings) < MOST_FINDINGS:
                self.work = self.work.model_copy(update={"findings": [*self.work.findings, finding]})
            else:
                more = self.work.findings_left_out + 1
                self.work = self.work.model_copy(update={"findings_left_out": more})


@dataclass(frozen=True)
class _Item:
    expected: Expected
    size_bytes: int
    object_key: str | None = None


class Verification:
    """Verifies the archive. `files` is the running archive; None while no server runs."""

    def __init__(
        self,
        chain: Chain,
        catalogue: RecordingsCatalogue,
        volumes: Volumes,
        clock: Clock,
        files: ArchiveFiles | None = None,
    ) -> None:
        self._chain = chain
        self._catalogue = catalogue
        self._volumes = volumes
        self._clock = clock
        self._files = files

    def run(self, order: CheckOrder, progress: Progress) -> None:
        """Verifies what is ordered; what it finds goes to `progress` and to the catalogue. Raises Failure."""
        since_us = self._begin(order, progress)
        items = self._unverified(self._inspect(order, progress), since_us, progress)
        progress.count(files_total=len(items), bytes_total=sum(item.size_bytes for item in items))
        self._check_all(items, order.jobs, Pace(order.max_bytes_per_s, self._clock.monotonic_s), progress)
        if not progress.cancelled.is_set():
            self._catalogue.note(_key(order), None)

    def inspect(self, progress: Progress) -> None:
        """Finds what shows without reading a recording: chains, what is missing, foreign, double or alone."""
        self._inspect(CheckOrder(), progress)

    def _inspect(self, order: CheckOrder, progress: Progress) -> list[_Item]:
        items: list[_Item] = []
        found = survey(self._volumes(), order.camera_id)
        for finding in found.findings:
            progress.find(finding)
        videos: dict[str, dict[str, list[Placed]]] = {}
        for video in found.videos:
            videos.setdefault(video.camera_id, {}).setdefault(video.name, []).append(video)
        cameras = set(videos) | {index.camera_id for index in found.lone_indexes} | set(self._chain.cameras())
        if order.camera_id is not None:
            cameras &= {order.camera_id}
        for camera_id in sorted(cameras):
            if progress.cancelled.is_set():
                break
            chained = self.check_chain(camera_id, progress)
            theirs = videos.get(camera_id, {})
            items.extend(self._plan(camera_id, theirs, chained, order, progress))
            lone = [index for index in found.lone_indexes if index.camera_id == camera_id]
            self._find_lone_indexes(lone, theirs, progress)
        return items

    def check_chain(self, camera_id: str, progress: Progress) -> ChainCheck:
        """Goes along a camera's chain; its findings replace those that stood."""
        try:
            checked = self._chain.check(camera_id)
        except Failure as failure:
            checked = ChainCheck(
                findings=[Finding(kind="chain_unreadable", detail=failure.detail, camera_id=camera_id, day="", line=1)]
            )
        progress.count(chain_lines=checked.lines)
        self._catalogue.remove_findings(camera_id)
        for finding in checked.findings:
            progress.find(finding)
            # Under the camera alone, so that the next look at the chain can take it back.
            self._catalogue.put_finding(finding.model_copy(update={"name": None}))
        return checked

    def check_one(self, row: CatalogueRow, chained: ChainedFile | None, pace: Pace, progress: Progress) -> None:
        """Checks the file of a row of the catalogue, as the scrub does."""
        item = _Item(_expected_of(row, chained), row.file.size_bytes, row.file.object_key)
        self._check(item, pace, progress)

    def _begin(self, order: CheckOrder, progress: Progress) -> int | None:
        """Since when a file that was found whole need not be read again."""
        noted = self._catalogue.noted(_key(order))
        if order.resume and noted is not None:
            return parse_time(noted)
        self._catalogue.note(_key(order), format_time(progress.work.started_us))
        return None

    def _plan(
        self,
        camera_id: str,
        videos: Mapping[str, list[Placed]],
        chained: ChainCheck,
        order: CheckOrder,
        progress: Progress,
    ) -> Iterator[_Item]:
        """What of a camera is to be read; what shows without reading is found here."""
        hashes: dict[str, str] = {}
        for name in sorted(set(videos) | set(chained.files)):
            known = chained.files.get(name)
            row = self._catalogue.get(camera_id, name)
            if not _touches(order, name, known, row):
                continue
            places = videos.get(name) or self._look_again(camera_id, name)
            if known is not None and known.removed is None:
                yield from self._plan_chained(camera_id, name, known, row, places, progress)
                if known.adopted:
                    self._find(
                        progress, "adopted", "it was closed already when the server first saw it", camera_id, name
                    )
                double = hashes.setdefault(known.sha256, name)
                if double != name:
                    self._find(progress, "duplicate", f"the same bytes as {double}", camera_id, name)
            elif known is not None or name in chained.removed_unchained:
                if places:
                    why = known.removed if known is not None else "a rule"
                    self._find(progress, "left_over", f"it was removed by {why} and is there", camera_id, name)
            elif places and name not in chained.doubtful:
                yield from self._plan_unchained(camera_id, name, row, places, progress)
            if len(places) > 1:
                on = " and ".join(place.volume for place in places)
                self._find(progress, "duplicate", f"it lies on the volumes {on}", camera_id, name)

    def _plan_chained(
        self,
        camera_id: str,
        name: str,
        known: ChainedFile,
        row: CatalogueRow | None,
        places: list[Placed],
        progress: Progress,
    ) -> Iterator[_Item]:
        object_key = row.file.object_key if row is not None else None
        for place in places:
            expected = Expected(
                camera_id, name, place.volume, known.sha256, known.size_bytes, known.start_us, known.end_us
            )
            yield _Item(expected, place.size_bytes)
        if places:
            return
        row = self._catalogue.get(camera_id, name)
        if row is not None and row.removal_number is not None:
            return
        if object_key is not None and self._files is not None:
            expected = Expected(camera_id, name, "", known.sha256, known.size_bytes, known.start_us, known.end_us)
            yield _Item(expected, known.size_bytes, object_key)
            return
        kind: FindingKind = "missing"
        detail = "it was recorded, no rule removed it, and it is not there"
        if object_key is not None:
            kind, detail = "unreachable", "it lies in the object storage, which only a running server reads"
        elif row is not None and row.file.volume not in self._volumes():
            kind, detail = "unreachable", f"its volume {row.file.volume} is not there"
        finding = Finding(
            kind=kind, detail=detail, camera_id=camera_id, name=name, at_us=known.start_us,
            start_us=known.start_us, end_us=known.end_us,
        )  # fmt: skip
        progress.find(finding)
        if finding.is_damage and archive_paths.is_video(name):
            self._catalogue.put_finding(finding)

    def _plan_unchained(
        self, camera_id: str, name: str, row: CatalogueRow | None, places: list[Placed], progress: Progress
    ) -> Iterator[_Item]:
        """A file that the chain does not know: one being recorded, one whose hash is not known yet, or one that
        somebody put there."""
        place = places[0]
        if row is not None and (row.seen_open or self._files is not None):
            if row.file.sealed and row.file.sha256 is not None:
                yield _Item(_expected_of(row, None, place.volume), place.size_bytes)
            return
        try:
            index = index_beside(self._volumes()[place.volume], camera_id, name)
            is_sealed = index_reading.seal_of(index) is not None
        except (OSError, KeyError):
            is_sealed = True
        if not is_sealed or self._is_known_now(camera_id, name):
            return
        finding = Finding(
            kind="unchained", detail="no line of the chain says that it was recorded", camera_id=camera_id, name=name,
            volume=place.volume, at_us=_hour_of(name),
        )  # fmt: skip
        progress.find(finding)
        self._catalogue.put_finding(finding)

    def _is_known_now(self, camera_id: str, name: str) -> bool:
        """The archive has a file that the catalogue has not heard of yet."""
        if self._files is None:
            return False
        return any((file.camera_id, file.name) == (camera_id, name) for file in self._files.file_changes(0).files)

    def _find_lone_indexes(self, indexes: list[Placed], videos: Mapping[str, list[Placed]], progress: Progress) -> None:
        for index in indexes:
            row = self._catalogue.get(index.camera_id, index.name)
            if row is None or (row.file.object_key is None and index.name not in videos):
                detail = f"{archive_paths.index_name(index.name)} is the index of no video"
                self._find(progress, "orphan", detail, index.camera_id, archive_paths.index_name(index.name))

    def _look_again(self, camera_id: str, name: str) -> list[Placed]:
        """Where a file is now that was not there when the volumes were walked: one closed or moved meanwhile. A name
        that is no recording's is looked for nowhere, whatever a chain says."""
        if not archive_paths.is_video(name) or not archive_paths.is_camera(camera_id):
            return []
        found = []
        for volume, root in self._volumes().items():
            path = root / "cameras" / camera_id / name
            if path.is_file() and not path.is_symlink():
                found.append(Placed(camera_id, name, volume, path.stat().st_size, has_index=True))
        return found

    def _unverified(self, items: list[_Item], since_us: int | None, progress: Progress) -> list[_Item]:
        if since_us is None:
            return items
        left = []
        for item in items:
            row = self._catalogue.get(item.expected.camera_id, item.expected.name)
            done = row is not None and row.verdict == "whole" and (row.verified_at_us or 0) >= since_us
            if not done:
                left.append(item)
        progress.count(files_skipped=len(items) - len(left))
        return left

    def _check_all(self, items: list[_Item], jobs: int, pace: Pace, progress: Progress) -> None:
        with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="verify") as pool:
            running: set[Future[None]] = set()
            for item in items:
                if progress.cancelled.is_set():
                    break
                running.add(pool.submit(self._check, item, pace, progress))
                if len(running) >= 2 * jobs:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for each in done:
                        each.result()
            for each in running:
                each.result()

    def _check(self, item: _Item, pace: Pace, progress: Progress) -> None:
        expected = item.expected
        outcome = self._read(item, pace, progress)
        if outcome.gone:
            outcome = self._read_elsewhere(item, pace, progress)
        if progress.cancelled.is_set():
            return
        for finding in outcome.findings:
            progress.find(finding)
            log.error(
                "a recording is damaged" if finding.is_damage else "a recording is not as it should be",
                camera_id=finding.camera_id, file=finding.name, volume=finding.volume, reason=finding.detail,
                at=format_time(finding.at_us) if finding.at_us is not None else None,
            )  # fmt: skip
        self._catalogue.remove_findings(expected.camera_id, expected.name)
        for finding in outcome.findings:
            if finding.is_damage:
                self._catalogue.put_finding(finding)
        self._catalogue.update(
            expected.camera_id, expected.name,
            verified_at_us=self._clock.now_us(), verdict="whole" if outcome.is_whole else "damaged",
        )  # fmt: skip
        progress.count(files_done=1)

    def _read(self, item: _Item, pace: Pace, progress: Progress) -> Outcome:
        expected = item.expected
        if item.object_key is not None and self._files is not None:
            digest = self._files.hash_file(expected.camera_id, expected.name, None)
            progress.count_bytes(item.size_bytes)
            pace.spend(item.size_bytes, progress.cancelled)
            outcome = Outcome(sha256=digest)
            if digest != expected.sha256:
                outcome.findings.append(
                    Finding(
                        kind="altered", detail="its bytes in the object storage are not those recorded",
                        camera_id=expected.camera_id, name=expected.name, at_us=expected.start_us,
                        start_us=expected.start_us, end_us=expected.end_us,
                    )
                )  # fmt: skip
            return outcome
        root = self._volumes().get(expected.volume)
        if root is None:
            return Outcome(gone=True)
        return check_file(root, expected, pace, progress.cancelled, progress.count_bytes)

    def _read_elsewhere(self, item: _Item, pace: Pace, progress: Progress) -> Outcome:
        """A file that was there a moment ago: removed by rule, moved to another volume, or gone."""
        expected = item.expected
        row = self._catalogue.get(expected.camera_id, expected.name)
        if row is not None and row.removal_number is not None:
            return Outcome()
        for place in self._look_again(expected.camera_id, expected.name):
            moved = Expected(
                expected.camera_id, expected.name, place.volume, expected.sha256, expected.size_bytes,
                expected.start_us, expected.end_us,
            )  # fmt: skip
            outcome = self._read(_Item(moved, item.size_bytes), pace, progress)
            if not outcome.gone:
                return outcome
        known = self._chain.check(expected.camera_id).files.get(expected.name)
        if known is not None and known.removed is not None:
            return Outcome()
        is_reachable = expected.volume in self._volumes()
        return Outcome(
            findings=[
                Finding(
                    kind="missing" if is_reachable else "unreachable",
                    detail="it was recorded, no rule removed it, and it is not there"
                    if is_reachable
                    else f"its volume {expected.volume} is not there",
                    camera_id=expected.camera_id, name=expected.name, volume=expected.volume,
                    at_us=expected.start_us, start_us=expected.start_us, end_us=expected.end_us,
                )
            ]
        )  # fmt: skip

    def _find(self, progress: Progress, kind: FindingKind, detail: str, camera_id: str, name: str) -> None:
        progress.find(Finding(kind=kind, detail=detail, camera_id=camera_id, name=name))


def _expected_of(row: CatalogueRow, chained: ChainedFile | None, volume: str | None = None) -> Expected:
    """The chain's word counts before the catalogue's."""
    file = row.file
    return Expected(
        camera_id=file.camera_id,
        name=file.name,
        volume=volume or file.volume,
        sha256=chained.sha256 if chained is not None else file.sha256,
        size_bytes=chained.size_bytes if chained is not None else file.size_bytes,
        start_us=file.start_us,
        end_us=file.end_us,
    )


def _touches(order: CheckOrder, name: str, known: ChainedFile | None, row: CatalogueRow | None) -> bool:
    if order.start_us is None and order.end_us is None:
        return True
    hour_us = _hour_of(name)
    start_us, end_us = hour_us, hour_us + _HOUR_US
    if known is not None:
        start_us, end_us = known.start_us, known.end_us
    elif row is not None:
        start_us, end_us = row.file.start_us, row.file.end_us
    return (order.end_us is None or start_us < order.end_us) and (order.start_us is None or end_us > order.start_us)


def _hour_of(name: str) -> int:
    """When the hour of a recording begins by its name; 0 for a name that is none."""
    day, _, file = name.partition("/")
    hour = archive_paths.VIDEO.fullmatch(file)
    try:
        return parse_time(f"{day}T{hour[1] if hour else '00'}:00:00Z")
    except ValueError:
        return 0


def _key(order: CheckOrder) -> str:
    return f"verification {order.camera_id or 'every camera'} {order.start_us} {order.end_us}"
