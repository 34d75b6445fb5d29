"""Units to pictures: on hardware where there is any that does it, else in software."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vms.contracts.tap import TappedUnit, TrackParameters

_DECODERS = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg", "av1": "libdav1d"}
_HARDWARE_DECODERS = {**_DECODERS, "av1": "av1"}
_LARGEST_SIDE_PX = 16_384
# Larger units are no pictures.
LARGEST_UNIT_BYTES = 16 << 20
# Smaller pictures are decoded in less time than it takes to fetch them from a device (0.4 ms at 640 × 360).
_LEAST_HARDWARE_PIXELS = 640 * 480
# So many units in a row refused: the device does not do this stream.
_HARDWARE_FAILURES = 3
_MOST_TIMES = 128
# Where the decoder configuration of H.265 tells how many layers of time there are.
_HVCC_LAYERS_AT = 21

# Makes the context of (FFmpeg's decoder, accelerator or None).
ContextMaker = Callable[[str, str | None], VideoCodecContext]


class UndecodableError(Exception):
    """This camera's pictures cannot be decoded here."""


class BrokenUnitError(Exception):
    """A unit that the decoder refuses."""


def make_context(decoder: str, accelerator: str | None) -> VideoCodecContext:
    """Raises what FFmpeg and PyAV raise when the device cannot be opened or does not know the codec."""
    hwaccel = HWAccel(accelerator, allow_software_fallback=False) if accelerator is not None else None
    context = av.CodecContext.create(decoder, "r", hwaccel)
    if not isinstance(context, VideoCodecContext):
        raise UndecodableError(f"{decoder} gives no pictures")
    return context


class Accelerators:
    """The hardware decoders that seem to be there, and why those that failed are not used."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        # A device that does not open is not asked again by every camera.
        self.failed: dict[str, str] = {}

    @classmethod
    def of_this_machine(cls) -> Accelerators:
        """Those that FFmpeg was built with and whose device exists."""
        built = hwdevices_available()
        rendering = any(Path("/dev/dri").glob("renderD*"))
        there = {
            "cuda": Path("/dev/nvidiactl").exists(),
            "vaapi": rendering,
            "qsv": rendering,
            "videotoolbox": sys.platform == "darwin",
        }
        return cls(tuple(name for name, exists in there.items() if exists and name in built))


class Decoder:
    """One track's. `hardware` names what decodes: an accelerator, or software and why; "" where there is nothing but
    software."""

    def __init__(
        self, parameters: TrackParameters, accelerators: Accelerators, *, make: ContextMaker = make_context
    ) -> None:
        """Raises UndecodableError for a codec without a decoder."""
        if parameters.codec not in _DECODERS:
            raise UndecodableError(f"no decoder for {parameters.codec}")
        if not 0 <= max(parameters.width, parameters.height) <= _LARGEST_SIDE_PX:
            raise UndecodableError(f"pictures of {parameters.width} × {parameters.height}")
        self.parameters = parameters
        self.hardware = ""
        self.corrupt = 0
        self._make = make
        self._failures = 0
        # pts → server time of the units in the decoder.
        self._times: dict[int, int] = {}
        self._accelerated = False
        self._context = self._open_accelerated(accelerators) or self._open(None)

    def flush(self) -> None:
        """What comes does not go on from what was."""
        self._context.flush_buffers()
        self._times.clear()

    def decode(self, unit: TappedUnit) -> list[tuple[int, int, VideoFrame]]:
        """(server time, pts, picture) of what is complete, in order of showing. Raises BrokenUnitError."""
        if len(unit.data) > LARGEST_UNIT_BYTES:
            raise BrokenUnitError(f"a unit of {len(unit.data)} bytes")
        try:
            frames = self._context.decode(self._packet(unit))
            self._failures = 0
        except (FFmpegError, NotImplementedError) as error:
            frames = self._decode_in_software(unit, error)
        if len(self._times) > _MOST_TIMES:
            self._times.clear()
        # Pictures whose references are missing are flagged; nobody wants to see them.
        self.corrupt += sum(frame.is_corrupt for frame in frames)
        return [
            (self._times.pop(frame.pts, unit.utc_us), frame.pts, frame)
            for frame in frames
            if frame.pts is not None and not frame.is_corrupt
        ]

    def _packet(self, unit: TappedUnit) -> av.Packet[Any]:
        packet = av.Packet(unit.data)
        packet.pts = unit.pts
        packet.time_base = Fraction(1, max(1, self.parameters.clock_rate))
        self._times[unit.pts] = unit.utc_us
        return packet

    def _decode_in_software(self, unit: TappedUnit, error: Exception) -> list[VideoFrame]:
        """After a refusal: where a device refuses again and again, or a key frame, software takes over."""
        self._failures += 1
        if not self._accelerated or not (unit.key or self._failures >= _HARDWARE_FAILURES):
            raise BrokenUnitError(str(error)) from error
        self.hardware = f"software ({self.hardware}: {error})"
        self._accelerated = False
        self._context = self._open(None)
        try:
            return self._context.decode(self._packet(unit))
        except FFmpegError as refused:
            raise BrokenUnitError(str(refused)) from refused

    def _open_accelerated(self, accelerators: Accelerators) -> VideoCodecContext | None:
        if self.parameters.width * self.parameters.height < _LEAST_HARDWARE_PIXELS or not accelerators.names:
            return None
        for name in accelerators.names:
            if name in accelerators.failed:
                continue
            try:
                context = self._open(name)
            except (FFmpegError, OSError, NotImplementedError, ValueError) as error:
                accelerators.failed[name] = str(error)
                continue
            self.hardware, self._accelerated = name, True
            return context
        reasons = "; ".join(f"{name}: {reason}" for name, reason in accelerators.failed.items())
        self.hardware = f"software ({reasons})"
        return None

    def _open(self, accelerator: str | None) -> VideoCodecContext:
        names = _DECODERS if accelerator is None else _HARDWARE_DECODERS
        context = self._make(names[self.parameters.codec], accelerator)
        if self.parameters.configuration:
            context.extradata = self.parameters.configuration
        # Many cameras share the worker: one thread each, and no delay for reordering that threads would add.
        context.thread_type = "NONE"
        context.flags |= Flags.output_corrupt
        # Harmless there. Leaving out all of it saves another fifth, but what is wrong then adds up until the next key
        # frame (to 33 dB within four seconds).
        context.options = {"skip_loop_filter": "noref"}
        context.open()
        return context


def is_disposable(parameters: TrackParameters, data: bytes) -> bool:
    """Whether no other unit needs this one (H.264 §7.4.1 nal_ref_idc; H.265 §7.4.2.2 sub-layer non-reference pictures,
    where there is one layer: ISO/IEC 14496-15 §8.3.2 numTemporalLayers)."""
    codec, configuration = parameters.codec, parameters.configuration
    if codec == "h265":
        if len(configuration) <= _HVCC_LAYERS_AT or configuration[_HVCC_LAYERS_AT] >> 3 & 7 != 1:
            return False
    elif codec != "h264":
        return False
    at = 0
    while at + 5 <= len(data):
        header = data[at + 4]
        if codec == "h264" and 1 <= header & 31 <= 5:
            return header & 0x60 == 0
        if codec == "h265" and (kind := header >> 1 & 63) < 32:
            return kind <= 14 and kind % 2 == 0
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return False
