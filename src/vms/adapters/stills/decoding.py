"""Opening a decoder for what the archive holds."""

from __future__ import annotations

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

_DECODERS = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg", "av1": "libdav1d"}


class UnsupportedCodecError(Exception):
    """No decoder here knows the codec."""


def open_decoder(codec: str, configuration: bytes, *, threads: bool) -> VideoCodecContext:
    """A decoder for access units of `codec`. Raises UnsupportedCodecError."""
    if codec not in _DECODERS:
        raise UnsupportedCodecError(f"no decoder for {codec}")
    decoder = av.CodecContext.create(_DECODERS[codec], "r")
    if not isinstance(decoder, VideoCodecContext):
        raise UnsupportedCodecError(f"{codec} is no picture")
    if configuration:
        decoder.extradata = configuration
    # A stream without key frames (intra refresh) begins with pictures that the decoder calls corrupt.
    decoder.flags |= Flags.output_corrupt
    decoder.thread_type = "AUTO" if threads else "NONE"
    return decoder
