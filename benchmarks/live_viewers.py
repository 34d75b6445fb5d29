"""Many viewers of one recorded camera over WHEP: what they cost the server, and what they see.

The server is bound to cores of its own; the viewers (`crates/media-io/examples/whep_load.rs`), the camera and this
process share another. The figures include recording, reports and retransmission.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

REPOSITORY = Path(__file__).parents[1]
CLIPS: dict[str, dict[str, int]] = {
    "720p": {"width": 1280, "height": 720, "bitrate_bps": 1_500_000},
    "1080p": {"width": 1920, "height": 1080, "bitrate_bps": 4_000_000},
}
# Without a setting the server admits this many.
DEFAULT_MAX_VIEWERS = 1000
# Targets are said for one core, and for these numbers of viewers at these resolutions.
CORE_TARGETS = {("720p", 1000): 0.6, ("1080p", 400): 0.5}
PACKET_TARGET_US = 3.6
# What a viewer took is free this long after it has left.
AFTERWARDS_S = 10
# What viewers that stall or mean harm may cost the others.
DISTURBANCE_TARGET_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Load:
    """What to put on the server. `bitrate_bps`: None for that of the resolution."""

    viewers: int
    joins_per_second: float = 50
    window_s: float = 20
    resolution: str = "720p"
    bitrate_bps: int | None = None
    audio: bool = False
    stalled: int = 0
    hostile: int = 0
    lose_percent: float = 0
    trains: bool = False
    server_cores: str = "0"
    client_core: int = 1


def measure(load: Load) -> list[Figure]:
    """One run; with stalled or hostile viewers a second, before it, without them."""
    binary = _build()
    if not load.stalled + load.hostile:
        return _figures(load, _run(load, binary))
    undisturbed = _run(replace(load, stalled=0, hostile=0), binary)
    disturbed = _run(load, binary)
    return _figures(load, disturbed) + _disturbance(undisturbed, disturbed)


def _run(load: Load, binary: str) -> dict[str, Any]:
    """What the viewers report of a server of their own."""
    clip = dict(CLIPS[load.resolution])
    if load.bitrate_bps is not None:
        clip["bitrate_bps"] = load.bitrate_bps
    everyone = load.viewers + load.stalled + load.hostile
    environment = {}
    if everyone > DEFAULT_MAX_VIEWERS:
        environment["VMS_WEBRTC__MAX_VIEWERS"] = str(everyone)
    with (
        _on_core(load.client_core),
        SimulatedCameras(1, clips=[clip], stamp=True) as cameras,
        tempfile.TemporaryDirectory() as directory,
        RunningServer(Path(directory) / "data", environment=environment, cores=load.server_cores) as server,
    ):
        camera_id = server.add_camera("live", cameras.url(0))
        server.wait_for_state(camera_id, "online")
        server.wait_for_recording(camera_id, 3)
        run = subprocess.run(
            [binary, *_arguments(load, server, camera_id)],
            capture_output=True,
            check=False,
            text=True,
            timeout=120 + AFTERWARDS_S + load.window_s + everyone / load.joins_per_second,
        )
    if run.returncode != 0:
        raise RuntimeError(f"the viewers failed:\n{run.stderr[-3000:]}")
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def _disturbance(undisturbed: dict[str, Any], disturbed: dict[str, Any]) -> list[Figure]:
    """How much later the others get their pictures."""
    before, after = undisturbed["delay_ms"]["p95"], disturbed["delay_ms"]["p95"]
    rise_percent = 100 * (after / before - 1)
    return [
        Figure("undisturbed: time to first packet, P95", undisturbed["time_to_first_packet_ms"]["p95"], "ms"),
        Figure("undisturbed: delay from the camera to the viewer, median", undisturbed["delay_ms"]["p50"], "ms"),
        Figure("undisturbed: delay from the camera to the viewer, P95", before, "ms"),
        Figure("undisturbed: server's CPU", undisturbed["server"]["cores"], "cores"),
        Figure("rise of the delay's P95 by the disturbance", rise_percent, "%", DISTURBANCE_TARGET_PERCENT),
    ]


def _arguments(load: Load, server: RunningServer, camera_id: str) -> list[str]:
    token = server.client.headers["Authorization"].removeprefix("Bearer ")
    return [
        *("--url", f"{server.url}/api/v1/cameras/{camera_id}/live/whep", "--bearer", token),
        *("--viewers", str(load.viewers), "--stalled", str(load.stalled), "--hostile", str(load.hostile)),
        *("--joins-per-second", str(load.joins_per_second), "--seconds", str(load.window_s)),
        *("--audio", "yes" if load.audio else "no", "--lose-percent", str(load.lose_percent)),
        *("--trains", "yes" if load.trains else "no"),
        *("--server-pid", str(server.pid), "--afterwards-seconds", str(AFTERWARDS_S)),
    ]


def _figures(load: Load, report: dict[str, Any]) -> list[Figure]:
    first, delay, server = report["time_to_first_packet_ms"], report["delay_ms"], report["server"]
    grown_mb = (server["rss_bytes"] - server["rss_before_bytes"]) / 1e6
    kept_mb = (server["rss_afterwards_bytes"] - server["rss_before_bytes"]) / 1e6
    scale = load.viewers >= DEFAULT_MAX_VIEWERS
    figures = [
        Figure("viewers connected", report["connected_at_end"], "", load.viewers, at_least=True),
        Figure("time to first packet, median", first["p50"], "ms"),
        Figure("time to first packet, P95", first["p95"], "ms", 300 if load.joins_per_second <= 50 else 1000),
        Figure("delay from the camera to the viewer, median", delay["p50"], "ms"),
        Figure("delay from the camera to the viewer, P95", delay["p95"], "ms", 20),
        Figure("delay from the camera to the viewer, P99", delay["p99"], "ms"),
        Figure("packets received per second", report["packets"] / report["window_s"], "/s"),
        Figure("packets lost after repair", report["lost"], "packets", 0),
        Figure("packets retransmitted", report["retransmitted"], "packets"),
        Figure("datagrams dropped by full sockets", report["socket_drops"], "packets"),
        Figure("server's CPU per packet", server["cpu_us_per_packet"], "µs", PACKET_TARGET_US),
        Figure("server's CPU", server["cores"], "cores", CORE_TARGETS.get((load.resolution, load.viewers))),
        Figure("server's memory above idle", grown_mb, "MB", 120 if scale else None),
        Figure(f"memory above idle {AFTERWARDS_S} s after they left", kept_mb, "MB"),
        Figure("viewers' CPU", report["client_cores"], "cores"),
    ]
    figures += [Figure(f"not connected: {reason}", count, "") for reason, count in report["failures"].items()]
    return figures


def _build() -> str:
    subprocess.run(
        [
            "cargo",
            "build",
            "--quiet",
            "--release",
            "--locked",
            "-p",
            "media-io",
            "--features",
            "load",
            "--example",
            "whep_load",
        ],
        cwd=REPOSITORY,
        check=True,
    )
    return str(REPOSITORY / "target" / "release" / "examples" / "whep_load")


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Binds this process and what it starts to `core`, where the machine has it."""
    before = os.sched_getaffinity(0)
    if core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
