"""The process that makes Opus of a camera's AAC: `python -m vms.adapters.audio.opus_worker`; see `framing`.

Ends with its standard input. Exit status 2: the header is none, or its configuration cannot be decoded.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import IO, TypedDict

from av.error import FFmpegError

from vms.adapters.audio import framing
from vms.adapters.audio.opus import Transcoder

# A worker holds some 40 MB; what a broken stream makes it take ends here.
_MOST_MEMORY_BYTES = 2 << 30


class Header(TypedDict):
    """The first line."""

    codec: str
    configuration: str
    clock_rate: int
    channels: int


def opened(header: Header) -> Transcoder:
    """Raises FFmpegError, ValueError, KeyError or TypeError."""
    if header["codec"] != "aac" or header["clock_rate"] <= 0:
        raise ValueError(f"{header['codec']} at {header['clock_rate']} Hz")
    return Transcoder(bytes.fromhex(header["configuration"]), header["clock_rate"], header["channels"])


def serve(units: IO[bytes], records: IO[bytes]) -> int:
    """Transcodes until `units` ends; the exit status."""
    try:
        transcoder = opened(json.loads(units.readline()))
    except (FFmpegError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"no such sound: {error}\n")
        return 2
    records.write(framing.RECORD.pack(framing.READY, 0, 0))
    records.flush()
    while True:
        try:
            pts, size_bytes = framing.UNIT.unpack(framing.read_exactly(units, framing.UNIT.size))
            if size_bytes > framing.LARGEST_UNIT_BYTES:
                sys.stderr.write(f"a unit of {size_bytes} bytes is none\n")
                return 2
            unit = framing.read_exactly(units, size_bytes)
        except EOFError:
            return 0
        try:
            packets = transcoder.transcode(unit, pts)
        except (FFmpegError, ValueError):
            records.write(framing.RECORD.pack(framing.SKIPPED, 1, 0))
        else:
            for at, packet in packets:
                records.write(framing.RECORD.pack(framing.PACKET, at, len(packet)) + packet)
        try:
            records.flush()
        except BrokenPipeError:
            return 0


def main() -> int:
    """The process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    records = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not come between the records.
    os.dup2(2, 1)
    return serve(sys.stdin.buffer, records)


if __name__ == "__main__":
    sys.exit(main())
