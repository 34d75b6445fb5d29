"""A media core that only remembers: cameras are online when told so, recordings are what was put in."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path

from vms.adapters.memory.playback import MemoryBytes, playlist
from vms.contracts.media import (
    CameraSource,
    ExportOrder,
    ExportProgress,
    FrontSettings,
    MediaMetrics,
    Picture,
    RepairReport,
    WebRtcFigures,
)
from vms.contracts.thumbnails import MadeGrid, Still
from vms.domain.cameras import CameraStatus
from vms.domain.errors import Failure
from vms.domain.recordings import ExportFile, Gap, RecordedRange, Timeline
from vms.domain.thumbnails import empty_grid, read_grid, write_grid

ANSWER_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
# The length of GAP from which a timeline shows it.
_BRIDGED_US = 200_000


class MemoryMedia:
    """Satisfies the Protocols of `vms.contracts.media`, and `vms.contracts.playback.MediaPlayback`."""

    def __init__(self) -> None:
        self.sources: dict[str, CameraSource] = {}
        self.states: dict[str, CameraStatus] = {}
        self.recorded: dict[str, list[RecordedRange]] = {}
        self.sessions: dict[str, str] = {}
        self.watched: dict[str, tuple[str, int | None]] = {}
        self.rtp_offsets: dict[str, int] = {}
        self.exports: dict[str, tuple[ExportOrder, ExportProgress]] = {}
        self.front: FrontSettings | None = None
        self.closed = False
        # number → camera, stream, descriptor
        self.taps: dict[int, tuple[str, str, int]] = {}
        self._taps_opened = 0
        self.max_viewers = 8
        # Exports end at once; a test that wants one under way clears this.
        self.finish_exports = True
        self._lock = threading.RLock()

    def set_camera(self, camera_id: str, source: CameraSource) -> None:
        with self._lock:
            self.sources[camera_id] = source

    def remove_camera(self, camera_id: str) -> None:
        with self._lock:
            self.sources.pop(camera_id, None)
            self.states.pop(camera_id, None)

    def camera_status(self, camera_id: str) -> CameraStatus:
        with self._lock:
            if camera_id not in self.sources:
                raise Failure("not_found", "the camera is not set up")
            return self.states.get(camera_id, CameraStatus())

    def camera_statuses(self) -> Mapping[str, CameraStatus]:
        with self._lock:
            return {camera_id: self.camera_status(camera_id) for camera_id in self.sources}

    def timeline(self, camera_id: str, start_us: int, end_us: int) -> Timeline:
        inside = [
            RecordedRange(start_us=max(entry.start_us, start_us), end_us=min(entry.end_us, end_us), stream=entry.stream)
            for entry in sorted(self.recorded.get(camera_id, []), key=lambda entry: entry.start_us)
            if entry.start_us < end_us and entry.end_us > start_us
        ]
        gaps = [
            Gap(start_us=before.end_us, end_us=after.start_us, cause="unknown")
            for before, after in pairwise(inside)
            if after.start_us - before.end_us > _BRIDGED_US
        ]
        return Timeline(ranges=inside, gaps=gaps)

    def picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        if not self.timeline(camera_id, at_us, at_us + 1).ranges:
            raise Failure("not_found", "nothing is recorded there", code="nothing-recorded")
        return _picture(at_us)

    def key_picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        """Every second has a key frame."""
        if not any(entry.stream == stream for entry in self.timeline(camera_id, at_us, at_us + 1).ranges):
            raise Failure("not_found", "nothing is recorded there", code="nothing-recorded")
        return _picture(at_us // 1_000_000 * 1_000_000)

    def tap(
        self, camera_id: str, stream: str, fd: int, *, all_tracks: bool = False, key_frames_only: bool = False
    ) -> int:
        """Nothing is written until `feed`."""
        with self._lock:
            if camera_id not in self.sources:
                raise Failure("not_found", "the camera is not set up")
            self._taps_opened += 1
            self.taps[self._taps_opened] = (camera_id, stream, os.dup(fd))
            return self._taps_opened

    def untap(self, number: int) -> None:
        with self._lock:
            tap = self.taps.pop(number, None)
        if tap is not None:
            os.close(tap[2])

    def feed(self, camera_id: str, content: bytes) -> None:
        """Writes into every tap of the camera; a reader that is gone ends it."""
        for number, (tapped, _, fd) in list(self.taps.items()):
            if tapped == camera_id:
                try:
                    os.write(fd, content)
                except (BrokenPipeError, ConnectionResetError):
                    self.untap(number)

    def picture_now(self, camera_id: str, stream: str) -> Picture:
        status = self.camera_status(camera_id)
        if status.state != "online" or status.last_frame_us is None:
            raise Failure("conflict", "the camera shows nothing")
        return _picture(status.last_frame_us)

    def export_start(self, export_id: str, order: ExportOrder) -> None:
        if not any(self.timeline(name, order.start_us, order.end_us).ranges for name in order.camera_ids):
            raise Failure("not_found", "nothing is recorded in the span", code="nothing-recorded")
        with self._lock:
            self.exports[export_id] = (order, ExportProgress(state="running"))

    def export_progress(self, export_id: str) -> ExportProgress:
        with self._lock:
            if export_id not in self.exports:
                raise Failure("not_found", "no such export")
            order, progress = self.exports[export_id]
            if progress.state == "running" and self.finish_exports:
                progress = _finish(order)
                self.exports[export_id] = (order, progress)
            return progress

    def export_cancel(self, export_id: str) -> None:
        with self._lock:
            order, progress = self.exports[export_id]
            if progress.state == "running":
                self.exports[export_id] = (order, ExportProgress(state="cancelled"))

    def media_metrics(self) -> MediaMetrics:
        return MediaMetrics(
            disk_total_bytes=1000, disk_free_bytes=400, webrtc=WebRtcFigures(viewers=len(self.sessions))
        )

    def repair_report(self) -> RepairReport:
        return RepairReport()

    def whep_open(self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None) -> tuple[str, str]:
        if not offer_sdp.startswith("v=0"):
            raise Failure("malformed", "the offer is no session description")
        if "H264" not in offer_sdp:
            raise Failure("unsupported", "the offer has no codec that the camera sends")
        if self.camera_status(camera_id).state != "online":
            raise Failure("conflict", "the camera shows nothing")
        with self._lock:
            if len(self.sessions) >= self.max_viewers:
                raise Failure("exhausted", "too many viewers")
            session_id = f"session-{len(self.sessions) + 1}"
            self.sessions[session_id] = camera_id
            self.watched[session_id] = (stream, tile_height_px)
        return session_id, ANSWER_SDP

    def whep_patch(self, session_id: str, fragment: str) -> None:
        if session_id not in self.sessions:
            raise Failure("not_found", "no such session")

    def whep_resize(self, session_id: str, tile_height_px: int) -> None:
        if session_id not in self.sessions:
            raise Failure("not_found", "no such session", code="session-not-found")
        self.watched[session_id] = (self.watched[session_id][0], tile_height_px)

    def whep_rtp_offset(self, session_id: str) -> int | None:
        if session_id not in self.sessions:
            raise Failure("not_found", "no such session")
        return self.rtp_offsets.get(session_id)

    def whep_close(self, session_id: str) -> None:
        with self._lock:
            if self.sessions.pop(session_id, None) is None:
                raise Failure("not_found", "no such session")

    def playback_open(self, camera_id: str, stream: str, start_us: int, end_us: int) -> MemoryBytes:
        ranges = self._recorded_in(camera_id, stream, start_us, end_us)
        first, last = ranges[0].start_us, ranges[-1].end_us
        return MemoryBytes(f"{camera_id} {stream} {first} {last}", "video/mp4", start_us=first)

    def hls_playlist(self, camera_id: str, stream: str, start_us: int, end_us: int) -> str:
        return playlist(self._recorded_in(camera_id, stream, start_us, end_us))

    def hls_init(self, camera_id: str, stream: str, name: str) -> MemoryBytes:
        if name != "0":
            raise Failure("not_found", f"there is no segment {name!r}")
        return MemoryBytes(f"{camera_id} {stream} init", "video/mp4")

    def hls_segment(
        self, camera_id: str, stream: str, name: str, granted_start_us: int | None, granted_end_us: int | None
    ) -> MemoryBytes:
        start, _, end = name.partition("-")
        if not (start.isdecimal() and end.isdecimal()):
            raise Failure("not_found", f"there is no segment {name!r}")
        early = granted_start_us is not None and int(start) < granted_start_us
        late = granted_end_us is not None and int(start) >= granted_end_us
        if early or late:
            raise Failure("forbidden", f"the segment {name!r} reaches beyond the granted time")
        self._recorded_in(camera_id, stream, int(start), int(end))
        return MemoryBytes(f"{camera_id} {stream} {name}", "video/mp4")

    def _recorded_in(self, camera_id: str, stream: str, start_us: int, end_us: int) -> list[RecordedRange]:
        if start_us >= end_us:
            raise Failure("invalid", "the start is not before the end")
        found = [entry for entry in self.timeline(camera_id, start_us, end_us).ranges if entry.stream == stream]
        if not found:
            raise Failure("not_found", f"camera {camera_id} {stream}: nothing is recorded")
        return found

    def start_front(self, settings: FrontSettings) -> int:
        self.front = settings
        return settings.port or 1

    def close(self, timeout_s: float) -> None:
        self.closed = True


def _picture(at_us: int) -> Picture:
    return Picture(
        codec="mjpeg",
        configuration=b"",
        width=64,
        height=48,
        units=[b"\xff\xd8\xff\xd9"],
        pts_90k=[at_us * 9 // 100],
        wanted_pts_90k=at_us * 9 // 100,
        captured_us=at_us,
    )


def _finish(order: ExportOrder) -> ExportProgress:
    path = Path(order.directory) / f"export.{order.format}"
    content = f"{order.camera_ids} {order.start_us} {order.end_us}".encode()
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return ExportProgress(
        state="done",
        progress=1.0,
        bytes_written=len(content),
        path=str(path),
        sha256=digest,
        files=[ExportFile(name=path.name, size_bytes=len(content), sha256=digest)],
    )


class MemoryStills:
    """Satisfies `vms.contracts.stills.StillDecoder` with a JPEG that shows nothing."""

    def jpeg(self, picture: Picture, *, height: int | None = None) -> bytes:
        if not picture.units:
            raise Failure("malformed", "no picture came out")
        return picture.units[-1]

    def close(self) -> None:
        pass


class MemoryRemuxer:
    """Satisfies `vms.contracts.stills.Remuxer` by copying."""

    def remux(
        self, source: Path, target: Path, *, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> None:
        if cancelled():
            raise Failure("conflict", "cancelled")
        target.write_bytes(source.read_bytes())
        progress(1.0)


class MemoryThumbnails:
    """Satisfies `vms.contracts.thumbnails.ThumbnailMaker` with grids whose picture shows nothing."""

    def make(
        self, previous: bytes | None, hour_us: int, stills: Iterable[Still], made_until_us: int
    ) -> MadeGrid | None:
        grid = read_grid(io.BytesIO(previous)) if previous is not None else empty_grid(hour_us, 160, 90)
        shown = [(cell, picture.captured_us) for cell, picture in stills]
        if not shown and previous is None:
            return None
        nothing = b"RIFF\x10\0\0\0WEBPVP8 \x03\0\0\0...\0"
        return MadeGrid(write_grid(nothing, grid.with_(shown, made_until_us)), 0)

    def close(self) -> None:
        pass
