"""The process that decodes stills: `python -m vms.adapters.stills.worker`, requests on stdin, answers on stdout."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from typing import TypedDict

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vms.adapters.stills import framing
from vms.adapters.stills.decoding import UnsupportedCodecError, open_decoder

# FFmpeg's quality scale for JPEG: 2 is best, 31 worst; one step is FF_QP2LAMBDA (118).
_QUALITY = 4
_QP_TO_LAMBDA = 118
_TICKS = Fraction(1, 90_000)


def _decoded(codec: str, configuration: bytes, units: list[bytes], pts_90k: list[int]) -> Iterator[VideoFrame]:
    context = open_decoder(codec, configuration, threads=len(units) > 1)
    for unit, pts in zip(units, pts_90k, strict=True):
        packet = av.Packet(unit)
        packet.pts = pts
        packet.time_base = _TICKS
        try:
            yield from context.decode(packet)
        except FFmpegError:
            # One broken picture does not keep the next ones from being shown.
            continue
    yield from context.decode(None)


def wanted_frame(
    codec: str, configuration: bytes, units: list[bytes], pts_90k: list[int], wanted_pts_90k: int
) -> VideoFrame | None:
    """The decoded picture with the greatest time not after the wanted one, else the first there is."""
    best: VideoFrame | None = None
    for frame in _decoded(codec, configuration, units, pts_90k):
        at = frame.pts if frame.pts is not None else wanted_pts_90k
        if best is None or best.pts is None or best.pts <= at <= wanted_pts_90k:
            best = frame
    return best


def to_jpeg(frame: VideoFrame, height: int | None) -> bytes:
    """The picture as JPEG, scaled down to `height` pixels when it is taller."""
    width, target = frame.width, frame.height
    if height is not None and height < frame.height:
        target = max(2, height // 2 * 2)
        width = max(2, round(frame.width * target / frame.height / 2) * 2)
    picture = frame.reformat(width=width, height=target, format="yuvj420p")
    picture.pts = 0
    picture.time_base = Fraction(1, 25)
    encoder = av.CodecContext.create("mjpeg", "w")
    if not isinstance(encoder, VideoCodecContext):
        raise UnsupportedCodecError("no JPEG encoder")
    encoder.width, encoder.height, encoder.pix_fmt = width, target, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"flags": "+qscale", "global_quality": str(_QUALITY * _QP_TO_LAMBDA)}
    encoder.thread_type = "NONE"
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


class Request(TypedDict):
    """The header of a request."""

    codec: str
    configuration_bytes: int
    unit_bytes: list[int]
    pts_90k: list[int]
    wanted_pts_90k: int
    height: int | None


def answer(header: Request, payload: bytes) -> tuple[int, bytes]:
    """(status, JPEG or sentence) for one request."""
    sizes = [header["configuration_bytes"], *header["unit_bytes"]]
    parts = [payload[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)]
    height = header["height"]
    if header["codec"] == "mjpeg" and height is None and len(parts) > 1:
        return framing.OK, parts[-1]
    try:
        frame = wanted_frame(header["codec"], parts[0], parts[1:], header["pts_90k"], header["wanted_pts_90k"])
        if frame is None:
            return framing.MALFORMED, b"no picture came out of the recorded data"
        return framing.OK, to_jpeg(frame, height)
    except UnsupportedCodecError as error:
        return framing.UNSUPPORTED, str(error).encode()
    except (FFmpegError, ValueError) as error:
        return framing.MALFORMED, f"the picture cannot be decoded: {error}".encode()


def main() -> None:
    """Answers until stdin ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not come between the answers.
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    while True:
        try:
            (size_bytes,) = framing.LENGTH.unpack(framing.read_exactly(requests, framing.LENGTH.size))
            header = json.loads(framing.read_exactly(requests, size_bytes))
            payload = framing.read_exactly(requests, header["configuration_bytes"] + sum(header["unit_bytes"]))
        except EOFError:
            return
        status, content = answer(header, payload)
        answers.write(framing.ANSWER.pack(status, len(content)) + content)
        answers.flush()


if __name__ == "__main__":
    main()
