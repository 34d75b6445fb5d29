"""The contracts over a node elsewhere: cameras, live viewers, files."""

from __future__ import annotations

from collections.abc import Mapping

from vms.adapters.grpc.connection import NodeConnection
from vms.adapters.grpc.generated import files_pb2, files_pb2_grpc, ingest_pb2, ingest_pb2_grpc, live_pb2, live_pb2_grpc
from vms.adapters.grpc.messages import fill, read
from vms.contracts.files import FileChanges, FileReport, ObjectReader, VolumeStatus
from vms.contracts.media import CameraSource, Picture
from vms.domain.cameras import CameraStatus
from vms.domain.errors import Failure

# What reads or copies a whole file.
WHOLE_FILE_S = 6 * 3600.0


class NodeIngest:
    """Satisfies `vms.contracts.media.MediaIngest`."""

    def __init__(self, connection: NodeConnection) -> None:
        self._connection = connection
        self._stub = ingest_pb2_grpc.MediaIngestStub(connection.channel)

    def set_camera(self, camera_id: str, source: CameraSource) -> None:
        request = ingest_pb2.SetCameraRequest(camera_id=camera_id)
        fill(request.source, source)
        self._connection.call(self._stub.SetCamera, request)

    def remove_camera(self, camera_id: str) -> None:
        self._connection.call(self._stub.RemoveCamera, ingest_pb2.RemoveCameraRequest(camera_id=camera_id))

    def camera_status(self, camera_id: str) -> CameraStatus:
        request = ingest_pb2.GetCameraStatusRequest(camera_id=camera_id)
        return read(self._connection.call(self._stub.GetCameraStatus, request), CameraStatus)

    def camera_statuses(self) -> Mapping[str, CameraStatus]:
        reply = self._connection.call(self._stub.ListCameraStatuses, ingest_pb2.ListCameraStatusesRequest())
        return {camera_id: read(status, CameraStatus) for camera_id, status in reply.statuses.items()}


class NodeLive:
    """Satisfies `vms.contracts.media.MediaLive`. Viewers reach the node itself: its addresses are in the answers."""

    def __init__(self, connection: NodeConnection) -> None:
        self._connection = connection
        self._stub = live_pb2_grpc.MediaLiveStub(connection.channel)

    def picture_now(self, camera_id: str, stream: str) -> Picture:
        request = live_pb2.GetPictureNowRequest(camera_id=camera_id, stream=stream)
        return read(self._connection.call(self._stub.GetPictureNow, request), Picture)

    def whep_open(self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None) -> tuple[str, str]:
        request = live_pb2.OpenWhepRequest(
            camera_id=camera_id, stream=stream, offer_sdp=offer_sdp, tile_height_px=tile_height_px
        )
        reply = self._connection.call(self._stub.OpenWhep, request)
        return reply.session_id, reply.answer_sdp

    def whep_patch(self, session_id: str, fragment: str) -> None:
        request = live_pb2.PatchWhepRequest(session_id=session_id, fragment=fragment)
        self._connection.call(self._stub.PatchWhep, request)

    def whep_resize(self, session_id: str, tile_height_px: int) -> None:
        request = live_pb2.ResizeWhepRequest(session_id=session_id, tile_height_px=tile_height_px)
        self._connection.call(self._stub.ResizeWhep, request)

    def whep_rtp_offset(self, session_id: str) -> int | None:  # noqa: ARG002 (of the contract)
        # Asked for with every picture that is understood, which happens where the pictures are.
        return None

    def whep_close(self, session_id: str) -> None:
        self._connection.call(self._stub.CloseWhep, live_pb2.CloseWhepRequest(session_id=session_id))


class NodeFiles:
    """Satisfies `vms.contracts.files.ArchiveFiles`."""

    def __init__(self, connection: NodeConnection) -> None:
        self._connection = connection
        self._stub = files_pb2_grpc.ArchiveFilesStub(connection.channel)

    def file_changes(self, after_revision: int) -> FileChanges:
        request = files_pb2.GetFileChangesRequest(after_revision=after_revision)
        found: FileChanges | None = None
        files, removed = [], []
        for message in self._connection.stream(self._stub.GetFileChanges, request, within_s=60.0):
            found = read(message, FileChanges)
            files += found.files
            removed += found.removed
        if found is None:
            raise Failure("malformed", "the storage service told no changes")
        return found.model_copy(update={"files": files, "removed": removed})

    def remove_file(self, camera_id: str, name: str) -> int:
        request = files_pb2.RemoveFileRequest(camera_id=camera_id, name=name)
        return self._connection.call(self._stub.RemoveFile, request).freed_bytes

    def move_file(self, camera_id: str, name: str, volume: str, max_bytes_per_s: int | None) -> None:
        request = files_pb2.MoveFileRequest(
            camera_id=camera_id, name=name, volume=volume, max_bytes_per_s=max_bytes_per_s
        )
        self._connection.call(self._stub.MoveFile, request, within_s=WHOLE_FILE_S)

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None) -> str:
        request = files_pb2.HashFileRequest(camera_id=camera_id, name=name, max_bytes_per_s=max_bytes_per_s)
        return self._connection.call(self._stub.HashFile, request, within_s=WHOLE_FILE_S).sha256

    def use_object(self, camera_id: str, name: str, object_key: str) -> int:
        request = files_pb2.UseObjectRequest(camera_id=camera_id, name=name, object_key=object_key)
        return self._connection.call(self._stub.UseObject, request).freed_bytes

    def read_objects_with(self, reader: ObjectReader) -> None:  # noqa: ARG002
        raise Failure("unsupported", "objects are read where the archive is: set them up at the storage service")

    def rebuild_index(self, camera_id: str, name: str) -> FileReport:
        request = files_pb2.RebuildIndexRequest(camera_id=camera_id, name=name)
        return read(self._connection.call(self._stub.RebuildIndex, request, within_s=WHOLE_FILE_S), FileReport)

    def volumes(self) -> list[VolumeStatus]:
        reply = self._connection.call(self._stub.ListVolumes, files_pb2.ListVolumesRequest())
        return [read(volume, VolumeStatus) for volume in reply.volumes]
