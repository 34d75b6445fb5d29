"""The process that decodes: `python -m vms.adapters.frames.worker MARK_FD [CPU_SHARE] [auto|off]`; see `framing`."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import selectors
import socket
import sys
import time
from collections import deque
from typing import Any

from av.error import FFmpegError
from pydantic import ValidationError

from vms.adapters.frames import framing
from vms.adapters.frames.camera import CameraLostError, DecodedCamera, Shown, line_of
from vms.adapters.frames.decoding import Accelerators
from vms.adapters.frames.slots import Slots
from vms.contracts.frames import Sampling

# Between the rounds of turns: every unit of every camera would wake the process otherwise.
_ROUND_S = 0.02
_FIGURES_EVERY_S = 2.0
# A store comes within that, where there is memory.
_STORE_COMES_S = 0.5
_MOST_MEMORY_BYTES = 8 << 30
_DEFAULT_SHARE = 0.5
# Lines that wait for whoever reads them. What tells of pictures is not written then.
_MOST_WAITING_LINES = 1000


class Lines:
    """Lines to the server, which never wait for it."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING_LINES)
        self._begun = b""

    def write(self, line: bytes) -> None:
        """Now or later. Raises BrokenPipeError when nobody reads any more."""
        self._waiting.append(line)
        self.flush()

    def flush(self) -> bool:
        """Whether all was written."""
        while self._begun or self._waiting:
            self._begun = self._begun or self._waiting.popleft()
            try:
                self._begun = self._begun[os.write(self._fd, self._begun) :]
            except BlockingIOError:
                return False
        return True


