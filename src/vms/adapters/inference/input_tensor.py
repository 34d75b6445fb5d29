"""A picture, or a region of it, as a model's input.

swscale (through PyAV) scales and parts the colours in one go: 640×360 to 300×300 in 0.3 ms, for which numpy alone takes
4 ms; numpy then changes the type and subtracts the mean.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vms.adapters.inference.placement import WHOLE, Placement, placement_of
from vms.domain.errors import Failure
from vms.domain.models import ModelInput
from vms.domain.motion import Box

# Without these, swscale halves the resolution of the colours on its way.
_WHOLE_COLOURS = Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
# Sizes of pictures whose scaling is prepared: cameras of one kind have one.
_MOST_SCALERS = 16
# Planes of swscale's gbrp, by colour.
_PLANES = {"rgb": (2, 0, 1), "bgr": (1, 0, 2)}
_GREY = (0.587, 0.114, 0.299)


class InputTensor:
    """Makes the input of one model."""

    def __init__(self, entry: ModelInput) -> None:
        channels = 1 if entry.colour == "grey" else 3
        self._entry = entry
        self._channels = channels
        self._mean = _per_channel(entry.mean, channels)
        self._deviation = _per_channel(entry.deviation, channels)
        self._is_plain = not self._mean.any() and (self._deviation == 1).all()
        self._scalers: OrderedDict[tuple[int, int, int, int], VideoReformatter] = OrderedDict()
        self._tensors: dict[int, NDArray[Any]] = {}

    def tensor(self, count: int) -> NDArray[Any]:
        """For so many pictures; the same memory each time."""
        if count not in self._tensors:
            entry = self._entry
            shape = (entry.height, entry.width, self._channels)
            if entry.layout == "nchw":
                shape = (self._channels, entry.height, entry.width)
            self._tensors[count] = np.zeros((count, *shape), entry.type)
        return self._tensors[count]

    def put(self, picture: NDArray[np.uint8], region: Box | None, into: NDArray[Any]) -> Placement:
        """Writes a picture (rows × columns × RGB) into its part of a tensor; where it lies there.

        Raises Failure(malformed) for a region without pixels.
        """
        cut, seen = _cut(picture, region)
        placement = self._placed(seen, cut.shape[1], cut.shape[0])
        within, entry = placement.within, self._entry
        left, right = round(within.left * entry.width), round(within.right * entry.width)
        top, bottom = round(within.top * entry.height), round(within.bottom * entry.height)
        planar = into if entry.layout == "nchw" else into.transpose(2, 0, 1)
        if (right - left, bottom - top) != (entry.width, entry.height):
            fill = np.full(self._channels, entry.fill, np.float32)
            planar[:] = ((fill - self._mean) / self._deviation)[:, None, None]
        self._write(self._scaled(cut, right - left, bottom - top), planar[:, top:bottom, left:right])
        return placement

    def _placed(self, region: Box, width_px: int, height_px: int) -> Placement:
        """Like `placement_of`, in whole pixels of the input."""
        entry = self._entry
        within = placement_of(entry, width_px, height_px).within
        left, top = round(within.left * entry.width), round(within.top * entry.height)
        # The bars of a very long picture leave it a pixel.
        right = max(left + 1, round(within.right * entry.width))
        bottom = max(top + 1, round(within.bottom * entry.height))
        return Placement(
            region, Box(left / entry.width, top / entry.height, right / entry.width, bottom / entry.height)
        )

    def _scaled(self, cut: NDArray[np.uint8], width: int, height: int) -> list[NDArray[np.uint8]]:
        """Its planes green, blue, red."""
        key = (cut.shape[1], cut.shape[0], width, height)
        scaler = self._scalers.pop(key, None) or VideoReformatter()
        self._scalers[key] = scaler
        while len(self._scalers) > _MOST_SCALERS:
            self._scalers.popitem(last=False)
        shrinks = width <= cut.shape[1] and height <= cut.shape[0]
        how = (Interpolation.AREA if shrinks else Interpolation.BILINEAR) | _WHOLE_COLOURS
        frame = av.VideoFrame.from_numpy_buffer(cut, "rgb24")
        scaled = scaler.reformat(frame, width, height, "gbrp", interpolation=how, threads=1)
        return [
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
            for plane in scaled.planes
        ]

    def _write(self, planes: list[NDArray[np.uint8]], into: NDArray[Any]) -> None:
        if self._entry.colour == "grey":
            grey = sum(weight * plane.astype(np.float32) for weight, plane in zip(_GREY, planes, strict=True))
            self._write_channel(np.asarray(grey), 0, into)
            return
        for channel, plane in enumerate(_PLANES[self._entry.colour]):
            self._write_channel(planes[plane], channel, into)

    def _write_channel(self, levels: NDArray[Any], channel: int, into: NDArray[Any]) -> None:
        if self._is_plain:
            into[channel] = levels
        else:
            into[channel] = (levels - self._mean[channel]) * (1 / self._deviation[channel])


def _cut(picture: NDArray[np.uint8], region: Box | None) -> tuple[NDArray[np.uint8], Box]:
    """The pixels of a region, and the region that they are."""
    if region is None:
        return picture, WHOLE
    height, width = picture.shape[:2]
    # Written so that a NaN is no region.
    if not (region.left < region.right and region.top < region.bottom):
        raise Failure("malformed", "a region without pixels")
    left, right = round(max(0.0, region.left) * width), round(min(1.0, region.right) * width)
    top, bottom = round(max(0.0, region.top) * height), round(min(1.0, region.bottom) * height)
    if right <= left or bottom <= top:
        raise Failure("malformed", "a region without pixels")
    return picture[top:bottom, left:right], Box(left / width, top / height, right / width, bottom / height)


def _per_channel(values: tuple[float, ...], channels: int) -> NDArray[np.float32]:
    if len(values) not in {1, channels}:
        raise Failure("malformed", f"{len(values)} means or deviations for {channels} channels")
    return np.array(values * channels if len(values) == 1 else values, np.float32)
