"""Recordings, exports and playback of `vms.v1`, in the process that keeps the archive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from vms.adapters.grpc.generated import archive_pb2, archive_pb2_grpc, picture_pb2, playback_pb2, playback_pb2_grpc
from vms.adapters.grpc.handles import Handles
from vms.adapters.grpc.handling import Context, answer, fail
from vms.adapters.grpc.messages import fill, word
from vms.adapters.grpc.protocol import PIECE_BYTES
from vms.contracts.media import ExportOrder, MediaArchive
from vms.contracts.playback import MediaPlayback, RecordedBytes
from vms.domain.errors import Failure
from vms.domain.ids import is_id


class ArchiveServicer(archive_pb2_grpc.MediaArchiveServicer):
    """Recordings and exports. Exports wait below `export_dir` until they are fetched."""

    def __init__(self, archive: MediaArchive, export_dir: Path, threads: Executor, long_threads: Executor) -> None:
        self._archive = archive
        self._export_dir = export_dir
        self._threads = threads
        self._long_threads = long_threads

    async def GetTimeline(self, request: archive_pb2.GetTimelineRequest, context: Context) -> archive_pb2.Timeline:
        def call() -> archive_pb2.Timeline:
            timeline = self._archive.timeline(request.camera_id, request.start_us, request.end_us)
            return fill(archive_pb2.Timeline(), timeline)

        return await answer(context, self._threads, call)

    async def GetPictureAt(self, request: archive_pb2.GetPictureAtRequest, context: Context) -> picture_pb2.Picture:
        picture = await answer(
            context,
            self._threads,
            lambda: self._archive.picture_at(request.camera_id, request.at_us, request.stream),
        )
        return fill(picture_pb2.Picture(), picture)

    async def GetKeyPictureAt(self, request: archive_pb2.GetPictureAtRequest, context: Context) -> picture_pb2.Picture:
        picture = await answer(
            context,
            self._threads,
            lambda: self._archive.key_picture_at(request.camera_id, request.at_us, request.stream),
        )
        return fill(picture_pb2.Picture(), picture)

    async def StartExport(
        self, request: archive_pb2.StartExportRequest, context: Context
    ) -> archive_pb2.StartExportReply:
        def call() -> archive_pb2.StartExportReply:
            container = word(archive_pb2.ExportContainer.DESCRIPTOR, request.format)
            if container not in {"mp4", "zip"}:
                raise Failure("unsupported", "an export is mp4 or zip")
            directory = self._directory(request.export_id)
            try:
                directory.mkdir(parents=True, mode=0o700)
            except FileExistsError:
                raise Failure("conflict", "an export of this identifier runs") from None
            order = ExportOrder(
                camera_ids=list(request.camera_ids),
                start_us=request.start_us,
                end_us=request.end_us,
                format="zip" if container == "zip" else "mp4",
                directory=str(directory),
            )
            try:
                self._archive.export_start(request.export_id, order)
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                raise
            return archive_pb2.StartExportReply()

        return await answer(context, self._threads, call)

    async def GetExportProgress(
        self, request: archive_pb2.GetExportProgressRequest, context: Context
    ) -> archive_pb2.ExportProgress:
        def call() -> archive_pb2.ExportProgress:
            progress = self._archive.export_progress(request.export_id)
            message = fill(archive_pb2.ExportProgress(), progress)
            if progress.path is not None:
                message.name = Path(progress.path).name
            directory = self._directory(request.export_id)
            for file in message.files:
                file.separate = Path(file.name).name == file.name and (directory / file.name).is_file()
            return message

        return await answer(context, self._threads, call)

    async def ReadExport(
        self, request: archive_pb2.ReadExportRequest, context: Context
    ) -> AsyncIterator[archive_pb2.ReadExportReply]:
        descriptor = await answer(context, self._threads, lambda: self._open(request.export_id, request.name))
        try:
            offset = request.offset
            while True:
                data = await answer(context, self._long_threads, partial(os.pread, descriptor, PIECE_BYTES, offset))
                if not data:
                    return
                offset += len(data)
                yield archive_pb2.ReadExportReply(data=data)
        finally:
            os.close(descriptor)

    async def CancelExport(
        self, request: archive_pb2.CancelExportRequest, context: Context
    ) -> archive_pb2.CancelExportReply:
        await answer(context, self._threads, lambda: self._archive.export_cancel(request.export_id))
        return archive_pb2.CancelExportReply()

    async def RemoveExport(
        self, request: archive_pb2.RemoveExportRequest, context: Context
    ) -> archive_pb2.RemoveExportReply:
        def call() -> archive_pb2.RemoveExportReply:
            directory = self._directory(request.export_id)
            with contextlib.suppress(Failure):
                self._archive.export_cancel(request.export_id)
            shutil.rmtree(directory, ignore_errors=True)
            return archive_pb2.RemoveExportReply()

        return await answer(context, self._long_threads, call)

    async def GetMediaMetrics(
        self, _: archive_pb2.GetMediaMetricsRequest, context: Context
    ) -> archive_pb2.MediaMetrics:
        return fill(archive_pb2.MediaMetrics(), await answer(context, self._threads, self._archive.media_metrics))

    async def GetRepairReport(
        self, _: archive_pb2.GetRepairReportRequest, context: Context
    ) -> archive_pb2.RepairReport:
        return fill(archive_pb2.RepairReport(), await answer(context, self._threads, self._archive.repair_report))

    def _directory(self, export_id: str) -> Path:
        # Identifiers come from peers and become names of folders.
        if not is_id(export_id):
            raise Failure("not_found", "no export has this identifier", code="export-not-found")
        return self._export_dir / export_id

    def _open(self, export_id: str, name: str) -> int:
        directory = self._directory(export_id)
        progress = self._archive.export_progress(export_id)
        if progress.state != "done":
            raise Failure("conflict", f"the export is {progress.state}", code="export-not-done")
        known = {file.name for file in progress.files}
        if progress.path is not None:
            known.add(Path(progress.path).name)
        if name not in known or Path(name).name != name:
            raise Failure("not_found", "the export has no such file")
        try:
            return os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise Failure("not_found", "the export's file is gone", code="export-file-gone") from error


class PlaybackServicer(playback_pb2_grpc.MediaPlaybackServicer):
    """Bytes of recordings. `threads` read from the disk: they are nobody else's, so that a slow disk holds up reading
    alone. A reader that takes nothing holds no thread."""

    def __init__(self, playback: MediaPlayback, handles: Handles, threads: Executor) -> None:
        self._playback = playback
        self._handles = handles
        self._threads = threads

    async def OpenPlayback(
        self, request: playback_pb2.OpenPlaybackRequest, context: Context
    ) -> playback_pb2.OpenedContent:
        return await answer(
            context,
            self._threads,
            lambda: self._opened(
                self._playback.playback_open(request.camera_id, request.stream, request.start_us, request.end_us)
            ),
        )

    async def GetHlsPlaylist(
        self, request: playback_pb2.GetHlsPlaylistRequest, context: Context
    ) -> playback_pb2.HlsPlaylist:
        text = await answer(
            context,
            self._threads,
            lambda: self._playback.hls_playlist(request.camera_id, request.stream, request.start_us, request.end_us),
        )
        return playback_pb2.HlsPlaylist(text=text)

    async def OpenHlsInit(
        self, request: playback_pb2.OpenHlsInitRequest, context: Context
    ) -> playback_pb2.OpenedContent:
        return await answer(
            context,
            self._threads,
            lambda: self._opened(self._playback.hls_init(request.camera_id, request.stream, request.name)),
        )

    async def OpenHlsSegment(
        self, request: playback_pb2.OpenHlsSegmentRequest, context: Context
    ) -> playback_pb2.OpenedContent:
        start_us = request.granted_start_us if request.HasField("granted_start_us") else None
        end_us = request.granted_end_us if request.HasField("granted_end_us") else None
        return await answer(
            context,
            self._threads,
            lambda: self._opened(
                self._playback.hls_segment(request.camera_id, request.stream, request.name, start_us, end_us)
            ),
        )

    async def ReadContent(
        self, request: playback_pb2.ReadContentRequest, context: Context
    ) -> AsyncIterator[playback_pb2.ReadContentReply]:
        content = await answer(context, self._threads, lambda: self._handles.begin(request.handle))
        loop = asyncio.get_running_loop()
        pieces: Iterator[bytes] = content.read(request.offset, request.length)
        try:
            # The next piece is read while this one is sent.
            coming = loop.run_in_executor(self._threads, next, pieces, None)
            while (data := await coming) is not None:
                coming = loop.run_in_executor(self._threads, next, pieces, None)
                yield playback_pb2.ReadContentReply(data=data)
        except Failure as failure:
            await fail(context, failure)
        finally:
            self._handles.end(request.handle)

    async def CloseContent(
        self, request: playback_pb2.CloseContentRequest, context: Context
    ) -> playback_pb2.CloseContentReply:
        await answer(context, self._threads, lambda: self._handles.drop(request.handle))
        return playback_pb2.CloseContentReply()

    def _opened(self, content: RecordedBytes) -> playback_pb2.OpenedContent:
        return playback_pb2.OpenedContent(
            handle=self._handles.put(content),
            size_bytes=content.size_bytes,
            etag=content.etag,
            content_type=content.content_type,
            start_us=content.start_us,
            next_start_us=content.next_start_us,
        )
