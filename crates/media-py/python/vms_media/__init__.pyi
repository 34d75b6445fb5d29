"""The media core: what carries bytes (RTSP, recording, WebRTC, HTTP media routes), in Rust.

Structured arguments and results cross as JSON documents whose shapes are given here; the Python side validates them
with the models of `vms.contracts`. Every call releases the GIL. Times are integer µs since the Unix epoch.
"""

from collections.abc import Callable

class MediaError(Exception):
    """`kind` is one of invalid, malformed, unsupported, unauthorized, forbidden, not_found, conflict, exhausted,
    unavailable, internal; `str()` is one sentence."""

    kind: str

class Picture:
    """The access units from a key frame to the wanted picture, for a decoder in a worker process."""

    codec: str  # h264 | h265 | mjpeg | av1
    configuration: bytes  # avcC / hvcC / av1C; empty for mjpeg
    width: int
    height: int
    units: list[bytes]  # length-prefixed NAL units as recorded, in decoding order
    pts_90k: list[int]  # one per unit
    wanted_pts_90k: int  # the picture asked for is the one with the greatest pts not after this
    captured_us: int  # server time of that picture

class Content:
    """Bytes of recordings, made when they are read; the same etag means the same bytes."""

    size_bytes: int
    etag: str  # without quotes
    content_type: str
    start_us: int | None  # of playback: the first instant it presents
    next_start_us: int | None  # of playback: where to go on when it ends before the instant asked for

    def read_at(self, offset: int, max_bytes: int) -> bytes:
        """Up to max_bytes from offset; fewer only at an inner boundary, empty only at the end."""