class Worker:
    """All cameras of the process, one turn each."""

    def __init__(
        self, orders: socket.socket, lines: Lines, mark: mmap.mmap, accelerators: Accelerators, share: float
    ) -> None:
        self._orders = orders
        self._lines = lines
        self._mark = mark
        self._accelerators = accelerators
        self._share = share
        self._selector = selectors.DefaultSelector()
        self._selector.register(orders, selectors.EVENT_READ, None)
        self._cameras: dict[int, DecodedCamera] = {}
        self._told: dict[int, tuple[str, str]] = {}
        self._turns = 0
        self._figures_at_s = time.monotonic() + _FIGURES_EVERY_S

    def run(self) -> None:
        """Until the other side of the orders is closed."""
        while True:
            ready = {key.data for key, _ in self._selector.select(timeout=self._longest_pause_s())}
            if None in ready and not self._take_order():
                return
            for camera in list(self._cameras.values()):
                if (camera in ready or camera.is_behind) and not self._waits(camera):
                    self._turn(camera)
            self._lines.flush()
            if self._longest_pause_s() > 0:
                time.sleep(_ROUND_S)
            if time.monotonic() >= self._figures_at_s:
                self._figures_at_s = time.monotonic() + _FIGURES_EVERY_S
                for camera in self._cameras.values():
                    self._tell({"is": "figures", "number": camera.number, **camera.figures()})

    def _longest_pause_s(self) -> float:
        """How long there is nothing to do, where nothing comes."""
        behind = [self._waits(camera) for camera in self._cameras.values() if camera.is_behind]
        if not behind:
            return _FIGURES_EVERY_S
        return _ROUND_S if all(behind) else 0.0

    def _waits(self, camera: DecodedCamera) -> bool:
        """Whether a picture of it waits for a store that is on its way."""
        return camera.waiting is not None and time.monotonic() < camera.asked_s + _STORE_COMES_S

    def _turn(self, camera: DecodedCamera) -> None:
        if self._cameras.get(camera.number) is not camera:
            return
        self._note(camera.number)
        try:
            shown = camera.turn()
            if shown is not None:
                self._give(camera, shown)
        except CameraLostError as error:
            figures = camera.figures()
            self._forget(camera.number)
            self._tell({"is": "figures", "number": camera.number, **figures})
            self._tell({"is": "lost", "number": camera.number, "reason": str(error)})
        else:
            self._tell_decoder(camera)
        finally:
            self._note(-1)

    def _give(self, camera: DecodedCamera, shown: Shown) -> None:
        """Writes a picture into a slot and tells of it; where there is none, it is dropped."""
        slots = camera.slots
        if slots is None or slots.slot_bytes < shown.slot_bytes:
            camera.dropped += camera.waiting is not None
            camera.waiting = shown
            if camera.wanted_slot_bytes != shown.slot_bytes:
                camera.wanted_slot_bytes = shown.slot_bytes
                camera.asked_s = time.monotonic()
                self._tell({"is": "wants", "number": camera.number, "slot_bytes": shown.slot_bytes})
            return
        camera.waiting = None
        try:
            slot = slots.write(camera.in_colour(shown)) if self._lines.flush() else None
        except (FFmpegError, ValueError) as error:
            raise CameraLostError(f"its pictures cannot be converted: {error}") from error
        if slot is None:
            camera.dropped += 1
            return
        self._lines.write(framing.write_frame(line_of(camera.number, slots.number, slot, shown)))

    def _tell_decoder(self, camera: DecodedCamera) -> None:
        state = (camera.codec, camera.hardware)
        if self._told.get(camera.number, ("", "")) != state:
            self._told[camera.number] = state
            self._tell({"is": "decoder", "number": camera.number, "codec": state[0], "hardware": state[1]})

    def _take_order(self) -> bool:
        content, descriptors, _, _ = socket.recv_fds(self._orders, framing.LARGEST_ORDER_BYTES, 1)
        if not content:
            return False
        try:
            order: dict[str, Any] = json.loads(content)
            number = int(order["number"])
            if order["do"] == "watch":
                self._watch(number, descriptors, Sampling.model_validate(order["sampling"]))
            elif order["do"] == "sample" and number in self._cameras:
                self._cameras[number].sample(Sampling.model_validate(order["sampling"]))
            elif order["do"] == "store":
                self._take_store(number, order, descriptors)
            elif order["do"] == "forget":
                self._forget(number)
        except (ValueError, KeyError, TypeError, ValidationError, OSError) as error:
            sys.stderr.write(f"an order that cannot be followed: {error}\n")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _watch(self, number: int, descriptors: list[int], sampling: Sampling) -> None:
        tap = socket.socket(fileno=descriptors.pop())
        tap.setblocking(False)
        camera = DecodedCamera(number, tap, sampling, self._accelerators, self._share)
        self._cameras[number] = camera
        self._selector.register(tap, selectors.EVENT_READ, camera)

    def _take_store(self, number: int, order: dict[str, Any], descriptors: list[int]) -> None:
        """Another store, or none; the picture that waited for it is given."""
        camera = self._cameras.get(number)
        store = int(order["store"])
        if camera is None:
            if descriptors:
                self._tell({"is": "freed", "number": number, "store": store})
            return
        self._leave_store(camera)
        if not descriptors:
            return
        camera.slots = Slots(store, descriptors.pop(), int(order["slot_bytes"]), int(order["slots"]))
        waiting, camera.waiting = camera.waiting, None
        if waiting is not None:
            self._note(number)
            try:
                self._give(camera, waiting)
            except CameraLostError as error:
                self._forget(number)
                self._tell({"is": "lost", "number": number, "reason": str(error)})
            finally:
                self._note(-1)

    def _leave_store(self, camera: DecodedCamera) -> None:
        slots, camera.slots = camera.slots, None
        if slots is not None:
            self._tell({"is": "freed", "number": camera.number, "store": slots.number})

    def _forget(self, number: int) -> None:
        camera = self._cameras.pop(number, None)
        if camera is None:
            return
        self._selector.unregister(camera.tap)
        camera.close()
        self._told.pop(number, None)
        self._leave_store(camera)

    def _tell(self, document: dict[str, Any]) -> None:
        self._lines.write(framing.write_line(document))

    def _note(self, number: int) -> None:
        self._turns += 1
        self._mark[: framing.MARK.size] = framing.MARK.pack(number, self._turns)


def main() -> None:
    """The process."""
    accelerators = Accelerators(()) if sys.argv[3:4] == ["off"] else Accelerators.of_this_machine()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not accelerators.names:
        # Drivers of devices reserve more addresses than any memory has.
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    # Recording and live pictures come first.
    with contextlib.suppress(OSError):
        os.nice(5)
    lines = Lines(os.dup(1))
    # Whatever a library prints must not come between the lines.
    os.dup2(2, 1)
    mark = mmap.mmap(int(sys.argv[1]), framing.MARK.size)
    share = float(sys.argv[2]) if len(sys.argv) > 2 else _DEFAULT_SHARE
    orders = socket.socket(fileno=os.dup(0))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Worker(orders, lines, mark, accelerators, share).run()


if __name__ == "__main__":
    main()
