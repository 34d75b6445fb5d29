"""The process that rewrites a container: `python -m vms.adapters.stills.remux_worker SOURCE TARGET`.

Prints the fraction done, a line each time it grew by a hundredth; a sentence on stderr and exit 1 when it fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
from av.error import FFmpegError


def remux(source: Path, target: Path) -> None:
    """Copies every packet of `source` into a container of `target`'s suffix."""
    total_bytes = max(1, source.stat().st_size)
    copied_bytes = 0
    shown = 0
    with av.open(str(source), "r") as incoming, av.open(str(target), "w") as outgoing:
        streams = {stream.index: outgoing.add_stream_from_template(stream) for stream in incoming.streams}
        for packet in incoming.demux():
            if packet.dts is None:
                continue
            copied_bytes += packet.size
            packet.stream = streams[packet.stream_index]
            outgoing.mux(packet)
            done = min(99, copied_bytes * 100 // total_bytes)
            if done > shown:
                shown = done
                print(done / 100, flush=True)  # noqa: T201 (the protocol)


def main() -> int:
    """The process."""
    try:
        remux(Path(sys.argv[1]), Path(sys.argv[2]))
    except (FFmpegError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
