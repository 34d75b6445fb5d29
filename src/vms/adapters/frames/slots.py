"""The worker's side of a store: a free slot is taken and written."""

from __future__ import annotations

import mmap
import os

import numpy as np
from av.video.frame import VideoFrame

from vms.adapters.frames.framing import FREE, HEADER_BYTES, TAKEN


class Slots:
    """A store, mapped. The descriptor is closed here."""

    def __init__(self, number: int, fd: int, slot_bytes: int, slots: int) -> None:
        """Raises OSError or ValueError for memory that is not as large."""
        self.number = number
        self.slot_bytes = slot_bytes
        self._slots = slots
        try:
            self._memory = mmap.mmap(fd, HEADER_BYTES + slots * slot_bytes)
        finally:
            os.close(fd)

    def write(self, picture: VideoFrame) -> int | None:
        """Copies a picture of RGB into a free slot; the slot, or None where all are out."""
        taken = bytes(self._memory[: self._slots])
        slot = taken.find(FREE)
        if slot < 0:
            return None
        plane = picture.planes[0]
        row_bytes = picture.width * 3
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: picture.height, :row_bytes]
        place = np.frombuffer(self._memory, np.uint8, picture.height * row_bytes, HEADER_BYTES + slot * self.slot_bytes)
        self._memory[slot] = TAKEN
        place.reshape(picture.height, row_bytes)[:] = rows
        return slot

    def free(self, slot: int) -> None:
        """What was written is not told of."""
        self._memory[slot] = FREE
