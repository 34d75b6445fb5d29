"""What the media core offers, one Protocol per service that uses it. Times are µs since the Unix epoch.

Every call may raise `vms.domain.errors.Failure`; the kinds worth handling are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, SecretStr

from vms.contracts.files import Volume, VolumeStatus
from vms.domain.cameras import CameraStatus, StreamSource
from vms.domain.recording_policy import StreamName, StreamRecording
from vms.domain.recordings import ExportFile, Timeline


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class CameraSource(_Value):
    """How to reach a camera, and which of its streams to record; those not named are not."""

    streams: dict[StreamName, StreamSource]
    username: str | None = None
    password: SecretStr | None = None
    recording: dict[StreamName, StreamRecording] = {}


class Picture(_Value):
    """Access units from a key frame to the wanted picture, in decoding order; see `vms_media.Picture`."""

    codec: str
    configuration: bytes
    width: int
    height: int
    units: list[bytes]
    pts_90k: list[int]
    wanted_pts_90k: int
    captured_us: int


class ExportOrder(_Value):
    """What to export, and into which directory."""

    camera_ids: list[str]
    start_us: int
    end_us: int
    format: Literal["mp4", "zip"]
    directory: str


class ExportProgress(_Value):
    """How far an export is."""

    state: Literal["running", "done", "failed", "cancelled"]
    progress: float = 0.0
    bytes_written: int = 0
    error: str | None = None
    path: str | None = None
    sha256: str | None = None
    files: list[ExportFile] = []


class DelayFigures(_Value):
    """Quantiles in µs."""

    p50_us: int = 0
    p95_us: int = 0
    p99_us: int = 0


class WebRtcFigures(_Value):
    """What the WebRTC output did since the start (`media_io::whep::WhepStats` says more of each)."""

    viewers: int = 0
    connected: int = 0
    opened: int = 0
    refused: int = 0
    timed_out: int = 0
    failed: int = 0
    datagrams_received: int = 0
    datagrams_unknown: int = 0
    datagrams_malformed: int = 0
    datagrams_sent: int = 0
    bytes_sent: int = 0
    send_errors: int = 0
    units_dropped: int = 0
    key_requests: int = 0
    key_resends: int = 0
    nacked_packets: int = 0
    retransmissions: int = 0
    retransmissions_refused: int = 0
    feedback_refused: int = 0
    moves: int = 0
    switches_up: int = 0
    switches_down: int = 0
    viewers_on_sub: int = 0
    tcp_connections: int = 0
    tcp_refused: int = 0
    transcoders_running: int = 0
    transcoder_restarts: int = 0
    transcoded_packets: int = 0
    transcoder_units_dropped: int = 0
    transcoder_units_malformed: int = 0
    delay: DelayFigures = DelayFigures()


class TapFigures(_Value):
    """What went to worker processes since the start."""

    open: int = 0
    units: int = 0
    units_dropped: int = 0


class MediaMetrics(_Value):
    """Counters since the start, and the state of the disks."""

    bytes_written_total: int = 0
    fragments_written_total: int = 0
    syncs_total: int = 0
    write_errors_total: int = 0
    disk_free_bytes: int = 0
    disk_total_bytes: int = 0
    recorded_bytes: int = 0
    # The disk figures count a file system once that several of these share.
    volumes: tuple[VolumeStatus, ...] = ()
    http_requests_total: int = 0
    webrtc: WebRtcFigures | None = None
    taps: TapFigures = TapFigures()


class RepairReport(_Value):
    """What the start found in the archive."""

    files_checked: int = 0
    files_repaired: int = 0
    bytes_cut: int = 0
    records_rebuilt: int = 0
    duration_us: int = 0
    problems: list[str] = []


class TlsMaterial(_Value):
    """A certificate (with its chain) and its private key, both PEM."""

    certificate_pem: str
    key_pem: SecretStr


class WebRtcSettings(_Value):
    """Live pictures to browsers."""

    udp_port: int = 8189
    tcp_port: int = 8189
    # "IP", "IP:port" or "[IPv6]:port"; the port is the same as here where none is given.
    public_addresses: tuple[str, ...] = ()
    max_viewers: int = 1000
    # The program that makes Opus of a camera's AAC, with its arguments; without one such cameras are not heard.
    audio_worker: list[str] | None = None


class EngineSettings(_Value):
    """How the media core is started."""

    fragment_ms: int = 500
    sync_ms: int = 1000
    worker_threads: int = 2
    allow_local_cameras: bool = False
    # Every recording gets its SHA-256 as it is written.
    checksums: bool = True
    webrtc: WebRtcSettings = WebRtcSettings()
    # None: {data_dir}/storage is one, called `main`.
    volumes: tuple[Volume, ...] = ()


class FrontSettings(_Value):
    """How the public listener is opened."""

    host: str
    port: int
    upstream: str
    static_dir: str | None = None
    grant_key: SecretStr
    tls: TlsMaterial | None = None
    media_concurrency: int = 256


class MediaIngest(Protocol):
    """Connections to cameras."""

    def set_camera(self, camera_id: str, source: CameraSource) -> None:
        """Adds or replaces; unchanged streams keep their connection."""
        ...

    def remove_camera(self, camera_id: str) -> None:
        """Does nothing when the camera is not there."""
        ...

    def camera_status(self, camera_id: str) -> CameraStatus:
        """Raises Failure(not_found)."""
        ...

    def camera_statuses(self) -> Mapping[str, CameraStatus]: ...


class MediaArchive(Protocol):
    """Recordings."""

    def timeline(self, camera_id: str, start_us: int, end_us: int) -> Timeline:
        """Empty when nothing is recorded."""
        ...

    def picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        """Raises Failure(not_found) when nothing is recorded there."""
        ...

    def key_picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        """The newest key frame not after the instant, as a picture of one unit.

        Raises Failure(not_found) when nothing is recorded there.
        """
        ...

    def export_start(self, export_id: str, order: ExportOrder) -> None:
        """Raises Failure(not_found) when nothing is recorded in the span."""
        ...

    def export_progress(self, export_id: str) -> ExportProgress:
        """Raises Failure(not_found)."""
        ...

    def export_cancel(self, export_id: str) -> None: ...

    def media_metrics(self) -> MediaMetrics: ...

    def repair_report(self) -> RepairReport: ...


class MediaLive(Protocol):
    """Live viewers."""

    def picture_now(self, camera_id: str, stream: str) -> Picture:
        """Raises Failure(conflict) when the camera shows nothing."""
        ...

    def whep_open(self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None) -> tuple[str, str]:
        """(session id, answer). With the stream `auto` the tile's height in device pixels helps to choose.

        Raises Failure of unsupported, malformed, exhausted or conflict.
        """
        ...

    def whep_patch(self, session_id: str, fragment: str) -> None:
        """Raises Failure(not_found)."""
        ...

    def whep_resize(self, session_id: str, tile_height_px: int) -> None:
        """Raises Failure(not_found)."""
        ...

    def whep_rtp_offset(self, session_id: str) -> int | None:
        """The RTP timestamp of a live picture in the session is (at_us × 9 ÷ 100, rounded down, + this) modulo 2³². It
        changes where the stream does and where the camera's clock jumps. None before the first live picture, and where
        viewers are served elsewhere. Raises Failure(not_found)."""
        ...

    def whep_close(self, session_id: str) -> None:
        """Raises Failure(not_found)."""
        ...


class MediaTap(Protocol):
    """Cameras' access units for worker processes: motion, analysis."""

    def tap(
        self, camera_id: str, stream: str, fd: int, *, all_tracks: bool = False, key_frames_only: bool = False
    ) -> int:
        """Writes them, as `vms.contracts.tap` says, into a duplicate of `fd`, a pipe or a stream socket; the tap's
        number. `main` stands in for a missing `sub`. It ends with the reader and with the camera. A reader that is slow
        misses whole GOPs and holds up nobody.

        Raises Failure(not_found) when the camera is not there.
        """
        ...

    def untap(self, number: int) -> None:
        """Does nothing when the tap has ended."""
        ...


class MediaFront(Protocol):
    """The public listener and the life of the whole core."""

    def start_front(self, settings: FrontSettings) -> int:
        """The port that is listened on. Raises Failure(conflict) when it is taken."""
        ...

    def close(self, timeout_s: float) -> None:
        """Ends everything: cameras, their fragments and files first, then viewers, then the listener."""
        ...
