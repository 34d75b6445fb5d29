"""Scenes filmed by nobody, as a tap tells them: a pattern with noise, and squares that walk through it when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from vms.adapters.footage import read_clip
from vms.adapters.footage.clips import Clip
from vms.contracts.tap import TappedUnit, TrackParameters

T0_US = 1_700_000_000_000_000


def filmed(
    path: Path,
    *,
    seconds: float,
    moves: Callable[[float], bool] = lambda _at_s: False,
    fps: int = 15,
    gop_s: float = 4,
    size: tuple[int, int] = (640, 360),
    b_frames: int = 0,
    noise: float = 3.0,
    codec: str = "libx264",
) -> Clip:
    """A clip of constant quality, as cameras send it: still parts need few bytes."""
    width, height = size
    rng = np.random.default_rng(1)
    down, across = np.mgrid[0:height, 0:width]
    blocks = np.kron(rng.uniform(40, 200, (-(-height // 8), -(-width // 8))), np.ones((8, 8)))[:height, :width]
    scene = blocks / 2 + 60 + 20 * np.sin(across / 9) + 15 * np.cos(down / 7)
    grain = [rng.normal(0, noise, scene.shape) for _ in range(17)]
    gop = round(fps * gop_s)
    options = {
        "preset": "veryfast",
        "crf": "24",
        "bf": str(b_frames),
        "sc_threshold": "0",
        "keyint_min": str(gop),
        "x265-params": f"log-level=error:scenecut=0:bframes={b_frames}:open-gop=0",
    }
    if codec == "libx264":
        del options["x265-params"]
    with av.open(str(path), "w") as outgoing:
        stream = outgoing.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", gop
        stream.codec_context.max_b_frames = b_frames
        for number in range(round(seconds * fps)):
            picture = scene + grain[number % len(grain)]
            at_s = number / fps
            if moves(at_s):
                for walker in range(3):
                    left = int(at_s * 60 + walker * 200) % (width - 60)
                    top = height // 4 + walker * height // 6
                    there = picture[top : top + height // 5, left : left + 30]
                    there[:] = 255 - there
            grey = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            outgoing.mux(stream.encode(frame))
        outgoing.mux(stream.encode(None))
    return read_clip(path)


def parameters_of(clip: Clip) -> TrackParameters:
    """What a tap says before the units."""
    track = clip.tracks[0]
    return TrackParameters(0, track.codec, 90_000, track.configuration, clip.width, clip.height, 0)


def units_of(clip: Clip, *, from_us: int = T0_US) -> Iterator[TappedUnit]:
    """The clip as a tap tells it."""
    for number, (_, pts, _, key, data) in enumerate(clip.units):
        yield TappedUnit(0, key, number == 0, pts, from_us + pts * 100 // 9, 0, data)
