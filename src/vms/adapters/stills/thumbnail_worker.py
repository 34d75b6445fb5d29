"""The process that makes grids of stills: `python -m vms.adapters.stills.thumbnail_worker`; see
`thumbnail_framing`."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from vms.adapters.stills import framing, thumbnail_framing
from vms.adapters.stills.decoding import UnsupportedCodecError, open_decoder
from vms.domain.thumbnails import CELL_WIDTH, COLUMNS, FLATTEST_CELL, ROWS, TALLEST_CELL, cell_height_for

# libwebp's: stills of 160 pixels bear this, and effort 1 of 6 takes a third of the time of 4 for a fifth more bytes.
_QUALITY, _EFFORT = "70", "1"
_MOST_MEMORY_BYTES = 4 << 30
_BLACK = 16
_Plane = NDArray[np.uint8]


class StillError(Exception):
    """What came cannot be shown."""


class Canvas:
    """The picture of one hour, in planes of Y, U and V."""

    def __init__(self, cell_height: int) -> None:
        if not FLATTEST_CELL <= cell_height <= TALLEST_CELL or cell_height % 2:
            raise StillError(f"cells of {cell_height} rows")
        self.cell_height = cell_height
        self.width, self.height = COLUMNS * CELL_WIDTH, ROWS * cell_height
        half = (self.height // 2, self.width // 2)
        # Keeps its tables while pictures have one shape.
        self._scaler = VideoReformatter()
        self._planes: list[_Plane] = [
            np.full((self.height, self.width), _BLACK, np.uint8),
            np.full(half, 128, np.uint8),
            np.full(half, 128, np.uint8),
        ]

    def load(self, image: bytes) -> None:
        """Goes on from what was made before."""
        decoder = av.CodecContext.create("webp", "r")
        if not isinstance(decoder, VideoCodecContext):
            raise StillError("no decoder for WebP")
        frames = [*decoder.decode(av.Packet(image)), *decoder.decode(None)]
        if not frames or (frames[0].width, frames[0].height) != (self.width, self.height):
            raise StillError("the picture so far has another shape")
        self._put(frames[0].reformat(format="yuv420p"), 0, 0)

    def show(self, cell: int, frame: VideoFrame) -> None:
        """Scales a picture into a cell; one of another shape has black beside it."""
        if not 0 <= cell < COLUMNS * ROWS or frame.width <= 0 or frame.height <= 0:
            raise StillError("no such cell")
        scale = min(CELL_WIDTH / frame.width, self.cell_height / frame.height)
        width = min(CELL_WIDTH, max(2, round(frame.width * scale / 2) * 2))
        height = min(self.cell_height, max(2, round(frame.height * scale / 2) * 2))
        # WebP is of BT.601, 16 to 235.
        source = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        still = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=source,
            dst_colorspace=Colorspace.ITU601,
            src_color_range="JPEG" if frame.color_range == ColorRange.JPEG else "MPEG",
            dst_color_range="MPEG",
            interpolation=Interpolation.AREA,
        )
        row, column = divmod(cell, COLUMNS)
        top, left = row * self.cell_height, column * CELL_WIDTH
        for plane, value, half in zip(self._planes, (_BLACK, 128, 128), (1, 2, 2), strict=True):
            bottom, right = (top + self.cell_height) // half, (left + CELL_WIDTH) // half
            plane[top // half : bottom, left // half : right] = value
        self._put(still, top + (self.cell_height - height) // 4 * 2, left + (CELL_WIDTH - width) // 4 * 2)

    def webp(self) -> bytes:
        """The image."""
        frame = VideoFrame(self.width, self.height, "yuv420p")
        for plane, content in zip(frame.planes, self._planes, strict=True):
            rows = np.zeros((content.shape[0], plane.line_size), np.uint8)
            rows[:, : content.shape[1]] = content
            plane.update(rows.tobytes())
        frame.pts = 0
        encoder = av.CodecContext.create("libwebp", "w")
        if not isinstance(encoder, VideoCodecContext):
            raise StillError("no encoder for WebP")
        encoder.width, encoder.height, encoder.pix_fmt = self.width, self.height, "yuv420p"
        encoder.time_base = Fraction(1, 1)
        encoder.options = {"quality": _QUALITY, "compression_level": _EFFORT}
        encoder.thread_type = "NONE"
        return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])

    def _put(self, frame: VideoFrame, top: int, left: int) -> None:
        for plane, target, half in zip(frame.planes, self._planes, (1, 2, 2), strict=True):
            width, height = frame.width // half, frame.height // half
            rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
            target[top // half : top // half + height, left // half : left // half + width] = rows[:height, :width]


class KeyFrames:
    """Decodes key frames, each alone; the decoder is kept while codec and configuration stay."""

    def __init__(self) -> None:
        self._of: tuple[str, bytes] | None = None
        self._decoder: VideoCodecContext | None = None

    def decode(self, codec: str, configuration: bytes, unit: bytes) -> VideoFrame:
        """Raises StillError, UnsupportedCodecError or FFmpegError."""
        if self._decoder is None or self._of != (codec, configuration):
            decoder = open_decoder(codec, configuration, threads=False)
            # In a tenth of the size nobody sees the edges of blocks.
            decoder.options = {"skip_loop_filter": "all"}
            self._decoder, self._of = decoder, (codec, configuration)
        try:
            frames = [*self._decoder.decode(av.Packet(unit)), *self._decoder.decode(None)]
            self._decoder.flush_buffers()
        except FFmpegError:
            self._decoder = None
            raise
        if not frames:
            raise StillError("no picture came out")
        return frames[0]


class Worker:
    """One hour at a time."""

    def __init__(self) -> None:
        self._canvas: Canvas | None = None
        self._keys = KeyFrames()
        # Of the hour in work, or finished last.
        self.cell_height = 0

    def answer(self, header: dict[str, Any], payload: bytes) -> tuple[int, bytes]:
        """(status, content) for one request."""
        try:
            match header["do"]:
                case "begin":
                    self._canvas = None
                    if payload:
                        canvas = Canvas(int(header["cell_height"]))
                        canvas.load(payload)
                        self._canvas = canvas
                        self.cell_height = canvas.cell_height
                case "still":
                    size = int(header["configuration_bytes"])
                    frame = self._keys.decode(header["codec"], payload[:size], payload[size:])
                    if self._canvas is None:
                        self._canvas = Canvas(cell_height_for(frame.width, frame.height))
                    self._canvas.show(int(header["cell"]), frame)
                    self.cell_height = self._canvas.cell_height
                case "finish":
                    made, self._canvas = self._canvas, None
                    return (thumbnail_framing.NOTHING, b"") if made is None else (thumbnail_framing.OK, made.webp())
        except (StillError, UnsupportedCodecError, FFmpegError, ValueError) as error:
            return thumbnail_framing.MALFORMED, str(error).encode()
        return thumbnail_framing.OK, b""


def main() -> None:
    """Answers until stdin ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    with contextlib.suppress(OSError):
        os.nice(19)
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not come between the answers.
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    worker = Worker()
    while True:
        try:
            (size_bytes,) = framing.LENGTH.unpack(framing.read_exactly(requests, framing.LENGTH.size))
            header = json.loads(framing.read_exactly(requests, size_bytes))
            payload = framing.read_exactly(requests, header["bytes"])
        except EOFError:
            return
        status, content = worker.answer(header, payload)
        answers.write(thumbnail_framing.ANSWER.pack(status, worker.cell_height, len(content)) + content)
        answers.flush()


if __name__ == "__main__":
    main()
