"""A decoding worker as the server sees it: the process, the socket of its orders and the memory of its mark."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from vms.adapters.frames.framing import LARGEST_LINE_BYTES, LARGEST_ORDER_BYTES, MARK

# No turn of one camera takes as long, on a busy machine; opening a device for decoding takes seconds.
HANGS_AFTER_S = 30.0
# numpy's own threads would only get in each other's way.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class DecodingProcess:
    """One worker process. Its lines come on a thread of its own, and an empty one at its end."""

    def __init__(
        self, command: list[str], arguments: list[str], take_line: Callable[[DecodingProcess, bytes], None]
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders = ours
        memory = os.memfd_create("frames mark")
        try:
            os.ftruncate(memory, MARK.size)
            self._mark = mmap.mmap(memory, MARK.size)
            self._mark[:] = MARK.pack(-1, 0)
            self._process = subprocess.Popen(
                [*command, str(memory), *arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                pass_fds=(memory,),
                start_new_session=True,
                env={**os.environ, **_ONE_THREAD},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(memory)
        self._take_line = take_line
        self._seen: tuple[int, int] = (-1, 0)
        self._seen_since_s = 0.0
        self._killed = False
        self.has_ended = False
        self._reading = threading.Thread(target=self._read, name="frames lines", daemon=True)
        self._reading.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def mark(self) -> int:
        """The number of the camera whose turn it is, or was when the process died; -1 for none."""
        number: int = MARK.unpack(self._mark[: MARK.size])[0]
        return number

    def hangs(self, now_s: float) -> bool:
        """Whether one turn has lasted too long."""
        number, turns = MARK.unpack(self._mark[: MARK.size])
        if (number, turns) != self._seen or number < 0:
            self._seen, self._seen_since_s = (number, turns), now_s
        return now_s - self._seen_since_s > HANGS_AFTER_S

    def order(self, order: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Raises OSError when the process is gone or takes none."""
        content = json.dumps(order).encode()
        if len(content) > LARGEST_ORDER_BYTES:
            raise OSError("the order is too large")
        socket.send_fds(self._orders, [content], list(descriptors), socket.MSG_DONTWAIT)

    def kill(self) -> None:
        """It is heard no more."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def end(self) -> None:
        """Everything of it is gone afterwards."""
        self.kill()
        self.has_ended = True
        self._orders.close()
        self._process.wait()
        if self._reading is not threading.current_thread():
            self._reading.join(1.0)
        self._mark.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (a pipe)
        with self._process.stdout as pipe:
            for line in iter(lambda: pipe.readline(LARGEST_LINE_BYTES), b""):
                if self._killed:
                    break
                self._take_line(self, line)
        self._take_line(self, b"")
