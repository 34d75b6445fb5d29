"""One camera in the worker: from the bytes of its tap to pictures in slots."""

from __future__ import annotations

import socket
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from vms.adapters.frames.decoding import Accelerators, BrokenUnitError, Decoder, UndecodableError, is_disposable
from vms.adapters.frames.fairness import LONGEST_LAG_US, Allowance, Lag
from vms.adapters.frames.framing import FrameLine, scaled_size, slot_size
from vms.adapters.frames.looking import WIDTH_PX, Looker, height_for
from vms.adapters.frames.sampling import Feed, Sampler
from vms.adapters.frames.slots import Slots
from vms.contracts.frames import Sampling
from vms.contracts.tap import Interruption, TapError, TappedUnit, TapReader, TapRecord, TrackParameters
from vms.domain.vision import Look

# What is read of one camera before the next has its turn, and how long that may take.
_TURN_BYTES = 256 << 10
_TURN_S = 0.05
# A camera that sends nothing but what cannot be decoded is given up after so many units in a row.
_BROKEN_IN_A_ROW = 200
# How much one unit says of what the next will take.
_COST_SHARE = 0.1


class CameraLostError(Exception):
    """The camera's pictures cannot be decoded any more."""


@dataclass(frozen=True)
class Shown:
    """A picture that is to be given, as it came out of the decoder."""

    picture: VideoFrame
    at_us: int
    pts: int
    clock_rate: int
    look: Look

    @property
    def given_size(self) -> tuple[int, int]:
        return scaled_size(self.picture.width, self.picture.height)

    @property
    def slot_bytes(self) -> int:
        width, height = self.given_size
        return slot_size(width * height * 3)