class Engine:
    """Archive, hub, ingest, live and front of one process."""

    def __init__(self, data_dir: str, config: str) -> None:
        """Takes the lock of `data_dir/storage` (kind conflict when another process holds it), repairs torn tails,
        binds the WebRTC ports (udp_port 0 = off) and starts the media threads. config: {"fragment_ms","sync_ms",
        "worker_threads","allow_local_cameras":bool,"checksums":bool,"webrtc":{"udp_port","tcp_port" (0 = off),
        "public_addresses":["IP"|"IP:port"|"[IPv6]:port"],"max_viewers","audio_worker":[str]|null},
        "volumes":[{"name","path","weight":int,"tier":"fast|slow","reserve_bytes":int}] (none: `data_dir/storage` is
        one, `main`)}. audio_worker is the program that makes Opus of AAC, with its arguments. Unless
        allow_local_cameras, a camera whose name resolves to
        this machine or its link is not connected to."""

    def repair_report(self) -> str:
        """{"files_checked","files_repaired","bytes_cut","records_rebuilt","duration_us","problems":[str]}"""

    def set_camera(self, camera_id: str, config: str) -> None:
        """Adds or replaces a camera: {"streams": {"main": {"url","transport":"tcp|udp"}, "sub": …},
        "username": str|null, "password": str|null, "recording": {"main":"off|continuous|buffered", …}}. Streams that
        `recording` does not name are not recorded; buffered: in files of a minute, each beginning with a key frame.
        Unchanged streams keep their connection; a change between continuous and buffered loses no picture."""

    def remove_camera(self, camera_id: str) -> None: ...
    def camera_status(self, camera_id: str) -> str:
        """{"state":"connecting|online|offline|unauthorized|error","reason":str|null,"codec":str|null,"width","height",
        "fps":float,"bitrate_bps":int,"last_frame_us":int|null,"reconnects":int,"rtp_lost":int,"recording":bool,
        "recording_reason":str|null,"clock_offset_us":int|null,"units":int,"streams":{"main":{…the same…},"sub":{…}}}"""

    def camera_statuses(self) -> str:
        """{camera_id: status} of every camera."""

    def timeline(self, camera_id: str, start_us: int, end_us: int) -> str:
        """{"ranges":[{"start_us","end_us","stream"}],"gaps":[{"start_us","end_us","cause"}]}"""

    def file_changes(self, after_revision: int) -> str:
        """{"revision":int,"whole":bool,"files":[{"camera_id","stream","name","volume","start_us","end_us","size_bytes",
        "sealed":bool,"sha256":hex|null,"object_key":str|null}],"removed":[{"camera_id","name"}]}: what became of the
        files after a revision, in order; 0, and a revision that is too old, get all there is (whole)."""

    def remove_file(self, camera_id: str, name: str) -> int:
        """Removes "2026-11-23/video_10.mp4", its index and its checksum; the bytes freed. not_found; conflict while it
        is being recorded."""

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None = None) -> str:
        """The SHA-256 of the .mp4 in hexadecimal; a sealed file without a checksum file gets one. not_found;
        unavailable when the engine is closed meanwhile."""

    def move_file(self, camera_id: str, name: str, volume: str, max_bytes_per_s: int | None = None) -> None:
        """Copies a closed file to a volume, reads the copy again, compares, and removes the original. not_found;
        conflict while it is being recorded or moved, or when it is an object; exhausted when the volume is full;
        unavailable when it is missing or failing; malformed when a checksum does not match (the original stays)."""

    def use_object(self, camera_id: str, name: str, object_key: str) -> int:
        """The .mp4 of a closed file is in the object storage: its first and last bytes are compared, then it goes from
        the volume; the bytes freed. not_found; conflict while it is being recorded or moved, or without a reader;
        unavailable; malformed when the object is not the same."""

    def read_objects_with(self, reader: Callable[[str, int, int], bytes]) -> None:
        """(key, offset, length) -> exactly so many bytes; called from any thread with the GIL. What it raises makes the
        request that needed the bytes fail (unavailable)."""

    def volumes(self) -> str:
        """[{"name","path","weight","tier","reserve_bytes","state":"ok|full|failing|missing","reason":str|null,
        "free_bytes","total_bytes","recorded_bytes","bytes_written_total","write_errors_total"}]"""
    def rebuild_index(self, camera_id: str, name: str) -> str:
        """Makes the index of a sealed file anew from its .mp4, in place of the one there is: {"records",
        "records_rebuilt" (missing or different before),"bytes_read"}. not_found; conflict while it is being recorded;
        malformed when the .mp4 is not whole fragments to its end, in which case the index stays as it is."""

    def picture_at(self, camera_id: str, at_us: int, stream: str = "main") -> Picture:
        """not_found when nothing is recorded there."""

    def key_picture_at(self, camera_id: str, at_us: int, stream: str = "main") -> Picture:
        """The newest key frame not after the instant, as one unit; not_found when nothing is recorded there."""

    def tap(
        self, camera_id: str, stream: str, fd: int, *, all_tracks: bool = False, key_frames_only: bool = False
    ) -> int:
        """Writes the stream's access units, as crates/media-io/src/tap.rs specifies, into a duplicate of `fd` (a pipe
        or a stream socket, which becomes non-blocking); the tap's number. `main` stands in for a missing `sub`. Ends
        when the reader goes away, and with the camera. not_found: no such camera; invalid: neither pipe nor socket."""

    def untap(self, number: int) -> None:
        """Without effect on one that has ended."""

    def picture_now(self, camera_id: str, stream: str = "main") -> Picture:
        """The newest key frame of the hub; conflict when the camera is known but shows nothing."""

    def whep_open(
        self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None = None
    ) -> tuple[str, str]:
        """(session id, answer SDP). With the stream "auto" whichever of main and sub suits the viewer's network and the
        height of its tile in device pixels (None: as large as can be). unsupported: no usable codec in the offer; malformed: no SDP; exhausted: too many
        viewers; conflict: the camera shows nothing yet."""

    def whep_patch(self, session_id: str, fragment: str) -> None: ...
    def whep_resize(self, session_id: str, tile_height_px: int) -> None:
        """Without effect on a session of a fixed stream."""

    def whep_rtp_offset(self, session_id: str) -> int | None:
        """The RTP timestamp of a live picture in the session is (at_us * 9 // 100 + this) mod 2**32. It changes where
        the stream does and where the camera's clock jumps; None before the first live picture. not_found."""

    def whep_close(self, session_id: str) -> None: ...
    def export_start(self, export_id: str, request: str) -> None:
        """{"camera_ids":[str],"start_us","end_us","format":"mp4|zip","directory":str}: writes files there in the
        background. not_found when nothing is recorded."""

    def export_progress(self, export_id: str) -> str:
        """{"state":"running|done|failed|cancelled","progress":0.0-1.0,"bytes_written":int,"error":str|null,
        "path":str|null,"sha256":str|null,"files":[{"name","size_bytes","sha256"}]}"""

    def export_cancel(self, export_id: str) -> None: ...
    def playback_open(self, camera_id: str, stream: str, start_us: int, end_us: int) -> Content:
        """[start_us, end_us) as one MP4. not_found when nothing is recorded there, invalid for a span that is none."""

    def hls_playlist(self, camera_id: str, stream: str, start_us: int, end_us: int) -> str:
        """A media playlist (RFC 8216) whose URIs are init-NAME.mp4 and segment-NAME.m4s."""

    def hls_init(self, camera_id: str, stream: str, name: str) -> Content: ...
    def hls_segment(
        self,
        camera_id: str,
        stream: str,
        name: str,
        granted_start_us: int | None = None,
        granted_end_us: int | None = None,
    ) -> Content:
        """not_found for a name of none; forbidden when it reaches beyond the granted time (None: no bound)."""

    def start_front(self, config: str) -> int:
        """{"host","port","upstream":path of the application's Unix socket,"static_dir":str|null,"grant_key":hex,
        "tls":{"certificate_pem","key_pem"}|null,"media_concurrency":int}. Returns the bound port."""

    def media_metrics(self) -> str:
        """{"bytes_written_total","fragments_written_total","syncs_total","write_errors_total","disk_free_bytes",
        "disk_total_bytes","recorded_bytes","volumes":[as `volumes`],"http_requests_total",
        "webrtc":null or what `media_io::whep::WhepStats` holds:
        counters, "send_method":"segmented|batched|single", "delay":{"count","p50_us","p95_us","p99_us","max_us"},
        "taps":{"open","units","units_dropped"}}"""

    def close(self, timeout_s: float = 4.0) -> None:
        """Leaves the cameras and closes every fragment and file, says good-bye to viewers, stops the front."""

