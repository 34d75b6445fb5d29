"""JPEG of pixels that this system decoded itself: nothing in them can end an encoder, so it runs in the process."""

from __future__ import annotations

from fractions import Fraction

from vms.domain.errors import Failure

# FFmpeg's quality scale for JPEG: 2 is best, 31 worst.
_QUALITIES = (4, 8, 16, 31)


class PixelJpegs:
    """Satisfies `vms.contracts.stills.JpegMaker`."""

    def jpeg(self, pixels: bytes, width: int, height: int, *, widest: int, largest_bytes: int) -> bytes:
        # Loading FFmpeg takes a while: only who makes stills needs it.
        import numpy as np  # noqa: PLC0415
        from av.video.frame import VideoFrame  # noqa: PLC0415

        if width < 2 or height < 2 or len(pixels) != width * height * 3:
            raise Failure("invalid", f"{len(pixels)} bytes are no picture of {width} × {height} pixels")
        frame = VideoFrame.from_ndarray(np.frombuffer(pixels, np.uint8).reshape(height, width, 3), format="rgb24")
        shown_width, shown_height = min(width, widest), height
        if width > widest:
            shown_height = round(height * widest / width)
        shown_width, shown_height = max(2, shown_width // 2 * 2), max(2, shown_height // 2 * 2)
        shown = frame.reformat(width=shown_width, height=shown_height, format="yuvj420p")
        for quality in _QUALITIES:
            content = _encode(shown, quality)
            if len(content) <= largest_bytes:
                return content
        raise Failure("exhausted", f"a still of {shown_width} × {shown_height} pixels takes {len(content)} bytes")

    def close(self) -> None:
        pass


def _encode(frame: object, quality: int) -> bytes:
    import av  # noqa: PLC0415
    from av.video.codeccontext import VideoCodecContext  # noqa: PLC0415
    from av.video.frame import VideoFrame  # noqa: PLC0415

    assert isinstance(frame, VideoFrame)  # noqa: S101 (for types)
    frame.pts = 0
    frame.time_base = Fraction(1, 25)
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)  # noqa: S101 (for types)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": str(quality), "qmax": str(quality)}
    encoder.thread_type = "NONE"
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
