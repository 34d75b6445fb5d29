"""A small auto-encoder by numpy: dense layers, the picture squeezed through a few numbers and made again from them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_LEARNING_RATE = 1e-3
# Adam's, as published (Kingma and Ba, 2015).
_FIRST_DECAY = 0.9
_SECOND_DECAY = 0.999
_EPSILON = 1e-8


class AutoEncoder:
    """Layers of `sizes` units, the first and the last as many as a picture has pixels; ReLU between them."""

    def __init__(self, sizes: Sequence[int], mean: Array, random: np.random.Generator) -> None:
        """`mean` is the mean picture: what it makes of anything before it has learned."""
        self.weights: list[Array] = []
        self.biases: list[Array] = []
        for inputs, outputs in pairwise(sizes):
            scale = np.sqrt(2 / inputs)
            self.weights.append((random.standard_normal((inputs, outputs)) * scale).astype(np.float32))
            self.biases.append(np.zeros(outputs, dtype=np.float32))
        self.weights[-1] *= np.float32(0.1)
        self.biases[-1][:] = mean
        self._moments = [np.zeros_like(values) for values in self._values()]
        self._squares = [np.zeros_like(values) for values in self._values()]
        self._steps = 0

    def encode_and_decode(self, pictures: Array) -> Array:
        """What it makes of pictures, a row each."""
        return self._layers(pictures)[-1]

    def learn(self, pictures: Array) -> float:
        """One step of Adam towards making them again; gives the mean squared error before it."""
        layers = self._layers(pictures)
        error = layers[-1] - pictures
        slope = error * np.float32(2 / error.size * error.shape[1])
        slopes: list[Array] = []
        for at in reversed(range(len(self.weights))):
            slopes[:0] = [layers[at].T @ slope, slope.sum(axis=0)]
            if at:
                slope = (slope @ self.weights[at].T) * (layers[at] > 0)
        self._step(slopes)
        return float(np.mean(error * error))

    def _layers(self, pictures: Array) -> list[Array]:
        layers = [pictures]
        for at, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = layers[-1] @ weights + biases
            layers.append(np.maximum(values, np.float32(0)) if at < len(self.weights) - 1 else values)
        return layers

    def _values(self) -> list[Array]:
        return [values for pair in zip(self.weights, self.biases, strict=True) for values in pair]

    def _step(self, slopes: list[Array]) -> None:
        self._steps += 1
        rate = np.float32(_LEARNING_RATE * np.sqrt(1 - _SECOND_DECAY**self._steps) / (1 - _FIRST_DECAY**self._steps))
        for values, slope, moment, square in zip(self._values(), slopes, self._moments, self._squares, strict=True):
            # In place: they are the network's own.
            np.add(moment, np.float32(1 - _FIRST_DECAY) * (slope - moment), out=moment)
            np.add(square, np.float32(1 - _SECOND_DECAY) * (slope * slope - square), out=square)
            np.subtract(values, rate * moment / (np.sqrt(square) + np.float32(_EPSILON)), out=values)
