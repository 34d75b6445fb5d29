"""A synthetic clip whose bit rate is really used: a drifting texture with a band of fresh noise in every picture.

Top left, every picture shows its number in the clip: a white and a black field, then `NUMBER_BITS` fields, the highest
bit first, white for 1. Fields are a 32nd of the width wide and a 16th of the height high, so that the number survives
coding and scaling and can be read off a screen.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from vms.adapters.footage.transcode import Encoding, add_video_stream

NUMBER_BITS = 12
_VERSION = 2
_WHITE, _BLACK = 235, 16


def test_pattern(cache_dir: Path, encoding: Encoding, seconds: int = 10) -> Path:
    """The MP4 of such a clip, made at the first call; the same arguments give the same pictures.

    `encoding` gives size, frame rate (0 means 30), bit rate, GOP and B-frames.
    """
    fps = encoding.fps or 30
    name = (
        f"pattern-{_VERSION}-{encoding.codec}-{encoding.width}x{encoding.height}-{fps}fps-{encoding.bitrate_bps}"
        f"-{encoding.gop_seconds:g}s-b{encoding.b_frames}-{seconds}s.mp4"
    )
    target = cache_dir / name
    if target.exists():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    draft = cache_dir / f".{os.getpid()}-{name}"
    try:
        with av.open(str(draft), "w") as outgoing:
            stream = add_video_stream(outgoing, encoding, Fraction(fps))
            for index, frame in enumerate(_pictures(encoding.width, encoding.height, fps * seconds)):
                frame.pts = index
                frame.time_base = Fraction(1, fps)
                outgoing.mux(stream.encode(frame))
            outgoing.mux(stream.encode(None))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


# Not a test, whatever a test runner makes of its name.
test_pattern.__test__ = False  # type: ignore[attr-defined]


def _pictures(width: int, height: int, count: int) -> Iterator[VideoFrame]:
    source = random.Random(7)  # noqa: S311 (a texture, not a secret)
    # Values around mid-grey: full-range noise would need more bits than any camera sends.
    squeeze = bytes(96 + value // 4 for value in range(256))
    texture_width = width + 256
    texture = source.randbytes(texture_width * (height + 256)).translate(squeeze)
    band_rows = max(2, height // 24)
    for index in range(count):
        frame = VideoFrame(width, height, "yuv420p")
        # A path over the texture that closes after 256 pictures and never stands still.
        left, top = index * 3 % 256, index * 2 % 256
        rows = [
            texture[(top + row) * texture_width + left : (top + row) * texture_width + left + width]
            for row in range(height)
        ]
        fresh = index * band_rows % max(1, height - band_rows)
        for row in range(fresh, fresh + band_rows):
            rows[row] = source.randbytes(width).translate(squeeze)
        number = _number(index, width)
        for row in range(height // 16):
            rows[row] = number + rows[row][len(number) :]
        _fill(frame.planes[0], rows, width)
        chroma = width // 2
        tint = bytes([118 + index % 20]) * chroma
        for plane in frame.planes[1:]:
            _fill(plane, [tint] * (height // 2), chroma)
        yield frame


def _number(index: int, width: int) -> bytes:
    """One row of the fields of picture `index`."""
    bits = [True, False, *(index >> bit & 1 == 1 for bit in reversed(range(NUMBER_BITS)))]
    return b"".join(bytes([_WHITE if bit else _BLACK]) * (width // 32) for bit in bits)


def _fill(plane: VideoPlane, rows: list[bytes], width: int) -> None:
    padding = bytes(plane.line_size - width)
    content = b"".join(row + padding for row in rows)
    plane.update(content.ljust(plane.buffer_size, b"\0"))
