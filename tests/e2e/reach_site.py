"""A site of two network namespaces: a server and a viewer, between whom only one way is open, or one that loses.

`ip netns exec SERVER python -m tests.e2e.reach_site WAY VIEWER DIRECTORY` runs inside the server's namespace and prints
what the viewer's browser saw. WAY is `relay`, `tcp`, `router` or `lossy`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

REPOSITORY = Path(__file__).parents[2]
SERVER_ADDRESS = "10.77.0.1"
VIEWER_ADDRESS = "10.77.0.2"
# Where a router forwards to the server from, in the viewer's eyes.
ROUTER_ADDRESS, ROUTER_PORT = "203.0.113.7", 18189
LIVE_PORT = 8189
SECRET = "the relay's and the server's secret"
CLIP = {"width": 640, "height": 360, "fps": 25, "seconds": 10, "bitrate_bps": 800_000, "gop_seconds": 2.0}


def configuration(directory: Path) -> Path:
    """The configuration that we ship, with its capitals replaced."""
    text = (REPOSITORY / "deploy" / "coturn" / "turnserver.conf").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    values = {
        "RELAY_ADDRESS": SERVER_ADDRESS,
        "VMS_ADDRESS": SERVER_ADDRESS,
        "RELAY_NAME": "relay.example",
        "SECRET": SECRET,
    }
    for name, value in values.items():
        text = text.replace(name, value)
    left = re.findall(r"\b[A-Z]{3,}_[A-Z]+\b", text)
    assert not left, f"nothing says what to put for {left}"
    path = directory / "turnserver.conf"
    path.write_text(text + f"\nlistening-ip={SERVER_ADDRESS}\n")
    return path


# What the server is told for each way; the others are turned off here or dropped by the viewer's network.
ENVIRONMENTS = {
    "relay": {
        "VMS_WEBRTC__TCP_PORT": "0",
        "VMS_WEBRTC__TURN_URLS": f'["turn:{SERVER_ADDRESS}:3478?transport=tcp"]',
        "VMS_WEBRTC__TURN_SECRET": SECRET,
    },
    "tcp": {"VMS_WEBRTC__TCP_PORT": str(LIVE_PORT)},
    "router": {
        "VMS_WEBRTC__TCP_PORT": "0",
        "VMS_WEBRTC__UDP_PORT": str(LIVE_PORT),
        "VMS_WEBRTC__PUBLIC_ADDRESSES": f'["{ROUTER_ADDRESS}:{ROUTER_PORT}"]',
    },
    "lossy": {"VMS_WEBRTC__TCP_PORT": "0"},
}
# What the viewer's browser does: it looks whether pictures come, or how smoothly they do.
SCRIPTS = {"lossy": "e2e/freezes.mjs"}


@contextmanager
def relay(directory: Path) -> Iterator[None]:
    """coturn, as long as it lasts."""
    log = directory / "turnserver.log"
    process = subprocess.Popen(
        [
            *("turnserver", "-c", str(configuration(directory)), "--pidfile", str(directory / "turnserver.pid")),
            *("--log-file", "stdout", "--userdb", str(directory / "turndb")),
        ],
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        yield
        assert process.poll() is None, log.read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(10)


def main(way: str, viewer: str, directory: Path) -> int:
    """Runs everything; the browser's exit status."""
    environment = {"VMS_HTTP__HOST": SERVER_ADDRESS, **ENVIRONMENTS[way]}
    with (
        relay(directory) if way == "relay" else nullcontext(),
        SimulatedCameras(1, clips=[CLIP]) as cameras,
        RunningServer(directory / "data", environment=environment) as server,
    ):
        camera_id = server.add_camera("Gate", cameras.url(0))
        server.wait_for_recording(camera_id, 3)
        began = time.monotonic()
        browser = subprocess.run(
            ["ip", "netns", "exec", viewer, "node", SCRIPTS.get(way, "e2e/reach.mjs")],
            cwd=REPOSITORY / "clients" / "web",
            env={**os.environ, "VMS_URL": server.url, "VMS_PASSWORD": server.password, "VMS_CAMERA": camera_id},
            timeout=90,
            check=False,
        )
        sys.stderr.write(f"the browser took {time.monotonic() - began:.1f} s\n")
        return browser.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