class DecodedCamera:
    """One tap. Its `turn`s are short, whatever the camera sends."""

    def __init__(
        self, number: int, tap: socket.socket, sampling: Sampling, accelerators: Accelerators, share: float
    ) -> None:
        self.number = number
        self.tap = tap
        self.slots: Slots | None = None
        # For want of slots.
        self.dropped = 0
        # The slots that were asked for, and when.
        self.wanted_slot_bytes = 0
        self.asked_s = 0.0
        self.waiting: Shown | None = None
        self._accelerators = accelerators
        self._reader = TapReader()
        self._records: deque[TapRecord] = deque()
        self._feeds: deque[Feed] = deque()
        self._shown: deque[Shown] = deque()
        self._sampler = Sampler(sampling)
        self._looker = Looker()
        self._decoder: Decoder | None = None
        self._parameters: TrackParameters | None = None
        self._allowance = Allowance(share)
        self._lag = Lag()
        self._decoded = 0
        self._broken = 0
        self._broken_in_a_row = 0
        # These keep their tables while pictures have one shape.
        self._to_grey = VideoReformatter()
        self._to_colour = VideoReformatter()
        self._was_cut_short = False
        # More is waiting than one turn takes.
        self.is_behind = False

    @property
    def codec(self) -> str:
        return self._parameters.codec if self._parameters is not None else ""

    @property
    def hardware(self) -> str:
        return self._decoder.hardware if self._decoder is not None else ""

    def sample(self, sampling: Sampling) -> None:
        """Other settings."""
        self._sampler.change(sampling)

    def turn(self) -> Shown | None:
        """Until a picture is to be given, or time is up. Raises CameraLostError."""
        began_s, began_cpu_s = time.monotonic(), time.thread_time()
        if not self._records and not self._feeds:
            self._read()
        try:
            while not self._shown and (self._feeds or self._records):
                if self._feeds:
                    self._decode(self._feeds.popleft())
                else:
                    self._take(self._records.popleft())
                if time.monotonic() - began_s > _TURN_S:
                    break
        except UndecodableError as error:
            raise CameraLostError(str(error)) from error
        finally:
            self._allowance.spend(time.thread_time() - began_cpu_s)
        shown = self._shown.popleft() if self._shown else None
        self.is_behind = self._was_cut_short or bool(self._shown or self._feeds or self._records)
        return shown

    def in_colour(self, shown: Shown) -> VideoFrame:
        """A picture as it is given."""
        width, height = shown.given_size
        interpolation = Interpolation.BILINEAR if width == shown.picture.width else Interpolation.AREA
        return self._to_colour.reformat(
            shown.picture, width=width, height=height, format="rgb24", interpolation=interpolation
        )

    def figures(self) -> dict[str, int]:
        """Counters since the start."""
        return {
            "decoded": self._decoded,
            "broken": self._broken,
            "missed": self._sampler.missed,
            "dropped": self.dropped,
        }

    def close(self) -> None:
        self.tap.close()

    def _read(self) -> None:
        self._was_cut_short = False
        try:
            content = self.tap.recv(_TURN_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise CameraLostError(str(error)) from error
        if not content:
            raise CameraLostError("the tap has ended")
        self._was_cut_short = len(content) >= _TURN_BYTES // 2
        try:
            self._records.extend(self._reader.read(content))
        except TapError as error:
            raise CameraLostError(str(error)) from error

    def _take(self, record: TapRecord) -> None:
        if isinstance(record, TappedUnit):
            if record.track == 0 and self._parameters is not None:
                self._take_unit(record, self._parameters)
        elif isinstance(record, TrackParameters):
            if record.track == 0:
                self._parameters = record
                self._decoder = None
                self._begin_anew()
        elif isinstance(record, Interruption):
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._sampler.begin_anew()
        self._looker.begin_anew()
        self._lag = Lag()

    def _take_unit(self, unit: TappedUnit, parameters: TrackParameters) -> None:
        if unit.discontinuity:
            self._begin_anew()
        lag_us = self._lag.of(unit.utc_us, time.time_ns() // 1000)
        # A key frame is always worth it, unless there is nothing to pay for it.
        if self._allowance.is_spent(time.monotonic()) or (lag_us > LONGEST_LAG_US and not unit.key):
            self._sampler.skip(unit)
            return
        self._feeds.extend(self._sampler.take(unit, disposable=is_disposable(parameters, unit.data)))

    def _decode(self, feed: Feed) -> None:
        parameters = self._parameters
        if parameters is None:
            return
        if self._decoder is None:
            self._decoder = Decoder(parameters, self._accelerators)
        elif feed.fresh:
            self._decoder.flush()
        began_s = time.thread_time()
        self._decoded += 1
        corrupt = self._decoder.corrupt
        try:
            pictures = self._decoder.decode(feed.unit)
        except BrokenUnitError:
            self._broken += 1
            self._broken_in_a_row += 1
            self._sampler.lose()
            if self._broken_in_a_row >= _BROKEN_IN_A_ROW:
                raise CameraLostError("none of its pictures can be decoded") from None
            return
        cost_s = time.thread_time() - began_s
        if self._decoder.corrupt > corrupt:
            self._broken += 1
            self._sampler.lose()
        self._sampler.unit_cost_s += _COST_SHARE * (cost_s - self._sampler.unit_cost_s)
        for at_us, pts, picture in pictures:
            self._broken_in_a_row = 0
            if self._sampler.is_wanted(pts):
                try:
                    look = self._look(picture, at_us)
                except (FFmpegError, ValueError):
                    # Of a size or format that cannot be scaled.
                    self._broken += 1
                    continue
                self._sampler.see(at_us, look.activity)
                self._shown.append(Shown(picture, at_us, pts, parameters.clock_rate, look))

    def _look(self, picture: VideoFrame, at_us: int) -> Look:
        height = height_for(picture.width, picture.height)
        grey = self._to_grey.reformat(
            picture, width=WIDTH_PX, height=height, format="gray", interpolation=Interpolation.AREA
        )
        plane = grey.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return self._looker.look(rows[:height, :WIDTH_PX], at_us)


def line_of(number: int, store: int, slot: int, shown: Shown) -> FrameLine:
    """What is told of a picture in a slot."""
    width, height = shown.given_size
    return FrameLine(
        number=number,
        store=store,
        slot=slot,
        at_us=shown.at_us,
        pts=shown.pts,
        clock_rate=shown.clock_rate,
        width=width,
        height=height,
        sent_width=shown.picture.width,
        sent_height=shown.picture.height,
        look=shown.look,
    )
