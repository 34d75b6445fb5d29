"""The services of `vms.v1` over whatever satisfies the contracts, in the process that keeps the archive."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from importlib import metadata

from vms.adapters.grpc import protocol
from vms.adapters.grpc.generated import (
    files_pb2,
    files_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    live_pb2,
    live_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    picture_pb2,
)
from vms.adapters.grpc.handling import Context, answer, fail
from vms.adapters.grpc.messages import fill, read
from vms.contracts.files import ArchiveFiles
from vms.contracts.media import CameraSource, MediaIngest, MediaLive
from vms.domain.errors import Failure

# Of a list that streams: about 1 MiB.
_FILES_AT_ONCE = 4000


class NodeServicer(node_pb2_grpc.NodeServicer):
    """Tells who is there."""

    def __init__(
        self, *, version: int = protocol.PROTOCOL_VERSION, oldest_version: int = protocol.OLDEST_PROTOCOL_VERSION
    ) -> None:
        self._version = version
        self._oldest_version = oldest_version
        self._product_version = metadata.version("vms")
        self._instance_id = secrets.token_hex(16)

    async def Hello(self, request: node_pb2.HelloRequest, context: Context) -> node_pb2.HelloReply:
        if request.protocol_version < self._oldest_version or request.oldest_protocol_version > self._version:
            detail = f"this node speaks vms.v1 of version {self._oldest_version} to {self._version}"
            await fail(context, Failure("unsupported", detail, code="protocol-version"))
        return node_pb2.HelloReply(
            protocol_version=self._version,
            oldest_protocol_version=self._oldest_version,
            product_version=self._product_version,
            instance_id=self._instance_id,
        )


class IngestServicer(ingest_pb2_grpc.MediaIngestServicer):
    """Cameras."""

    def __init__(self, ingest: MediaIngest, threads: Executor) -> None:
        self._ingest = ingest
        self._threads = threads

    async def SetCamera(self, request: ingest_pb2.SetCameraRequest, context: Context) -> ingest_pb2.SetCameraReply:
        def call() -> ingest_pb2.SetCameraReply:
            self._ingest.set_camera(request.camera_id, read(request.source, CameraSource))
            return ingest_pb2.SetCameraReply()

        return await answer(context, self._threads, call)

    async def RemoveCamera(
        self, request: ingest_pb2.RemoveCameraRequest, context: Context
    ) -> ingest_pb2.RemoveCameraReply:
        await answer(context, self._threads, lambda: self._ingest.remove_camera(request.camera_id))
        return ingest_pb2.RemoveCameraReply()

    async def GetCameraStatus(
        self, request: ingest_pb2.GetCameraStatusRequest, context: Context
    ) -> ingest_pb2.CameraStatus:
        status = await answer(context, self._threads, lambda: self._ingest.camera_status(request.camera_id))
        return fill(ingest_pb2.CameraStatus(), status)

    async def ListCameraStatuses(
        self, _: ingest_pb2.ListCameraStatusesRequest, context: Context
    ) -> ingest_pb2.ListCameraStatusesReply:
        def call() -> ingest_pb2.ListCameraStatusesReply:
            reply = ingest_pb2.ListCameraStatusesReply()
            for camera_id, status in self._ingest.camera_statuses().items():
                fill(reply.statuses[camera_id], status)
            return reply

        return await answer(context, self._threads, call)


class LiveServicer(live_pb2_grpc.MediaLiveServicer):
    """Live viewers."""

    def __init__(self, live: MediaLive, threads: Executor) -> None:
        self._live = live
        self._threads = threads

    async def GetPictureNow(self, request: live_pb2.GetPictureNowRequest, context: Context) -> picture_pb2.Picture:
        picture = await answer(
            context, self._threads, lambda: self._live.picture_now(request.camera_id, request.stream)
        )
        return fill(picture_pb2.Picture(), picture)

    async def OpenWhep(self, request: live_pb2.OpenWhepRequest, context: Context) -> live_pb2.OpenWhepReply:
        height = request.tile_height_px if request.HasField("tile_height_px") else None
        session_id, answer_sdp = await answer(
            context,
            self._threads,
            lambda: self._live.whep_open(request.camera_id, request.stream, request.offer_sdp, height),
        )
        return live_pb2.OpenWhepReply(session_id=session_id, answer_sdp=answer_sdp)

    async def PatchWhep(self, request: live_pb2.PatchWhepRequest, context: Context) -> live_pb2.PatchWhepReply:
        await answer(context, self._threads, lambda: self._live.whep_patch(request.session_id, request.fragment))
        return live_pb2.PatchWhepReply()

    async def ResizeWhep(self, request: live_pb2.ResizeWhepRequest, context: Context) -> live_pb2.ResizeWhepReply:
        await answer(context, self._threads, lambda: self._live.whep_resize(request.session_id, request.tile_height_px))
        return live_pb2.ResizeWhepReply()

    async def CloseWhep(self, request: live_pb2.CloseWhepRequest, context: Context) -> live_pb2.CloseWhepReply:
        await answer(context, self._threads, lambda: self._live.whep_close(request.session_id))
        return live_pb2.CloseWhepReply()


class FilesServicer(files_pb2_grpc.ArchiveFilesServicer):
    """The archive's files."""

    def __init__(self, files: ArchiveFiles, threads: Executor, long_threads: Executor) -> None:
        self._files = files
        self._threads = threads
        # For what reads whole files.
        self._long_threads = long_threads

    async def GetFileChanges(
        self, request: files_pb2.GetFileChangesRequest, context: Context
    ) -> AsyncIterator[files_pb2.FileChanges]:
        changes = await answer(context, self._threads, lambda: self._files.file_changes(request.after_revision))
        pieces = max(len(changes.files), len(changes.removed), 1)
        for at in range(0, pieces, _FILES_AT_ONCE):
            part = slice(at, at + _FILES_AT_ONCE)
            yield fill(
                files_pb2.FileChanges(),
                changes.model_copy(update={"files": changes.files[part], "removed": changes.removed[part]}),
            )

    async def RemoveFile(self, request: files_pb2.RemoveFileRequest, context: Context) -> files_pb2.RemoveFileReply:
        freed = await answer(context, self._threads, lambda: self._files.remove_file(request.camera_id, request.name))
        return files_pb2.RemoveFileReply(freed_bytes=freed)

    async def MoveFile(self, request: files_pb2.MoveFileRequest, context: Context) -> files_pb2.MoveFileReply:
        rate = request.max_bytes_per_s if request.HasField("max_bytes_per_s") else None
        await answer(
            context,
            self._long_threads,
            lambda: self._files.move_file(request.camera_id, request.name, request.volume, rate),
        )
        return files_pb2.MoveFileReply()

    async def HashFile(self, request: files_pb2.HashFileRequest, context: Context) -> files_pb2.HashFileReply:
        rate = request.max_bytes_per_s if request.HasField("max_bytes_per_s") else None
        sha256 = await answer(
            context, self._long_threads, lambda: self._files.hash_file(request.camera_id, request.name, rate)
        )
        return files_pb2.HashFileReply(sha256=sha256)

    async def UseObject(self, request: files_pb2.UseObjectRequest, context: Context) -> files_pb2.UseObjectReply:
        freed = await answer(
            context,
            self._threads,
            lambda: self._files.use_object(request.camera_id, request.name, request.object_key),
        )
        return files_pb2.UseObjectReply(freed_bytes=freed)

    async def RebuildIndex(self, request: files_pb2.RebuildIndexRequest, context: Context) -> files_pb2.FileReport:
        report = await answer(
            context, self._long_threads, lambda: self._files.rebuild_index(request.camera_id, request.name)
        )
        return fill(files_pb2.FileReport(), report)

    async def ListVolumes(self, _: files_pb2.ListVolumesRequest, context: Context) -> files_pb2.ListVolumesReply:
        reply = files_pb2.ListVolumesReply()
        for volume in await answer(context, self._threads, self._files.volumes):
            fill(reply.volumes.add(), volume)
        return reply
