"""Training on a camera's normal footage, and the threshold that footage it was not trained on gives.

A picture is taken relative to its own mean and contrast, so that dusk and exposure are nothing new. What the
auto-encoder does not make again is summed per cell, and judged against what it does not make again there as a rule:
where things move every day much is allowed, where nothing ever is, little.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vms.adapters.anomaly.export import to_onnx
from vms.adapters.anomaly.network import Array, AutoEncoder
from vms.adapters.anomaly.scale import CELL_PX, HEIGHT, LEAST_DEVIATION, WIDTH
from vms.domain.errors import Failure

# Fewer show too little of what is normal; more are thinned out evenly.
LEAST_PICTURES = 200
MOST_PICTURES = 3000
_HIDDEN = (48, 16, 48)
_BATCH = 32
# Steps, not rounds: as many for little footage as for much.
STEPS = 1500
# Of every so many stretches of footage, one tells what is normal in a cell and one sets the threshold.
_STRETCHES = 20
_EVERY = 5
# What is allowed in a cell: this quantile of its errors, and in quiet cells not less than the picture's usual one.
_CELL_QUANTILE = 0.99
# The threshold: this quantile of the errors of footage that was held out, times the margin.
_QUANTILE = 0.999
_MARGIN = 1.5


@dataclass(frozen=True)
class TrainedAnomaly:
    """A camera's model. An error is how often the worst cell's holds what is allowed there; above `threshold` the
    picture is unusual, and the graph's score is 0.5 at it."""

    onnx: bytes
    threshold: float
    # Of pictures that were neither trained on nor set what is allowed.
    held_out_errors: NDArray[np.float32]
    pictures: int


def train_from(pictures: Iterable[NDArray[np.uint8]], seed: int) -> TrainedAnomaly:
    """Trains on grey pictures of HEIGHT × WIDTH in order of time, as many as there are: they are thinned out evenly as
    they come. Raises what `train` does.

    They must be scaled as they will be where the model runs (`MODEL_INPUT`); `shrink` is the mean of the pixels.
    """
    kept: list[NDArray[np.uint8]] = []
    every = 1
    for nth, picture in enumerate(pictures):
        if nth % every:
            continue
        kept.append(np.array(picture))
        if len(kept) > MOST_PICTURES:
            kept = kept[::2]
            every *= 2
    if any(picture.shape != (HEIGHT, WIDTH) for picture in kept):
        raise Failure("malformed", f"not all pictures have {WIDTH} × {HEIGHT} pixels in grey", code="training-pictures")
    return train(np.array(kept, dtype=np.uint8).reshape(len(kept), HEIGHT, WIDTH), seed)


def train(pictures: NDArray[np.uint8], seed: int, steps: int = STEPS) -> TrainedAnomaly:
    """Trains on N × HEIGHT × WIDTH grey levels in order of time; the same pictures and seed give the same model.

    Raises Failure(malformed) for pictures of another shape, Failure(invalid) for fewer than LEAST_PICTURES and for
    footage that shows nothing.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 3 or pictures.shape[1:] != (HEIGHT, WIDTH):
        raise Failure("malformed", f"not pictures of {WIDTH} × {HEIGHT} grey levels", code="training-pictures")
    if len(pictures) < LEAST_PICTURES:
        detail = f"{len(pictures)} pictures are too few to learn what is normal: at least {LEAST_PICTURES} are needed"
        raise Failure("invalid", detail, code="too-little-footage")
    rows = _standardised(pictures)
    if float(np.median(pictures.std(axis=(1, 2)))) < LEAST_DEVIATION:
        raise Failure("invalid", "the footage shows nothing: its pictures are flat", code="flat-footage")
    stretch = np.arange(len(rows)) * _STRETCHES // len(rows) % _EVERY
    judged, held_out = rows[stretch == 1], rows[stretch == 3]
    network = _trained(rows[(stretch != 1) & (stretch != 3)], seed, steps)
    allowed = _allowed(_cell_errors(network, judged))
    errors = (_cell_errors(network, held_out) / allowed).max(axis=1).astype(np.float32)
    threshold = float(np.quantile(errors, _QUANTILE) * _MARGIN)
    return TrainedAnomaly(to_onnx(network, allowed, threshold), threshold, errors, len(pictures))


def shrink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of any size, H × W × 3 RGB or H × W grey, as HEIGHT × WIDTH grey levels: the mean of what falls into
    each. Raises Failure(malformed) for one that is smaller."""
    if picture.ndim not in (2, 3) or picture.shape[0] < HEIGHT or picture.shape[1] < WIDTH:
        raise Failure(
            "malformed", f"a picture of {WIDTH} × {HEIGHT} pixels or more is needed", code="training-pictures"
        )
    # ITU-R BT.601's weights, as cameras have them.
    grey = picture if picture.ndim == 2 else picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    sums = grey.astype(np.float32)
    for axis, count in ((0, HEIGHT), (1, WIDTH)):
        edges = np.arange(count + 1) * sums.shape[axis] // count
        sums = np.add.reduceat(sums, edges[:-1], axis=axis)
        shape = [1, 1]
        shape[axis] = count
        sums /= np.diff(edges).astype(np.float32).reshape(shape)
    return np.clip(np.rint(sums), 0, 255).astype(np.uint8)


def _standardised(pictures: NDArray[np.uint8]) -> Array:
    """A row per picture, relative to its mean and deviation. The graph does the same."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.sqrt((rows * rows).mean(axis=1, keepdims=True)) + np.float32(LEAST_DEVIATION)
    return rows


def _trained(rows: Array, seed: int, steps: int) -> AutoEncoder:
    random = np.random.default_rng(seed)
    network = AutoEncoder((rows.shape[1], *_HIDDEN, rows.shape[1]), rows.mean(axis=0), random)
    for _ in range(steps):
        network.learn(rows[random.integers(0, len(rows), _BATCH)])
    return network


def _cell_errors(network: AutoEncoder, rows: Array) -> Array:
    """Mean squared error per cell: N × cells, row by row."""
    difference = (network.encode_and_decode(rows) - rows).reshape(
        len(rows), HEIGHT // CELL_PX, CELL_PX, WIDTH // CELL_PX, CELL_PX
    )
    errors: Array = (difference * difference).mean(axis=(2, 4)).reshape(len(rows), -1)
    return errors


def _allowed(errors: Array) -> Array:
    per_cell = np.quantile(errors, _CELL_QUANTILE, axis=0)
    return np.maximum(per_cell, np.median(per_cell)).astype(np.float32)
