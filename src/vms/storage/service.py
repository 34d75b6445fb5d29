"""Timelines, stills and exports out of the archive that the media core keeps."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from vms.contracts.catalog import ExportRepository
from vms.contracts.clock import Clock
from vms.contracts.media import ExportOrder, MediaArchive
from vms.contracts.stills import Remuxer, StillDecoder
from vms.contracts.storage import Still, StorageUsage, TierFigures
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.recordings import FINAL_EXPORT_STATES, Export, ExportFile, ExportFormat, Span, Timeline
from vms.storage import exports
from vms.storage.chores import Chore, Chores
from vms.storage.throughput import Throughput

log = structlog.get_logger(__name__)
# How long a removal waits for an export under way to end.
CANCEL_WAIT_S = 5.0
_HASH_CHUNK = 1 << 20


class StorageService:
    """Satisfies `vms.contracts.storage.Archive`."""

    def __init__(
        self,
        media: MediaArchive,
        export_catalogue: ExportRepository,
        stills: StillDecoder,
        remuxer: Remuxer,
        clock: Clock,
        *,
        export_dir: Path,
        poll_s: float = 0.2,
        chores: Sequence[Chore] = (),
        tier_figures: Callable[[], TierFigures] | None = None,
    ) -> None:
        self._media = media
        self._catalogue = export_catalogue
        self._stills = stills
        self._remuxer = remuxer
        self._clock = clock
        self._export_dir = export_dir
        self._poll_s = poll_s
        self._stopping = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._cancelled: set[str] = set()
        self._lock = threading.Lock()
        self._tier_figures = tier_figures
        self._throughput = Throughput(window_s=10.0)
        self._chores = Chores([Chore("throughput", 2.0, self._sample), *chores])

    def start(self) -> None:
        """Gives up what an earlier run left unfinished, and begins to measure."""
        for export in self._catalogue.unfinished():
            self._catalogue.replace(exports.failed(export, "the server stopped meanwhile", self._clock.now_us()))
            shutil.rmtree(self._export_dir / export.id, ignore_errors=True)
        self._chores.start()

    def stop(self, timeout_s: float) -> None:
        """Ends what runs in the background."""
        self._stopping.set()
        for thread in list(self._running.values()):
            thread.join(timeout_s)
        self._chores.stop(timeout_s)

    def timeline(self, camera_id: str, span: Span) -> Timeline:
        return self._media.timeline(camera_id, span.start_us, span.end_us)

    def frame_at(self, camera_id: str, at_us: int, stream: str, height: int | None) -> Still:
        picture = self._media.picture_at(camera_id, at_us, stream)
        return Still(jpeg=self._stills.jpeg(picture, height=height), captured_us=picture.captured_us)

    def create_export(self, camera_ids: Sequence[str], span: Span, export_format: ExportFormat, owner: str) -> Export:
        now_us = self._clock.now_us()
        with self._lock:
            exports.check_order(camera_ids, export_format, len(self._running))
            export = Export(
                id=make_id(now_us, secrets.token_bytes(8)),
                camera_ids=list(camera_ids),
                span=exports.clamp(span, now_us),
                format=export_format,
                state="running",
                owner=owner,
                created_us=now_us,
                updated_us=now_us,
            )
            directory = self._export_dir / export.id
            directory.mkdir(parents=True, mode=0o700)
            order = ExportOrder(
                camera_ids=export.camera_ids,
                start_us=export.span.start_us,
                end_us=export.span.end_us,
                format=exports.core_format(export_format),
                directory=str(directory),
            )
            try:
                self._media.export_start(export.id, order)
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                raise
            self._catalogue.add(export)
            thread = threading.Thread(target=self._follow, args=(export,), name=f"export {export.id}", daemon=True)
            self._running[export.id] = thread
            thread.start()
        return export

    def export(self, export_id: str) -> Export:
        return self._catalogue.get(export_id)

    def exports(self, before_id: str | None, limit: int) -> Sequence[Export]:
        return self._catalogue.page(before_id, limit)

    def export_file(self, export_id: str) -> Path:
        export = self._catalogue.get(export_id)
        if export.state != "done" or export.path is None:
            raise Failure("conflict", f"the export is {export.state}", code="export-not-done")
        path = Path(export.path)
        if not path.is_file():
            raise Failure("not_found", "the export's file is gone", code="export-file-gone")
        return path

    def remove_export(self, export_id: str) -> None:
        self._catalogue.get(export_id)
        with self._lock:
            thread = self._running.get(export_id)
            if thread is not None:
                self._cancelled.add(export_id)
        if thread is not None:
            try:
                self._media.export_cancel(export_id)
            except Failure as failure:
                log.warning("export not cancelled", export_id=export_id, reason=failure.detail)
            thread.join(CANCEL_WAIT_S)
        self._catalogue.remove(export_id)
        # What is still being written cannot be taken away: its own thread does that when it ends.
        if thread is None or not thread.is_alive():
            shutil.rmtree(self._export_dir / export_id, ignore_errors=True)

    def usage(self) -> StorageUsage:
        metrics = self._media.media_metrics()
        return StorageUsage(
            media=metrics,
            write_bytes_per_second=self._throughput.bytes_per_second(),
            tiers=self._tier_figures() if self._tier_figures is not None else None,
        )

    def _sample(self, _: threading.Event) -> None:
        self._throughput.read(self._clock.monotonic_s(), self._media.media_metrics().bytes_written_total)

    def _follow(self, export: Export) -> None:
        """Keeps the catalogue's row of one export up to date until it ends."""
        try:
            export = self._follow_core(export)
        except Failure as failure:
            self._end(exports.failed(export, failure.detail, self._clock.now_us()))
        except Exception:
            log.exception("export failed", export_id=export.id)
            self._end(exports.failed(export, "an internal error; see the server's log", self._clock.now_us()))
        finally:
            with self._lock:
                self._running.pop(export.id, None)
                removed = export.id in self._cancelled
                self._cancelled.discard(export.id)
            if removed:
                shutil.rmtree(self._export_dir / export.id, ignore_errors=True)

    def _follow_core(self, export: Export) -> Export:
        while not self._stopping.is_set():
            progress = self._media.export_progress(export.id)
            reported = exports.advanced(export, progress, self._clock.now_us())
            if progress.state == "done" and export.format == "mkv":
                reported = self._rewrite(reported, progress.path, [file.name for file in progress.files])
            if reported.state in FINAL_EXPORT_STATES:
                self._end(reported)
                return reported
            if reported.progress != export.progress or reported.bytes_written != export.bytes_written:
                self._catalogue.replace(reported)
            export = reported
            self._stopping.wait(self._poll_s)
        return export

    def _end(self, export: Export) -> None:
        if export.state != "done":
            shutil.rmtree(self._export_dir / export.id, ignore_errors=True)
        try:
            self._catalogue.replace(export)
        except Failure as failure:
            # Deleted meanwhile.
            log.info("export ended after its removal", export_id=export.id, reason=failure.detail)
            return
        log.info("export ended", export_id=export.id, state=export.state, reason=export.error)

    def _rewrite(self, export: Export, core_path: str | None, names: Sequence[str]) -> Export:
        """The core's MP4 files as Matroska; several (the codec changed) go into one ZIP."""
        directory = self._export_dir / export.id
        parts = [directory / name for name in names] or ([Path(core_path)] if core_path else [])
        parts = [part for part in parts if part.suffix == ".mp4"]
        if not parts:
            raise Failure("internal", "the export has no file to rewrite")
        targets: list[Path] = []
        for index, part in enumerate(parts):
            target = part.with_suffix(".mkv")
            floor = 1.0 - exports.REMUX_SHARE

            def report(fraction: float, index: int = index, floor: float = floor) -> None:
                done = floor + exports.REMUX_SHARE * (index + fraction) / len(parts)
                self._catalogue.replace(
                    export.model_copy(update={"progress": min(done, 0.999), "updated_us": self._clock.now_us()})
                )

            self._remuxer.remux(part, target, progress=report, cancelled=lambda: self._is_cancelled(export.id))
            part.unlink()
            targets.append(target)
        files = [
            ExportFile(name=target.name, size_bytes=target.stat().st_size, sha256=_sha256(target)) for target in targets
        ]
        result = targets[0]
        if len(targets) > 1:
            result = directory / "export.zip"
            with zipfile.ZipFile(result, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for target in targets:
                    archive.write(target, target.name)
                    target.unlink()
        return export.model_copy(
            update={
                "state": "done",
                "progress": 1.0,
                "bytes_written": result.stat().st_size,
                "path": str(result),
                "sha256": _sha256(result),
                "files": files,
                "updated_us": self._clock.now_us(),
            }
        )

    def _is_cancelled(self, export_id: str) -> bool:
        return export_id in self._cancelled or self._stopping.is_set()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
