"""Recording and understanding side by side: cameras with a main and a sub stream, all recorded, all analysed.

The pictures show real footage (people on bicycles), each camera's sub stream at 640×360; a tripwire across the picture
and a zone around all of it make events. What recording lost is counted by the frame numbers inside the files; delays
are the server's own, of every picture from its arrival to its tracks, and to its events on the disk.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from benchmarks.process_usage import Usage, descendants, usage
from benchmarks.recorded_stamps import stamps_of_camera
from benchmarks.report import Figure, percentile
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras
from vms.adapters.footage.library import _packaged

MAIN = {"width": 1920, "height": 1080, "fps": 15, "bitrate_bps": 4_000_000, "gop_seconds": 2.0}
SUB = {"width": 640, "height": 360, "fps": 15, "bitrate_bps": 500_000, "gop_seconds": 2.0, "with_audio": False}
TRIPWIRE = {"kind": "tripwire", "id": "middle", "name": "Middle", "line": [[0.5, 0.0], [0.5, 1.0]], "labels": []}
ZONE = {"kind": "zone", "id": "all", "name": "All", "zone": [[0, 0], [1, 0], [1, 1], [0, 1]], "labels": []}
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def measure(
    cameras: int = 16, fps: float = 2.0, *, window_s: float = 60, warm_up_s: float = 20, models_dir: Path | None = None
) -> list[Figure]:
    """Delays in ms, and what the server and its workers take of the cores, with `cameras` at `fps` pictures a second.

    `models_dir`: where the models are, if not with the installation.
    """
    footage = _packaged("bikes.mp4")
    moving = {**SUB, "footage": str(footage)} if footage.is_file() else SUB
    environment = {"VMS_AI__ENABLED": "true", "VMS_RECORDING__THUMBNAILS": "false", "VMS_RECORDING__CHECKSUMS": "false"}
    if models_dir is not None:
        environment["VMS_AI__MODELS_DIR"] = str(models_dir)
    with (
        SimulatedCameras(2 * cameras, stamp=True, clips=[MAIN, moving]) as simulator,
        tempfile.TemporaryDirectory() as directory,
    ):
        data_dir = Path(directory) / "data"
        with RunningServer(data_dir, environment=environment, log=Path(directory) / "log") as server:
            ids = [_add(server, simulator, number) for number in range(cameras)]
            for camera_id in ids:
                server.wait_for_state(camera_id, "online", timeout_s=30)
            before = usage_by_role(server.pid)
            settings = {"enabled": True, "least_fps": min(1.0, fps), "most_fps": fps, "rules": [TRIPWIRE, ZONE]}
            for camera_id in ids:
                server.client.patch(f"/cameras/{camera_id}", json={"analysis": settings}).raise_for_status()
            _wait_until_running(server, ids)
            time.sleep(warm_up_s)
            first, before, began = _totals(server), usage_by_role(server.pid), time.monotonic()
            time.sleep(window_s)
            last, after, elapsed_s = _totals(server), usage_by_role(server.pid), time.monotonic() - began
            states = [server.get(f"/cameras/{camera_id}/analysis") for camera_id in ids]
            pool = server.get("/ai/pool")
            devices = server.get("/ai/devices")["items"]
            events = len(server.get("/events", limit=1000)["items"])
        lost = sum(_gaps(data_dir, camera_id) for camera_id in ids)
    analysed = last["vms_ai_analysed_total"] - first["vms_ai_analysed_total"]
    dropped = last["vms_ai_dropped_total"] - first["vms_ai_dropped_total"]
    model = next((model for device in devices for model in device["models"]), {"p50_ms": 0.0})
    name = f"{cameras} cameras at {fps:g}/s"
    return [
        Figure(f"{name}: pictures understood per second and camera", analysed / elapsed_s / cameras, "1/s"),
        Figure(f"{name}: arrival → tracks, median", percentile((s["delay_p50_ms"] for s in states), 0.5), "ms"),
        Figure(f"{name}: arrival → tracks, P95 of the slowest", max(s["delay_p95_ms"] for s in states), "ms", 500),
        Figure(f"{name}: arrival → event on the disk, P95", last["event_p95"], "ms", 500),
        Figure(f"{name}: arrival → tracks, the longest", max(s["longest_ms"] for s in states), "ms", 1000),
        Figure(f"{name}: wait for a device, P95", pool["waited_p95_ms"], "ms"),
        Figure(f"{name}: the model, median", model["p50_ms"], "ms"),
        Figure(f"{name}: pictures left out", dropped / max(1.0, analysed + dropped) * 100, "%"),
        Figure(f"{name}: events found", events, ""),
        Figure(f"{name}: frames that the recording lacks", lost, "", 0),
        *(
            Figure(f"{name}: CPU of {role}", (after[role].cpu_s - before[role].cpu_s) / elapsed_s * 100, "% of a core")
            for role in sorted(after)
            if role in before
        ),
    ]


def _add(server: RunningServer, simulator: SimulatedCameras, number: int) -> str:
    streams = {"main": {"url": simulator.url(2 * number)}, "sub": {"url": simulator.url(2 * number + 1)}}
    # The files of one stream, so that their frame numbers follow each other.
    recording = {"mode": "continuous", "streams": {"sub": "off"}}
    return server.add_camera(f"camera {number}", simulator.url(2 * number), streams=streams, recording=recording)


def _wait_until_running(server: RunningServer, ids: list[str], timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        states = [server.get(f"/cameras/{camera_id}/analysis") for camera_id in ids]
        if all(state["state"] == "running" for state in states):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"analysis does not run: {states}\n{server.log_path.read_text()[-3000:]}")
        time.sleep(0.5)


def _totals(server: RunningServer) -> dict[str, float]:
    """Sums over all cameras of the metrics."""
    totals: dict[str, float] = {"vms_ai_analysed_total": 0.0, "vms_ai_dropped_total": 0.0, "event_p95": 0.0}
    text = server.client.get(f"{server.url}/metrics").text
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is None:
            continue
        name, labels, value = match.group(1), match.group(2) or "", float(match.group(3))
        if name in totals:
            totals[name] += value
        elif name == "vms_ai_event_delay_ms" and 'quantile="0.95"' in labels:
            totals["event_p95"] = value
    return totals


def usage_by_role(pid: int) -> dict[str, Usage]:
    """Of the server and its workers, by the module that they run."""
    roles: dict[str, list[int]] = {}
    for found in descendants(pid):
        try:
            command = Path(f"/proc/{found}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        module = command[command.index("-m") + 1] if "-m" in command else Path(command[0]).name
        role = {
            "vms": "the server",
            "vms.adapters.frames.worker": "decoding",
            "vms.adapters.inference.worker": "models",
        }.get(module, module)
        roles.setdefault(role, []).append(found)
    return {role: usage(pids) for role, pids in roles.items()}


def _gaps(data_dir: Path, camera_id: str) -> int:
    frames = [stamp.frame for stamp in stamps_of_camera(data_dir, camera_id)]
    if not frames:
        return 1
    return (frames[-1] - frames[0] + 1) - len(set(frames))
