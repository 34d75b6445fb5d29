"""`vms_media.Engine`, its JSON documents as the contracts' values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter
from vms_media import Engine

from vms.adapters.media.failures import translated
from vms.adapters.media.files import MediaFiles
from vms.adapters.media.front import front_document
from vms.adapters.media.playback import EngineBytes
from vms.contracts.media import (
    CameraSource,
    EngineSettings,
    ExportOrder,
    ExportProgress,
    FrontSettings,
    MediaMetrics,
    Picture,
    RepairReport,
)
from vms.domain.cameras import CameraStatus
from vms.domain.errors import Failure
from vms.domain.recordings import Timeline

_STATUSES = TypeAdapter(dict[str, CameraStatus])


class MediaEngine(MediaFiles):
    """Satisfies the Protocols of `vms.contracts.media` and, as `MediaFiles`, `vms.contracts.files.ArchiveFiles`;
    besides `vms.contracts.playback.MediaPlayback`.

    Making one takes the archive's lock; raises Failure(conflict) when another process holds it.
    """

    def __init__(self, data_dir: Path, settings: EngineSettings) -> None:
        with translated():
            self._engine = Engine(str(data_dir), settings.model_dump_json())

    def repair_report(self) -> RepairReport:
        with translated():
            return RepairReport.model_validate_json(self._engine.repair_report())

    def set_camera(self, camera_id: str, source: CameraSource) -> None:
        document = {
            "streams": {name: stream.model_dump() for name, stream in source.streams.items()},
            "username": source.username,
            "password": source.password.get_secret_value() if source.password is not None else None,
            "recording": dict(source.recording),
        }
        with translated():
            self._engine.set_camera(camera_id, json.dumps(document))

    def remove_camera(self, camera_id: str) -> None:
        try:
            with translated():
                self._engine.remove_camera(camera_id)
        except Failure as failure:
            if failure.kind != "not_found":
                raise

    def camera_status(self, camera_id: str) -> CameraStatus:
        with translated():
            return CameraStatus.model_validate_json(self._engine.camera_status(camera_id))

    def camera_statuses(self) -> Mapping[str, CameraStatus]:
        with translated():
            return _STATUSES.validate_json(self._engine.camera_statuses())

    def timeline(self, camera_id: str, start_us: int, end_us: int) -> Timeline:
        with translated():
            return Timeline.model_validate_json(self._engine.timeline(camera_id, start_us, end_us))

    def picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        with translated():
            return Picture.model_validate(self._engine.picture_at(camera_id, at_us, stream), from_attributes=True)

    def key_picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        with translated():
            return Picture.model_validate(self._engine.key_picture_at(camera_id, at_us, stream), from_attributes=True)

    def tap(
        self, camera_id: str, stream: str, fd: int, *, all_tracks: bool = False, key_frames_only: bool = False
    ) -> int:
        with translated():
            return self._engine.tap(camera_id, stream, fd, all_tracks=all_tracks, key_frames_only=key_frames_only)

    def untap(self, number: int) -> None:
        with translated():
            self._engine.untap(number)

    def picture_now(self, camera_id: str, stream: str) -> Picture:
        with translated():
            return Picture.model_validate(self._engine.picture_now(camera_id, stream), from_attributes=True)

    def whep_open(self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None) -> tuple[str, str]:
        with translated():
            return self._engine.whep_open(camera_id, stream, offer_sdp, tile_height_px)

    def whep_patch(self, session_id: str, fragment: str) -> None:
        with translated():
            self._engine.whep_patch(session_id, fragment)

    def whep_resize(self, session_id: str, tile_height_px: int) -> None:
        with translated():
            self._engine.whep_resize(session_id, tile_height_px)

    def whep_rtp_offset(self, session_id: str) -> int | None:
        with translated():
            return self._engine.whep_rtp_offset(session_id)

    def whep_close(self, session_id: str) -> None:
        with translated():
            self._engine.whep_close(session_id)

    def export_start(self, export_id: str, order: ExportOrder) -> None:
        with translated():
            self._engine.export_start(export_id, order.model_dump_json())

    def export_progress(self, export_id: str) -> ExportProgress:
        with translated():
            return ExportProgress.model_validate_json(self._engine.export_progress(export_id))

    def export_cancel(self, export_id: str) -> None:
        with translated():
            self._engine.export_cancel(export_id)

    def playback_open(self, camera_id: str, stream: str, start_us: int, end_us: int) -> EngineBytes:
        with translated():
            return EngineBytes(self._engine.playback_open(camera_id, stream, start_us, end_us))

    def hls_playlist(self, camera_id: str, stream: str, start_us: int, end_us: int) -> str:
        with translated():
            return self._engine.hls_playlist(camera_id, stream, start_us, end_us)

    def hls_init(self, camera_id: str, stream: str, name: str) -> EngineBytes:
        with translated():
            return EngineBytes(self._engine.hls_init(camera_id, stream, name))

    def hls_segment(
        self, camera_id: str, stream: str, name: str, granted_start_us: int | None, granted_end_us: int | None
    ) -> EngineBytes:
        with translated():
            return EngineBytes(self._engine.hls_segment(camera_id, stream, name, granted_start_us, granted_end_us))

    def start_front(self, settings: FrontSettings) -> int:
        with translated():
            return self._engine.start_front(front_document(settings))

    def media_metrics(self) -> MediaMetrics:
        with translated():
            return MediaMetrics.model_validate_json(self._engine.media_metrics())

    def close(self, timeout_s: float) -> None:
        with translated():
            self._engine.close(timeout_s)
