"""Where a picture lies in a model's input, and what the reader of a model's outputs is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from vms.domain.models import ModelInput
from vms.domain.motion import Box
from vms.domain.vision import Finding

WHOLE = Box(0.0, 0.0, 1.0, 1.0)
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Placement:
    """A region of a picture lies in `within` of the input: all fractions, from the upper left."""

    region: Box = WHOLE
    within: Box = WHOLE

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A place in the input as one of the whole picture; not clipped."""
        across = (x - self.within.left) / (self.within.right - self.within.left)
        down = (y - self.within.top) / (self.within.bottom - self.within.top)
        region = self.region
        return region.left + across * (region.right - region.left), region.top + down * (region.bottom - region.top)

    def box(self, left: float, top: float, right: float, bottom: float) -> Box | None:
        """A box of the input as one of the whole picture, clipped to it; None where nothing of it is left."""
        x0, y0 = self.point(left, top)
        x1, y1 = self.point(right, bottom)
        # A NaN is less than nothing; clipping would make a number of it.
        if not (x0 < x1 and y0 < y1):
            return None
        x0, y0, x1, y1 = max(0.0, x0), max(0.0, y0), min(1.0, x1), min(1.0, y1)
        return Box(float(x0), float(y0), float(x1), float(y1)) if x1 > x0 and y1 > y0 else None


def placement_of(entry: ModelInput, width_px: float, height_px: float, region: Box = WHOLE) -> Placement:
    """How a region of `width_px` × `height_px` lies in the model's input: stretched, or centred between bars."""
    if entry.fit == "stretch" or width_px <= 0 or height_px <= 0:
        return Placement(region)
    scale = min(entry.width / width_px, entry.height / height_px)
    across, down = width_px * scale / entry.width, height_px * scale / entry.height
    left, top = (1 - across) / 2, (1 - down) / 2
    return Placement(region, Box(left, top, left + across, top + down))


class OutputReader(Protocol):
    """What a model's outputs mean; one for each kind, chosen by the manifest's `reader`."""

    def further_inputs(self, count: int) -> Tensors:
        """Inputs of the graph beside the picture, for a batch of so many."""
        ...

    def check(self, outputs: Mapping[str, tuple[int | str | None, ...]]) -> None:
        """Raises Failure(malformed), which names the output, where the graph's outputs (name → shape) cannot be what
        this reads."""
        ...

    def read(self, outputs: Tensors, placement: Placement, least_score: float) -> tuple[Finding, ...]:
        """The findings of one picture. `outputs`: of that picture alone, by the graph's names, without the batch
        dimension. Best first; numbers that are none (NaN) are left out."""
        ...
