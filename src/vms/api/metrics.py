"""Metrics in the Prometheus text format (version 0.0.4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from vms.api.analysis_metrics import SERIES, Family, Sample, analysis_families
from vms.contracts.analysis import AnalysisFigures
from vms.contracts.files import VolumeState, VolumeStatus
from vms.contracts.media import WebRtcFigures
from vms.contracts.storage import KeepingReport, Removed, StorageUsage, TierFigures
from vms.domain.cameras import Camera, CameraState, CameraStatus

_STATES: tuple[str, ...] = get_args(CameraState)
_VOLUME_STATES: tuple[str, ...] = get_args(VolumeState)
# Fields of WebRtcFigures that only grow, and what they count.
_WEBRTC_COUNTERS = {
    "opened": "Live sessions agreed on.",
    "refused": "Offers refused: malformed, no common codec, too many viewers, nothing to show.",
    "timed_out": "Live sessions whose viewer fell silent or never connected.",
    "failed": "Live sessions ended by an error of the protocol.",
    "datagrams_received": "Datagrams from viewers.",
    "datagrams_unknown": "Datagrams that belong to no session.",
    "datagrams_malformed": "Datagrams to a session that are of no protocol, or forged.",
    "datagrams_sent": "Datagrams to viewers.",
    "bytes_sent": "Bytes to viewers, as UDP payload.",
    "send_errors": "Datagrams that the operating system refused to send.",
    "units_dropped": "Pictures left out for viewers that could not keep up.",
    "switches_up": "Changes of live viewers from the sub to the main stream.",
    "switches_down": "Changes of live viewers from the main to the sub stream.",
    "key_requests": "Requests for a key frame.",
    "key_resends": "Requests for a key frame answered from the GOP cache.",
    "nacked_packets": "Packets that viewers asked for again.",
    "retransmissions": "Packets sent again.",
    "retransmissions_refused": "Packets asked for that were too old, just sent again, or too many.",
    "feedback_refused": "Reports of viewers that sent too many.",
    "tcp_refused": "TCP connections closed because they were too many or no viewer's.",
    "moves": "Viewers that were followed to another address.",
    "transcoder_restarts": "Workers that make Opus of AAC which failed and were started anew.",
    "transcoded_packets": "Opus packets made of AAC.",
    "transcoder_units_dropped": "AAC frames that a worker did not take in time.",
    "transcoder_units_malformed": "AAC frames that cannot be decoded.",
}


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        # A histogram's samples say by the label __name__ which of its series they are of.
        series = name + labels.get(SERIES, "")
        inside = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items() if key != SERIES)
        number = _number(value)
        lines.append(f"{series}{{{inside}}} {number}" if inside else f"{series} {number}")
    return lines


def exposition(
    cameras: Sequence[Camera],
    statuses: Mapping[str, CameraStatus],
    usage: StorageUsage,
    *,
    keeping: KeepingReport | None = None,
    damaged_files: int | None = None,
    analysis: AnalysisFigures | None = None,
) -> str:
    """The whole page. Labels of a camera: `camera` (identifier) and `name`."""
    each = [({"camera": camera.id, "name": camera.name}, statuses.get(camera.id, CameraStatus())) for camera in cameras]
    media = usage.media
    used = max(0, media.disk_total_bytes - media.disk_free_bytes)
    families: list[Family] = [
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
        ("vms_http_requests_total", "counter", "Requests that the front saw.", [({}, media.http_requests_total)]),
    ]  # fmt: skip
    if keeping is not None:
        families += _keeping(keeping)
    if damaged_files is not None:
        text = "Recordings and chains that verifying found damaged."
        families.append(("vms_storage_damaged_files", "gauge", text, [({}, damaged_files)]))
    families += _volumes(media.volumes)
    if usage.tiers is not None:
        families += _tiers(usage.tiers)
    families += _webrtc(media.webrtc or WebRtcFigures())
    if analysis is not None:
        families += analysis_families(analysis)
    lines = [line for family in families for line in _family(*family)]
    return "\n".join(lines) + "\n"


def _keeping(report: KeepingReport) -> list[Family]:
    days: list[Sample] = []
    for volume in report.volumes:
        if volume.forecast.outcome == "unknown" or volume.forecast.days is None:
            continue
        full = volume.forecast.outcome == "full"
        days.append(({"volume": volume.status.name}, volume.forecast.days if full else math.inf))
    removed: list[tuple[Mapping[str, str], Removed]] = [
        ({"reason": reason}, figures) for reason, figures in sorted(report.removed.items())
    ]
    return [
        ("vms_storage_days_left", "gauge", "Days until the volume is full; +Inf where retention keeps it from filling.",
         days),
        ("vms_storage_removed_files_total", "counter", "Recordings removed by rule.",
         [(labels, figures.files) for labels, figures in removed]),
        ("vms_storage_removed_bytes_total", "counter", "Bytes freed by removing recordings by rule.",
         [(labels, figures.size_bytes) for labels, figures in removed]),
        ("vms_storage_removes_by_age", "gauge", "0 while the clock is not believed and nothing is removed by age.",
         [({}, report.removes_by_age)]),
    ]  # fmt: skip


def _tiers(figures: TierFigures) -> list[Family]:
    return [
        ("vms_tiers_moved_files_total", "counter", "Recordings moved to slower places.",
         [({}, figures.moved_files_total)]),
        ("vms_tiers_moved_bytes_total", "counter", "Bytes of recordings moved to slower places.",
         [({}, figures.moved_bytes_total)]),
        ("vms_tiers_failures_total", "counter", "Moves that failed and are tried again.",
         [({}, figures.failures_total)]),
        ("vms_tiers_objects", "gauge", "Recordings in the object storage.", [({}, figures.objects)]),
        ("vms_tiers_object_bytes", "gauge", "Bytes of recordings in the object storage.",
         [({}, figures.object_bytes)]),
        ("vms_tiers_cost_per_month", "gauge", "What they cost a month by the configured price.",
         [({}, figures.cost_per_month)]),
    ]  # fmt: skip


def _volumes(volumes: Sequence[VolumeStatus]) -> list[Family]:
    each: list[tuple[Mapping[str, str], VolumeStatus]] = [({"volume": volume.name}, volume) for volume in volumes]
    states: list[Sample] = [
        ({**labels, "state": state}, volume.state == state) for labels, volume in each for state in _VOLUME_STATES
    ]
    return [
        ("vms_volume_free_bytes", "gauge", "Bytes free on the volume's file system.",
         [(labels, volume.free_bytes) for labels, volume in each]),
        ("vms_volume_total_bytes", "gauge", "Size of the volume's file system.",
         [(labels, volume.total_bytes) for labels, volume in each]),
        ("vms_volume_recorded_bytes", "gauge", "Bytes of recordings on the volume.",
         [(labels, volume.recorded_bytes) for labels, volume in each]),
        ("vms_volume_state", "gauge", "1 for the state that the volume is in, 0 for the others.", states),
        ("vms_volume_written_bytes_total", "counter", "Bytes written to recordings on the volume.",
         [(labels, volume.bytes_written_total) for labels, volume in each]),
        ("vms_volume_write_errors_total", "counter", "Writes and syncs that failed on the volume.",
         [(labels, volume.write_errors_total) for labels, volume in each]),
    ]  # fmt: skip


def _webrtc(figures: WebRtcFigures) -> list[Family]:
    quantiles = (("0.5", figures.delay.p50_us), ("0.95", figures.delay.p95_us), ("0.99", figures.delay.p99_us))
    families: list[Family] = [
        ("vms_whep_viewers", "gauge", "Live WebRTC viewers.", [({}, figures.viewers)]),
        ("vms_whep_connected", "gauge", "Live WebRTC viewers whose connection stands.", [({}, figures.connected)]),
        ("vms_whep_tcp_connections", "gauge", "TCP connections of live viewers.", [({}, figures.tcp_connections)]),
        ("vms_whep_viewers_on_sub", "gauge", "Live viewers that were given the sub stream in place of the main one.",
         [({}, figures.viewers_on_sub)]),
        ("vms_whep_transcoders_running", "gauge", "Worker processes that make Opus of cameras' AAC.",
         [({}, figures.transcoders_running)]),
        ("vms_unit_delay_seconds", "gauge", "Delay inside the server from socket to socket.",
         [({"quantile": name}, value / 1e6) for name, value in quantiles]),
    ]  # fmt: skip
    for name, text in _WEBRTC_COUNTERS.items():
        families.append((f"vms_whep_{name}_total", "counter", text, [({}, getattr(figures, name))]))
    return families
