"""Live video of one viewer in Chromium: the first picture after the click, the delay inside the server, and from glass
to glass, by the number that every picture of the clip shows.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from benchmarks.recorded_stamps import stamps_of_camera
from benchmarks.report import Figure, percentile
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras
from vms.adapters.footage.test_pattern import NUMBER_BITS

REPOSITORY = Path(__file__).parents[1]
WEB = REPOSITORY / "clients" / "web"
CLIP = {"width": 1280, "height": 720, "fps": 30, "seconds": 10, "bitrate_bps": 1_500_000}
CLIP_PICTURES = 300
# A session's first second holds the burst out of the GOP cache, which is of the past by intent.
SETTLED_AFTER_PICTURES = 120


def measure(*, joins: int = 50, watched_s: int = 20) -> list[Figure]:
    """`joins` viewers one after another, each at a random instant of a 2 s GOP, then one who stays for `watched_s`."""
    with (
        SimulatedCameras(1, clips=[CLIP], stamp=True) as cameras,
        tempfile.TemporaryDirectory() as directory,
        RunningServer(Path(directory) / "data") as server,
    ):
        camera_id = server.add_camera("live", cameras.url(0))
        server.wait_for_state(camera_id, "online")
        first_picture_ms: list[float] = in_chromium("first-picture.mjs", server, camera_id, VMS_JOINS=str(joins))
        shown: list[tuple[int, float]] = in_chromium("glass.mjs", server, camera_id, VMS_SECONDS=str(watched_s))
        metrics = server.client.get(f"{server.url}/metrics").text
        server.stop()
        sent = sent_by_number(Path(directory) / "data", camera_id)
    delay_ms = {
        line.split('quantile="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) * 1000
        for line in metrics.splitlines()
        if line.startswith("vms_unit_delay_seconds{")
    }
    glass_ms = glass_to_glass_ms(shown[SETTLED_AFTER_PICTURES:], sent)
    return [
        Figure("delay in the server, socket to socket, P95", delay_ms.get("0.95", 99.0), "ms", 5),
        Figure("delay in the server, median", delay_ms.get("0.5", 99.0), "ms"),
        Figure(f"first picture in Chromium, P95 of {joins}", percentile(first_picture_ms, 0.95), "ms", 500),
        Figure("first picture in Chromium, median", percentile(first_picture_ms, 0.5), "ms"),
        Figure("glass to glass through Chromium, P95", percentile(glass_ms, 0.95), "ms", 200),
        Figure("glass to glass through Chromium, median", percentile(glass_ms, 0.5), "ms"),
        Figure("pictures it was read from", len(glass_ms), "pictures"),
    ]


def sent_by_number(data_dir: Path, camera_id: str) -> dict[int, list[float]]:
    """When the camera sent the pictures of each number in the clip, in ms since the epoch, as its stamps say.

    Stamps count from the camera's first picture, wherever in the clip that was: the recording's first picture tells.
    """
    stamps = stamps_of_camera(data_dir, camera_id)
    first = first_number(min((data_dir / "storage" / "cameras" / camera_id).rglob("video_*.mp4")))
    sent: dict[int, list[float]] = {}
    for stamp in stamps:
        number = (stamp.frame - stamps[0].frame + first) % CLIP_PICTURES
        sent.setdefault(number, []).append(stamp.sent_us / 1000)
    return sent


def first_number(path: Path) -> int:
    """The number that a recording's first picture shows."""
    with av.open(str(path)) as container:
        return shown_number(next(container.decode(container.streams.video[0])))


def shown_number(picture: VideoFrame) -> int:
    """The number that a picture of the test pattern shows."""
    plane = picture.planes[0]
    row = bytes(plane)[picture.height // 32 * plane.line_size :]
    middles = range(picture.width // 64, picture.width, picture.width // 32)
    fields = [row[middle] > 128 for middle in middles[: 2 + NUMBER_BITS]]
    if not fields[0] or fields[1]:
        raise ValueError("no picture of the test pattern")
    return sum(bit << place for place, bit in enumerate(reversed(fields[2:])))


def glass_to_glass_ms(shown: list[tuple[int, float]], sent: dict[int, list[float]]) -> list[float]:
    """From the sending of each picture to its being on the screen. `shown`: number in the clip, ms since the epoch.

    The clip goes round; a picture shown is the newest of its number that had been sent.
    """
    delays = []
    for number, shown_ms in shown:
        before = [sent_ms for sent_ms in sent.get(number, []) if sent_ms <= shown_ms]
        if before:
            delays.append(shown_ms - max(before))
    return delays


def in_chromium(script: str, server: RunningServer, camera_id: str, **settings: str) -> Any:
    run = subprocess.run(
        ["node", str(WEB / "e2e" / script)],
        cwd=WEB,
        env={
            **os.environ,
            "VMS_URL": server.url,
            "VMS_PASSWORD": server.password,
            "VMS_CAMERA": camera_id,
            **settings,
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=400,
    )
    if run.returncode != 0:
        raise RuntimeError(f"Chromium saw no picture:\n{run.stderr[-3000:]}")
    return json.loads(run.stdout.splitlines()[-1])
