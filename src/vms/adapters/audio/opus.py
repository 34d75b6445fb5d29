"""AAC to Opus, in step: every packet says when its sound was."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

OPUS_RATE = 48_000
PACKET_SAMPLES = OPUS_RATE // 50
_BIT_RATES = {"mono": 48_000, "stereo": 64_000}
# Of 10: above, speech and street noise sound the same and cost twice as much.
_COMPLEXITY = 5
# Times that differ from the count of samples by less are rounding or the camera's jitter; more is a gap.
_GAP_S = Fraction(1, 100)


class OpusEncoder:
    """Packets of 20 ms. What goes in at a time comes out of a decoder at that time: the encoder's look-ahead (6.5 ms)
    is taken off the packets' times."""

    def __init__(self, layout: str) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 (libopus is sound)
        context.sample_rate = OPUS_RATE
        context.layout = layout
        context.format = "flt"
        context.bit_rate = _BIT_RATES[layout]
        context.time_base = Fraction(1, OPUS_RATE)
        context.options = {"vbr": "on", "frame_duration": "20", "compression_level": str(_COMPLEXITY)}
        context.open()
        self._context = context
        self._samples = 0

    def encode(self, frame: AudioFrame, start: int) -> Iterator[tuple[int, bytes]]:
        """The packet of the 960 samples of `frame`, which begin at `start` (48 kHz), and its time."""
        frame.pts = self._samples
        frame.time_base = Fraction(1, OPUS_RATE)
        shift = start - self._samples
        self._samples += frame.samples
        for packet in self._context.encode(frame):
            assert packet.pts is not None  # noqa: S101 (frames have times)
            yield packet.pts + shift, bytes(packet)


class Transcoder:
    """One stream of AAC (without ADTS). `clock_rate`: ticks per second of the units' times.

    Raises FFmpegError when `configuration` is no AudioSpecificConfig.
    """

    def __init__(self, configuration: bytes, clock_rate: int, channels: int) -> None:
        decoder = av.CodecContext.create("aac", "r")
        assert isinstance(decoder, AudioCodecContext)  # noqa: S101 (AAC is sound)
        decoder.extradata = configuration
        decoder.thread_type = "NONE"
        decoder.open()
        self._decoder = decoder
        self._clock_rate = clock_rate
        self._layout = "stereo" if channels >= 2 else "mono"
        self._encoder = OpusEncoder(self._layout)
        self._resampled: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._waiting = AudioFifo()
        # When the first sample that waits was, in 48 kHz; None after a gap.
        self._start: int | None = None
        # When the next unit is due, in seconds.
        self._due_s: Fraction | None = None

    def transcode(self, unit: bytes, pts: int) -> list[tuple[int, bytes]]:
        """Packets and their times (48 kHz) that follow from one unit. Raises FFmpegError or ValueError when it is
        malformed."""
        if not unit:
            raise ValueError("a unit without bytes")  # to the decoder, the end of the stream
        packets: list[tuple[int, bytes]] = []
        for frame in self._decoder.decode(av.Packet(unit)):
            packets += self._encode(frame, Fraction(pts, self._clock_rate))
        return packets

    def _encode(self, frame: AudioFrame, at_s: Fraction) -> Iterator[tuple[int, bytes]]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        broken = self._due_s is None or abs(at_s - self._due_s) > _GAP_S
        if broken or shape != self._resampled or self._resampler is None:
            # What waits is less than a packet and has no successor.
            self._resampler = AudioResampler(format="flt", layout=self._layout, rate=OPUS_RATE)
            self._resampled = shape
            self._waiting = AudioFifo()
            self._start = None
            self._due_s = at_s
        assert self._due_s is not None  # noqa: S101 (set above)
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(self._due_s * frame.sample_rate)
        self._due_s += Fraction(frame.samples, frame.sample_rate)
        for resampled in self._resampler.resample(frame):
            if self._start is None and resampled.pts is not None and resampled.time_base is not None:
                self._start = round(resampled.pts * resampled.time_base * OPUS_RATE)
            resampled.pts = None
            self._waiting.write(resampled)
        while self._start is not None and (ready := self._waiting.read(PACKET_SAMPLES)) is not None:
            yield from self._encoder.encode(ready, self._start)
            self._start += PACKET_SAMPLES