class Front:
    """The public listener of a process without an archive: requests for recordings go to the application too."""

    port: int

    def __init__(self, config: str, worker_threads: int = 2) -> None:
        """The document of `Engine.start_front`. conflict when the port is taken."""

    def http_requests_total(self) -> int: ...
    def close(self, timeout_s: float = 2.0) -> None: ...

class Simulator:
    """An RTSP server of simulated cameras: path /cam/N (N from 0) shows source N % len(sources)."""

    def __init__(self, host: str, port: int, cameras: int, *, username: str | None = None,
                 password: str | None = None, stamp: bool = False, packet_writes: bool = False) -> None:
        """`stamp` puts an SEI with the frame's number and send time before every picture."""

    def add_source(self, track_kinds: list[str], configuration: list[bytes], clock_rates: list[int], channels: list[int],
                   units: list[tuple[int, int, int, bool, bytes]]) -> int:
        """One looped clip: codec names per track; units are (track, pts ticks, dts ticks, key, bytes in the form that
        the codec documents) in sending order. Returns its number."""

    def start(self) -> int:
        """Starts listening; the bound port."""

    def set_fault(self, camera: int, fault: str) -> None:
        """JSON {"drop_ratio","reorder_ratio","stall_ms","disconnect":bool,"switch_source":int,"clock_jump_ms",
        "clock_drift_ppm","unauthorized":bool}; absent keys mean none."""

    def stats(self) -> str:
        """{"clients","frames_sent","bytes_sent","frames_late"}"""

    def stop(self) -> None: ...

class Grants:
    """Signs and checks the grants that the front accepts (same format in `vms_media` and in the front)."""

    def __init__(self, key_hex: str) -> None: ...
    def sign(self, claims: str) -> str:
        """{"camera_id","action":"live|playback|export","stream":str|null,"start_us":int|null,"end_us":int|null,
        "starts_before":unix seconds,"expires_at":unix seconds,"subject":str}"""
    def verify(self, token: str) -> str: ...

def log_to_stderr(level: str, json: bool) -> None: ...
def version() -> str: ...

def make_sparse_archive(data_dir: str, camera_id: str, start_us: int, end_us: int) -> int:
    """Writes an archive of 1080p30, 4 Mbit/s with true indexes and fragment headers and sparse pictures, for benches,
    in whole hours around [start_us, end_us). The number of files. The directory must not be in use (conflict)."""
