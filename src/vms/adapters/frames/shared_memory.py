"""The server's side of the memory that pictures lie in: stores of a few slots for each camera, within a budget."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from vms.adapters.frames.framing import FREE, HEADER_BYTES
from vms.contracts.frames import Frame, FramePlace

# What a camera gets where there is enough.
MOST_SLOTS = 4


def slots_within(slot_bytes: Sequence[int], budget_bytes: int) -> list[int]:
    """How many slots each camera gets, in the order in which they came: as many for all as fit, MOST_SLOTS at most.
    Where there is not even one for each, the last ones get none."""
    for slots in range(MOST_SLOTS, 0, -1):
        if sum(store_size(size, slots) for size in slot_bytes) <= budget_bytes:
            return [slots] * len(slot_bytes)
    counts = []
    for size in slot_bytes:
        fits = store_size(size, 1) <= budget_bytes
        counts.append(1 if fits else 0)
        budget_bytes -= store_size(size, 1) if fits else 0
    return counts


def store_size(slot_bytes: int, slots: int) -> int:
    """Bytes of a store."""
    return HEADER_BYTES + slots * slot_bytes


class _File:
    """Memory with a name that stays the same as long as the server runs, whatever stores lie in it one after another:
    so a mapping of it, kept by whoever reads pictures, never shows another file's."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("frames")
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.size_bytes = 0
        self.memory: mmap.mmap | None = None

    def hold(self, size_bytes: int) -> mmap.mmap:
        """Makes it as large, at least. Raises OSError."""
        if self.memory is None or size_bytes > self.size_bytes:
            os.ftruncate(self.fd, size_bytes)
            self.size_bytes = size_bytes
            self.memory = mmap.mmap(self.fd, size_bytes)
        self.memory[:HEADER_BYTES] = bytes(HEADER_BYTES)
        return self.memory

    def empty(self) -> None:
        """Gives its memory back to the system; it stays as long as it was, all zeros."""
        if self.memory is not None:
            self.memory.madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        memory, self.memory = self.memory, None
        if memory is not None:
            # Whoever still looks at a picture of it keeps it.
            with contextlib.suppress(BufferError):
                memory.close()
        os.close(self.fd)


@dataclass
class Store:
    """Slots of one camera in one worker."""

    number: int
    slot_bytes: int
    slots: int
    file: _File
    memory: mmap.mmap
    # slot → the frame in it that is not released yet
    leases: dict[int, Frame] = field(default_factory=dict)
    # The worker may write into it; no frame of it is given any more.
    is_held: bool = True
    is_retired: bool = False

    @property
    def size_bytes(self) -> int:
        return store_size(self.slot_bytes, self.slots)

    def place(self, slot: int) -> FramePlace:
        """Where a slot's bytes are."""
        return FramePlace(self.file.path, HEADER_BYTES + slot * self.slot_bytes)


class SharedMemory:
    """All stores. Safe for threads."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._numbers = 0
        self._used_bytes = 0
        # Of every store that is not free yet, by the path of its file.
        self._stores: dict[str, Store] = {}
        self._free: list[_File] = []
        self._closed = False

    @property
    def used_bytes(self) -> int:
        """Of all stores, also those that are waited for."""
        return self._used_bytes

    def take(self, slot_bytes: int, slots: int) -> Store | None:
        """A store; None where the budget does not allow it now. Raises OSError where the system has no memory."""
        size_bytes = store_size(slot_bytes, slots)
        with self._lock:
            if self._closed or self._used_bytes + size_bytes > self.budget_bytes:
                return None
            file = self._free.pop() if self._free else _File()
            try:
                memory = file.hold(size_bytes)
            except OSError:
                self._free.append(file)
                raise
            self._used_bytes += size_bytes
            self._numbers += 1
            store = Store(self._numbers, slot_bytes, slots, file, memory)
            self._stores[file.path] = store
            return store

    def lease(self, store: Store, slot: int, frame: Frame) -> bool:
        """Notes a frame that the worker wrote; False where the store is retired. Raises ValueError for a slot that it
        cannot have written."""
        with self._lock:
            if not 0 <= slot < store.slots or slot in store.leases or frame.size_bytes > store.slot_bytes:
                raise ValueError(f"slot {slot} cannot hold that picture")
            if store.is_retired:
                return False
            store.leases[slot] = frame
            return True

    def release(self, frame: Frame) -> None:
        """The frame's slot may be written again. Does nothing for one that is released."""
        with self._lock:
            store = self._stores.get(frame.place.path)
            if store is None:
                return
            slot = (frame.place.offset - HEADER_BYTES) // store.slot_bytes
            lease = store.leases.get(slot)
            if lease is not frame and lease != frame:
                return
            del store.leases[slot]
            if store.is_retired:
                self._free_if_unused(store)
            else:
                store.memory[slot] = FREE

    def pixels(self, frame: Frame) -> memoryview:
        """A frame's bytes, to be read."""
        with self._lock:
            memory = self._stores[frame.place.path].memory
            return memoryview(memory)[frame.place.offset : frame.place.offset + frame.size_bytes].toreadonly()

    def retire(self, store: Store, *, is_held: bool) -> None:
        """No frames of it are given any more; those that are out stay. `is_held`: the worker may still write."""
        with self._lock:
            store.is_retired = True
            store.is_held = is_held
            self._free_if_unused(store)

    def _free_if_unused(self, store: Store) -> None:
        if store.leases or store.is_held or self._stores.get(store.file.path) is not store:
            return
        del self._stores[store.file.path]
        self._used_bytes -= store.size_bytes
        store.file.empty()
        self._free.append(store.file)

    def close(self) -> None:
        """Frees everything; what is still leased can be read by those that have it mapped."""
        with self._lock:
            self._closed = True
            for file in [*self._free, *(store.file for store in self._stores.values())]:
                file.close()
            self._free.clear()
            self._stores.clear()
            self._used_bytes = 0
