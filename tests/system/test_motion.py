"""A camera before which something moves, a real server, and the event that comes of it."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from vms_media import Simulator

from benchmarks.running_server import RunningServer
from vms.adapters.footage import Encoding, read_clip
from vms.adapters.footage.transcode import add_video_stream

FPS = 10


def simulator(directory: Path) -> Simulator:
    """Six seconds of nothing, five of a square that crosses the picture, and again."""
    encoding = Encoding(width=640, height=360, fps=FPS, bitrate_bps=500_000, gop_seconds=1)
    scene = np.kron(np.random.default_rng(1).uniform(40, 200, (45, 80)), np.ones((8, 8)))
    path = directory / "clip.mp4"
    with av.open(str(path), "w") as outgoing:
        stream = add_video_stream(outgoing, encoding, Fraction(FPS))
        for number in range(11 * FPS):
            picture = scene.copy()
            if number >= 6 * FPS:
                left = (number - 6 * FPS) * 11
                picture[150:220, left : left + 60] = 255 - picture[150:220, left : left + 60]
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            outgoing.mux(stream.encode(frame))
        outgoing.mux(stream.encode(None))
    clip = read_clip(path)
    made = Simulator("127.0.0.1", 0, 1)
    track = clip.tracks[0]
    made.add_source([track.codec], [track.configuration], [90_000], [0], clip.units)
    return made


def test_what_moves_becomes_an_event(tmp_path: Path) -> None:
    cameras = simulator(tmp_path)
    port = cameras.start()
    try:
        with RunningServer(tmp_path / "data") as server:
            camera_id = server.add_camera("Gate", f"rtsp://127.0.0.1:{port}/cam/0")
            changed = server.client.patch(f"/cameras/{camera_id}", json={"motion": {"source": "server"}})
            assert changed.json()["motion"] == {"source": "server", "sensitivity": 50, "mask": []}
            end = time.monotonic() + 60
            while True:
                events = server.client.get("/events", params={"camera_id": camera_id, "type": "motion"}).json()["items"]
                if any(event["end"] for event in events):
                    break
                assert time.monotonic() < end, events
                time.sleep(0.5)
            ended = next(event for event in events if event["end"])
            assert ended["source"] == "motion"
            assert 0 < ended["score"] < 0.3
    finally:
        cameras.stop()
