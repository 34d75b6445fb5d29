"""What receiving a camera costs without recording it: our RTSP client beside retina's, on the same cameras.

Both read H.264 over TCP into access units and throw them away; the simulator's own processor time is not counted.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks.process_usage import usage
from benchmarks.report import Figure
from benchmarks.simulated_cameras import REPOSITORY, SimulatedCameras

_RETINA = REPOSITORY / "benchmarks" / "retina_peer"


def measure(cameras: int = 50, *, window_s: float = 20, rounds: int = 2) -> list[Figure]:
    """Percent of one core per camera of both clients, in turn, `rounds` times each; the better round counts."""
    ours, retina = _build_ours(), _build_retina()
    with SimulatedCameras(cameras) as simulator:
        urls = [simulator.url(n) for n in range(cameras)]
        measured = [(_percent(ours, urls, window_s), _percent(retina, urls, window_s)) for _ in range(rounds)]
    our_percent = min(ours_percent for ours_percent, _ in measured)
    retina_percent = min(percent for _, percent in measured)
    return [
        Figure(f"receiving, CPU per camera at {cameras}", our_percent, "% of a core"),
        Figure(f"retina 0.4, CPU per camera at {cameras}", retina_percent, "% of a core"),
        Figure("retina's CPU over ours", retina_percent / our_percent if our_percent else 0.0, "×"),
    ]


def _build_ours() -> list[str]:
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "media-io", "--example", "ingest"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return [str(REPOSITORY / "target/release/examples/ingest"), "--seconds", "3600"]


def _build_retina() -> list[str]:
    target = Path("target") / "release" / "retina-peer"
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=_RETINA, check=True)
    return [str(_RETINA / target)]


def _percent(client: list[str], urls: list[str], window_s: float) -> float:
    with subprocess.Popen([*client, *urls], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{client[0]} did not receive every camera")
            time.sleep(3)
            before, began = usage([process.pid]), time.monotonic()
            time.sleep(window_s)
            after, elapsed_s = usage([process.pid]), time.monotonic() - began
        finally:
            process.kill()
    return (after.cpu_s - before.cpu_s) / elapsed_s / len(urls) * 100
