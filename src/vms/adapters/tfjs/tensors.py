"""Tensors of the graph that is being written: what is known of each, and how it lies in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TranslationError(ValueError):
    """A node of the model, or what goes into it, cannot be as it is."""


@dataclass(frozen=True)
class Free:
    """A dimension that is the batch's size so many times."""

    times: int = 1

    def __repr__(self) -> str:
        return "N" if self.times == 1 else f"{self.times}N"


Dimension = int | Free
Shape = tuple[Dimension, ...]
_LARGEST_ELEMENTS = 1 << 31


@dataclass(frozen=True)
class Tensor:
    """A value of the graph. `shape` and `value` are as TensorFlow has them; in the ONNX graph axis i of the value
    `name` is axis `order[i]` of these. So a transposition costs nothing until somebody needs another order."""

    name: str
    shape: Shape
    type: np.dtype[Any]
    order: tuple[int, ...] = ()
    # Where it is known beforehand; of objects where it holds Free.
    value: NDArray[Any] | None = None
    # It is `padded[0]` with so much of `padded[2]` around it, per axis (before, after).
    padded: tuple[Tensor, tuple[tuple[int, int], ...], float] | None = None

    @property
    def known(self) -> NDArray[Any] | None:
        """Its value, where that depends on no batch."""
        return None if self.value is None or self.value.dtype == object else self.value

    @property
    def rank(self) -> int:
        return len(self.shape)


def plain_order(rank: int) -> tuple[int, ...]:
    return tuple(range(rank))


def elements(shape: Iterable[Dimension]) -> Dimension:
    """How many a tensor of this shape holds. Raises TranslationError for more than one free dimension or too many."""
    count, free = 1, False
    for dimension in shape:
        if isinstance(dimension, Free):
            if free:
                raise TranslationError("the batch's size would multiply with itself")
            free = True
            count *= dimension.times
        else:
            count *= dimension
    if count > _LARGEST_ELEMENTS:
        raise TranslationError(f"a tensor of {count} elements is too large")
    return Free(count) if free else count


def divided(total: Dimension, part: Dimension) -> Dimension:
    """Raises TranslationError where it does not come out."""
    if isinstance(part, Free):
        if not isinstance(total, Free):
            raise TranslationError(f"{total} elements cannot be a multiple of {part}")
        return divided(total.times, part.times)
    count = total.times if isinstance(total, Free) else total
    if part == 0 or count % part:
        raise TranslationError(f"{total} elements cannot be cut into {part}")
    return Free(count // part) if isinstance(total, Free) else count // part


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape of an operation on these, element by element. Raises TranslationError."""
    rank = max(len(shape) for shape in shapes)
    result: list[Dimension] = [1] * rank
    for shape in shapes:
        for axis, dimension in enumerate(shape, rank - len(shape)):
            if dimension == 1 or dimension == result[axis]:
                continue
            if result[axis] != 1:
                raise TranslationError(f"shapes {', '.join(map(str, shapes))} do not go together")
            result[axis] = dimension
    return tuple(result)


def integers(tensor: Tensor) -> tuple[int, ...]:
    """The numbers of one that has to be known. Raises TranslationError."""
    if tensor.known is None:
        raise TranslationError("a shape or an index that is only known at run time is not supported")
    return tuple(int(number) for number in tensor.known.reshape(-1))


def axis_of(axis: int, rank: int) -> int:
    """Counted from the front. Raises TranslationError."""
    if not -rank <= axis < rank:
        raise TranslationError(f"axis {axis} of {rank}")
    return axis % rank


def same_order(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """The order that spares most transpositions: that of the first of full rank that is no constant and not plain."""
    rank = max(tensor.rank for tensor in tensors)
    for tensor in tensors:
        if tensor.rank == rank and tensor.known is None and tensor.order != plain_order(rank):
            return tensor.order
    return plain_order(rank)
