"""Metrics in the Prometheus text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from vms.contracts.storage import StorageUsage
from vms.domain.cameras import Camera, CameraState, CameraStatus

_STATES: tuple[str, ...] = get_args(CameraState)
Sample = tuple[Mapping[str, str], float]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        number = str(int(value)) if value == int(value) else repr(float(value))
        lines.append(f"{name}{{{inside}}} {number}" if inside else f"{name} {number}")
    return lines


def exposition(cameras: Sequence[Camera], statuses: Mapping[str, CameraStatus], usage: StorageUsage) -> str:
    """The whole page. Labels of a camera: `camera` (identifier) and `name`."""
    each = [({"camera": camera.id, "name": camera.name}, statuses.get(camera.id, CameraStatus())) for camera in cameras]
    media = usage.media
    used = max(0, media.disk_total_bytes - media.disk_free_bytes)
    families: list[tuple[str, str, str, list[Sample]]] = [
        ("vms_camera_status", "gauge", "1 while the camera is online, else 0.",
         [(labels, status.state == "online") for labels, status in each]),
        ("vms_camera_state", "gauge", "1 for the state that the camera is in, 0 for the others.",
         [({**labels, "state": state}, status.state == state) for labels, status in each for state in _STATES]),
        ("vms_camera_recording", "gauge", "1 while the camera is being recorded, else 0.",
         [(labels, status.recording) for labels, status in each]),
        ("vms_camera_fps", "gauge", "Pictures per second of the main stream.",
         [(labels, status.fps) for labels, status in each]),
        ("vms_camera_bitrate", "gauge", "Bits per second of the main stream.",
         [(labels, status.bitrate_bps) for labels, status in each]),
        ("vms_camera_reconnects_total", "counter", "Connections lost and made again.",
         [(labels, status.reconnects) for labels, status in each]),
        ("vms_camera_rtp_lost_total", "counter", "RTP packets that never came.",
         [(labels, status.rtp_lost) for labels, status in each]),
        ("vms_camera_last_frame_timestamp_seconds", "gauge", "When the last picture came, Unix time.",
         [(labels, status.last_frame_us / 1e6) for labels, status in each if status.last_frame_us is not None]),
        ("vms_write_throughput", "gauge", "Bytes per second written to the archive in the last ten seconds.",
         [({}, usage.write_bytes_per_second)]),
        ("vms_written_bytes_total", "counter", "Bytes written to the archive.", [({}, media.bytes_written_total)]),
        ("vms_written_fragments_total", "counter", "Fragments written.", [({}, media.fragments_written_total)]),
        ("vms_syncs_total", "counter", "Group syncs to the disk.", [({}, media.syncs_total)]),
        ("vms_write_errors_total", "counter", "Writes that the disk refused.", [({}, media.write_errors_total)]),
        ("vms_disk_usage_bytes", "gauge", "Bytes used on the archive's disk, by anything.", [({}, used)]),
        ("vms_disk_free_bytes", "gauge", "Bytes free on the archive's disk.", [({}, media.disk_free_bytes)]),
        ("vms_disk_size_bytes", "gauge", "Size of the archive's disk.", [({}, media.disk_total_bytes)]),
        ("vms_recorded_bytes", "gauge", "Bytes of recordings.", [({}, media.recorded_bytes)]),
        ("vms_whep_viewers", "gauge", "Live WebRTC viewers.", [({}, media.whep_viewers)]),
        ("vms_whep_viewers_on_sub", "gauge", "Live viewers that were given the sub stream in place of the main one.",
         [({}, media.whep_viewers_on_sub)]),
        ("vms_whep_switches_total", "counter", "Changes of live viewers up to the main or down to the sub stream.",
         [({"direction": "up"}, media.whep_switches_up_total),
          ({"direction": "down"}, media.whep_switches_down_total)]),
        ("vms_http_requests_total", "counter", "Requests that the front saw.", [({}, media.http_requests_total)]),
        ("vms_unit_delay_seconds", "gauge", "Delay inside the server from socket to socket.",
         [({"quantile": name}, value / 1e6) for name, value in
          (("0.5", media.unit_delay_us.p50), ("0.95", media.unit_delay_us.p95), ("0.99", media.unit_delay_us.p99))]),
    ]  # fmt: skip
    lines = [line for family in families for line in _family(*family)]
    return "\n".join(lines) + "\n"
