"""The server's side of the still worker."""

from __future__ import annotations

import json
from typing import IO

from vms.adapters.stills import framing
from vms.adapters.stills.process import WorkerEndedError, WorkerProcess
from vms.contracts.media import Picture
from vms.domain.errors import Failure, FailureKind

# What crosses the pipe at most; a 10 s GOP of 4K at 30 Mbit/s is 40 MB.
_LARGEST_REQUEST = 256 << 20


class WorkerStills:
    """Satisfies `vms.contracts.stills.StillDecoder` with one worker process."""

    def __init__(self, *, timeout_s: float = 10.0, idle_s: float = 120.0) -> None:
        self.worker = WorkerProcess("vms.adapters.stills.worker", timeout_s=timeout_s, idle_s=idle_s)

    def jpeg(self, picture: Picture, *, height: int | None = None) -> bytes:
        request = _request(picture, height)
        with self.worker.turn():
            if self.worker.closed:
                raise Failure("unavailable", "the server is stopping")
            try:
                status, content = self.worker.ask((request,), _answer)
            except WorkerEndedError as error:
                if error.late:
                    seconds = self.worker.timeout_s
                    raise Failure("unavailable", f"the decoder did not answer in {seconds:g} s") from error
                raise Failure("malformed", "the decoder ended on this picture") from error
        if status == framing.OK:
            return content
        kind: FailureKind = "unsupported" if status == framing.UNSUPPORTED else "malformed"
        raise Failure(kind, content.decode(errors="replace"))

    def close(self) -> None:
        """Ends the worker; a request under way fails."""
        self.worker.close()


def _answer(pipe: IO[bytes]) -> tuple[int, bytes]:
    status, size_bytes = framing.ANSWER.unpack(framing.read_exactly(pipe, framing.ANSWER.size))
    return status, framing.read_exactly(pipe, size_bytes)


def _request(picture: Picture, height: int | None) -> bytes:
    header = json.dumps(
        {
            "codec": picture.codec,
            "configuration_bytes": len(picture.configuration),
            "unit_bytes": [len(unit) for unit in picture.units],
            "pts_90k": picture.pts_90k,
            "wanted_pts_90k": picture.wanted_pts_90k,
            "height": height,
        }
    ).encode()
    request = b"".join([framing.LENGTH.pack(len(header)), header, picture.configuration, *picture.units])
    if len(request) > _LARGEST_REQUEST:
        raise Failure("unsupported", "too much data lies between the key frame and this picture")
    return request
