"""Pictures in shared memory, as the device's process sees them."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.adapters.inference.framing import Order
from vms.domain.errors import Failure

# A file per camera; more than those were replaced.
_MOST_FILES = 256
_LARGEST_SIDE = 16384


@dataclass
class _Mapped:
    # Device, number and size of the file: another one may have taken its path.
    identity: tuple[int, int, int]
    memory: mmap.mmap


class SharedPictures:
    """Files that hold pictures, mapped once, for reading."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, _Mapped] = OrderedDict()

    def picture(self, order: Order) -> NDArray[np.uint8]:
        """Rows × columns × RGB, where it lies. Raises Failure(malformed) for what lies nowhere."""
        width, height, offset = order.width, order.height, order.offset
        if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
            raise Failure("malformed", f"a picture of {width}×{height} pixels")
        memory = self._map(order.path)
        if offset < 0 or offset + width * height * 3 > len(memory):
            raise Failure("malformed", f"a picture of {width}×{height} pixels does not lie at {offset} in its memory")
        content: NDArray[Any] = np.frombuffer(memory, np.uint8, width * height * 3, offset)
        return content.reshape(height, width, 3)

    def _map(self, path: str) -> mmap.mmap:
        try:
            status = os.stat(path)  # noqa: PTH116 (once per picture)
            identity = (status.st_dev, status.st_ino, status.st_size)
            known = self._files.get(path)
            if known is not None and known.identity == identity:
                self._files.move_to_end(path)
                return known.memory
            with open(path, "rb") as file:  # noqa: PTH123
                memory = mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise Failure("malformed", f"the picture's memory is gone: {error}") from error
        self._files[path] = _Mapped(identity, memory)
        self._files.move_to_end(path)
        while len(self._files) > _MOST_FILES:
            # Unmapped with the last picture in it.
            self._files.popitem(last=False)
        return memory
