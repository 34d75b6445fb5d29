"""JPEG of pixels that were decoded already."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from vms.adapters.stills.pixels import PixelJpegs
from vms.domain.errors import Failure

LARGEST = 64 << 10


def _shown(jpeg: bytes) -> np.ndarray:
    with av.open(io.BytesIO(jpeg), mode="r", format="jpeg_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def _halves(width: int, height: int) -> bytes:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = (200, 30, 30)
    return picture.tobytes()


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [(640, 360, (640, 360)), (1280, 720, (640, 360)), (321, 241, (320, 240)), (1000, 10, (640, 6)), (2, 2, (2, 2))],
)
def test_a_picture_is_scaled_down_to_what_is_wanted(width: int, height: int, shown: tuple[int, int]) -> None:
    picture = _shown(PixelJpegs().jpeg(_halves(width, height), width, height, widest=640, largest_bytes=LARGEST))
    assert (picture.shape[1], picture.shape[0]) == shown
    if shown[0] >= 320 and shown[1] >= 100:
        assert abs(int(picture[5, 5, 0]) - 200) < 20
        assert picture[5, -5].max() < 20


def test_what_does_not_fit_is_made_coarser() -> None:
    noise = np.random.default_rng(1).integers(0, 255, 640 * 360 * 3, dtype=np.uint8).tobytes()
    large = PixelJpegs().jpeg(noise, 640, 360, widest=640, largest_bytes=1 << 20)
    small = PixelJpegs().jpeg(noise, 640, 360, widest=640, largest_bytes=LARGEST)
    assert len(small) <= LARGEST < len(large)
    with pytest.raises(Failure) as refused:
        PixelJpegs().jpeg(noise, 640, 360, widest=640, largest_bytes=1000)
    assert refused.value.kind == "exhausted"


@pytest.mark.parametrize(("width", "height"), [(640, 361), (0, 0), (1, 1)])
def test_pixels_that_are_none(width: int, height: int) -> None:
    with pytest.raises(Failure) as refused:
        PixelJpegs().jpeg(_halves(640, 360), width, height, widest=640, largest_bytes=LARGEST)
    assert refused.value.kind == "invalid"
