"""A camera's units to grey pictures, about as many a second as are looked at, decoding no more than needed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vms.adapters.motion.detector import WIDTH_PX, height_for
from vms.contracts.tap import TappedUnit, TrackParameters

_DECODERS = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg", "av1": "libdav1d"}
# Between pictures that are looked at.
PERIOD_US = 500_000
# Key frames that come at least so often are enough.
_DENSE_KEYS_US = 700_000
_LARGEST_SIDE_PX = 16_384


class SamplingError(Exception):
    """This camera's pictures cannot be decoded here."""


class Sampler:
    """One camera's: `take` a unit, get pictures of WIDTH_PX with their server time.

    Where key frames come often they alone are decoded. Else every unit is, since each needs the one before, up to the
    last that is looked at before the next key frame.
    """

    def __init__(self) -> None:
        self._parameters: TrackParameters | None = None
        self._decoder: VideoCodecContext | None = None
        # Keeps its tables while pictures have one shape.
        self._scaler = VideoReformatter()
        self._key_us: int | None = None
        self._key_period_us = 0
        self._next_us = 0
        self._resting = True
        # pts → server time of the units in the decoder.
        self._times: dict[int, int] = {}
        self.decoded = 0
        # Units that the decoder refused.
        self.broken = 0

    def change(self, parameters: TrackParameters) -> None:
        """The units that follow are others. Raises SamplingError for a codec without a decoder."""
        if parameters.codec not in _DECODERS:
            raise SamplingError(f"no decoder for {parameters.codec}")
        if not 0 <= max(parameters.width, parameters.height) <= _LARGEST_SIDE_PX:
            raise SamplingError(f"pictures of {parameters.width} × {parameters.height}")
        self._parameters = parameters
        self._decoder = None
        self._resting = True
        self._key_us = None

    def take(self, unit: TappedUnit) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(server time, grey picture) of what is to be looked at."""
        parameters = self._parameters
        if parameters is None:
            return
        at_us = unit.utc_us
        if unit.key:
            if self._key_us is not None:
                self._key_period_us = max(0, at_us - self._key_us)
            self._key_us = at_us
            self._resting = False
        elif unit.dropped:
            self._resting = True
        if 0 < self._key_period_us <= _DENSE_KEYS_US:
            if not unit.key or not self._is_due(at_us):
                return
        elif self._resting or (not unit.key and not self._is_needed()):
            self._resting = True
            return
        decoder = self._decoder or self._open(parameters)
        packet = av.Packet(unit.data)
        packet.pts = unit.pts
        packet.time_base = Fraction(1, max(1, parameters.clock_rate))
        self._times[unit.pts] = at_us
        self.decoded += 1
        try:
            frames = decoder.decode(packet)
        except FFmpegError:
            self.broken += 1
            return
        for frame in frames:
            shown_us = self._times.pop(frame.pts, at_us) if frame.pts is not None else at_us
            if not self._is_due(shown_us):
                continue
            steady = abs(shown_us - self._next_us) <= PERIOD_US
            self._next_us = (self._next_us if steady else shown_us) + PERIOD_US
            height = height_for(frame.width, frame.height)
            grey = self._scaler.reformat(
                frame, width=WIDTH_PX, height=height, format="gray", interpolation=Interpolation.AREA
            )
            plane = grey.planes[0]
            rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
            yield shown_us, rows[:height, :WIDTH_PX]
        if len(self._times) > 64:
            self._times.clear()

    def _is_due(self, at_us: int) -> bool:
        """Whether a picture is to be looked at; after a jump of the clock, always."""
        return not PERIOD_US // 10 < self._next_us - at_us <= 2 * PERIOD_US

    def _is_needed(self) -> bool:
        """Whether another picture is looked at before the next key frame."""
        if self._key_us is None or self._key_period_us == 0:
            return True
        return self._next_us < self._key_us + self._key_period_us - PERIOD_US // 5

    def _open(self, parameters: TrackParameters) -> VideoCodecContext:
        decoder = av.CodecContext.create(_DECODERS[parameters.codec], "r")
        if not isinstance(decoder, VideoCodecContext):
            raise SamplingError(f"{parameters.codec} is no picture")
        if parameters.configuration:
            decoder.extradata = parameters.configuration
        # Many cameras share the worker: one thread each, and no delay for reordering that threads would add.
        decoder.thread_type = "NONE"
        decoder.flags |= Flags.output_corrupt
        # Blocks at the edges of blocks do not look like motion, and smoothing them costs a quarter of the decoding.
        decoder.options = {"skip_loop_filter": "all"}
        decoder.open()
        self._decoder = decoder
        self._times.clear()
        return decoder
