"""The contracts over a node elsewhere: recordings, exports, playback."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from vms.adapters.grpc.connection import NodeConnection
from vms.adapters.grpc.generated import archive_pb2, archive_pb2_grpc, playback_pb2, playback_pb2_grpc
from vms.adapters.grpc.messages import fill, read
from vms.contracts.media import ExportOrder, ExportProgress, MediaMetrics, Picture, RepairReport
from vms.domain.errors import Failure
from vms.domain.recordings import Timeline

# A player may pause for long while its answer is under way.
READ_S = 12 * 3600.0
# Of an export's progress, what is left for the way here.
FETCH_SHARE = 0.1


class NodeArchive:
    """Satisfies `vms.contracts.media.MediaArchive`.

    An export is written by the node and, when it is done there, fetched into the directory that the order names.
    `http_requests` counts what the front of this process answered, which the node cannot know.
    """

    def __init__(self, connection: NodeConnection, http_requests: Callable[[], int] = lambda: 0) -> None:
        self._connection = connection
        self._stub = archive_pb2_grpc.MediaArchiveStub(connection.channel)
        self._http_requests = http_requests
        # Exports that were ordered here and not fetched yet, and what became of those that were.
        self._ordered: dict[str, Path] = {}
        self._ended: dict[str, ExportProgress] = {}
        self._cancelled: set[str] = set()
        self._lock = threading.Lock()

    def timeline(self, camera_id: str, start_us: int, end_us: int) -> Timeline:
        request = archive_pb2.GetTimelineRequest(camera_id=camera_id, start_us=start_us, end_us=end_us)
        return read(self._connection.call(self._stub.GetTimeline, request), Timeline)

    def picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        request = archive_pb2.GetPictureAtRequest(camera_id=camera_id, at_us=at_us, stream=stream)
        return read(self._connection.call(self._stub.GetPictureAt, request), Picture)

    def key_picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        request = archive_pb2.GetPictureAtRequest(camera_id=camera_id, at_us=at_us, stream=stream)
        return read(self._connection.call(self._stub.GetKeyPictureAt, request), Picture)

    def export_start(self, export_id: str, order: ExportOrder) -> None:
        request = fill(archive_pb2.StartExportRequest(export_id=export_id), order)
        self._connection.call(self._stub.StartExport, request, within_s=60.0)
        with self._lock:
            self._ordered[export_id] = Path(order.directory)

    def export_progress(self, export_id: str) -> ExportProgress:
        """Of one that the node has finished, this call fetches it and returns when it is here."""
        with self._lock:
            ended = self._ended.get(export_id)
            directory = self._ordered.get(export_id)
        if ended is not None:
            return ended
        request = archive_pb2.GetExportProgressRequest(export_id=export_id)
        message = self._connection.call(self._stub.GetExportProgress, request)
        progress = read(message, ExportProgress)
        if progress.state == "running" or directory is None:
            return progress.model_copy(update={"progress": progress.progress * (1 - FETCH_SHARE)})
        if progress.state == "done":
            progress = self._fetch(export_id, directory, message, progress)
        with self._lock:
            self._ended[export_id] = progress
            del self._ordered[export_id]
        with contextlib.suppress(Failure):
            request_removal = archive_pb2.RemoveExportRequest(export_id=export_id)
            self._connection.call(self._stub.RemoveExport, request_removal, within_s=60.0)
        return progress

    def export_cancel(self, export_id: str) -> None:
        with self._lock:
            self._cancelled.add(export_id)
        self._connection.call(self._stub.CancelExport, archive_pb2.CancelExportRequest(export_id=export_id))

    def media_metrics(self) -> MediaMetrics:
        reply = self._connection.call(self._stub.GetMediaMetrics, archive_pb2.GetMediaMetricsRequest())
        metrics = read(reply, MediaMetrics)
        return metrics.model_copy(update={"http_requests_total": self._http_requests()})

    def repair_report(self) -> RepairReport:
        return read(
            self._connection.call(self._stub.GetRepairReport, archive_pb2.GetRepairReportRequest()), RepairReport
        )

    def _fetch(
        self, export_id: str, directory: Path, message: archive_pb2.ExportProgress, progress: ExportProgress
    ) -> ExportProgress:
        wanted = {file.name: file.sha256 or None for file in message.files if file.separate}
        wanted.setdefault(message.name, message.sha256 or None)
        for name, sha256 in wanted.items():
            if not name or Path(name).name != name:
                raise Failure("malformed", "the storage service names an export's file as no file is named")
            request = archive_pb2.ReadExportRequest(export_id=export_id, name=name)
            digest = hashlib.sha256()
            with (directory / name).open("xb") as file:
                for piece in self._connection.stream(self._stub.ReadExport, request, within_s=READ_S):
                    if export_id in self._cancelled:
                        return ExportProgress(state="cancelled")
                    digest.update(piece.data)
                    file.write(piece.data)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise Failure("malformed", f"the export's file {name} was changed on its way")
        return progress.model_copy(update={"path": str(directory / message.name)})


class NodeBytes:
    """Satisfies `vms.contracts.playback.RecordedBytes`."""

    def __init__(
        self,
        connection: NodeConnection,
        stub: playback_pb2_grpc.MediaPlaybackStub,
        opened: playback_pb2.OpenedContent,
    ) -> None:
        self._connection = connection
        self._stub = stub
        self._handle = opened.handle
        self.size_bytes: int = opened.size_bytes
        self.etag: str = opened.etag
        self.content_type: str = opened.content_type
        self.start_us: int | None = opened.start_us if opened.HasField("start_us") else None
        self.next_start_us: int | None = opened.next_start_us if opened.HasField("next_start_us") else None

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        request = playback_pb2.ReadContentRequest(handle=self._handle, offset=offset, length=length)
        for reply in self._connection.stream(self._stub.ReadContent, request, within_s=READ_S):
            yield reply.data

    def close(self) -> None:
        # Nobody waits for the answer: the node forgets it by itself when it is not told.
        request = playback_pb2.CloseContentRequest(handle=self._handle)
        self._connection.tell(self._stub.CloseContent, request)


class NodePlayback:
    """Satisfies `vms.contracts.playback.MediaPlayback`."""

    def __init__(self, connection: NodeConnection) -> None:
        self._connection = connection
        self._stub = playback_pb2_grpc.MediaPlaybackStub(connection.channel)

    def playback_open(self, camera_id: str, stream: str, start_us: int, end_us: int) -> NodeBytes:
        request = playback_pb2.OpenPlaybackRequest(camera_id=camera_id, stream=stream, start_us=start_us, end_us=end_us)
        return self._bytes(self._connection.call(self._stub.OpenPlayback, request))

    def hls_playlist(self, camera_id: str, stream: str, start_us: int, end_us: int) -> str:
        request = playback_pb2.GetHlsPlaylistRequest(
            camera_id=camera_id, stream=stream, start_us=start_us, end_us=end_us
        )
        return self._connection.call(self._stub.GetHlsPlaylist, request).text

    def hls_init(self, camera_id: str, stream: str, name: str) -> NodeBytes:
        request = playback_pb2.OpenHlsInitRequest(camera_id=camera_id, stream=stream, name=name)
        return self._bytes(self._connection.call(self._stub.OpenHlsInit, request))

    def hls_segment(
        self, camera_id: str, stream: str, name: str, granted_start_us: int | None, granted_end_us: int | None
    ) -> NodeBytes:
        request = playback_pb2.OpenHlsSegmentRequest(
            camera_id=camera_id,
            stream=stream,
            name=name,
            granted_start_us=granted_start_us,
            granted_end_us=granted_end_us,
        )
        return self._bytes(self._connection.call(self._stub.OpenHlsSegment, request))

    def _bytes(self, opened: playback_pb2.OpenedContent) -> NodeBytes:
        return NodeBytes(self._connection, self._stub, opened)
