"""Simulated cameras in a process of their own: `python -m benchmarks.simulated_cameras CAMERAS [JSON]`.

The clip is 1080p30 H.264 of 4 Mbit/s with a 2 s GOP unless the options say otherwise. Prints the port once it listens;
reads fault commands from standard input: `CAMERA {"disconnect": true}`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from vms.adapters.footage import Encoding, prepared, read_clip, test_pattern
from vms.adapters.footage.clips import give

REPOSITORY = Path(__file__).parents[1]
CLIP_CACHE = Path(os.environ.get("VMS_FOOTAGE_CACHE", REPOSITORY / ".cache" / "footage"))
DEFAULT_CLIP = {"width": 1920, "height": 1080, "fps": 30, "bitrate_bps": 4_000_000, "gop_seconds": 2.0}


class SimulatedCameras:
    """The process, its RTSP URLs and its faults."""

    def __init__(self, cameras: int, **options: Any) -> None:
        self._arguments = [sys.executable, "-m", "benchmarks.simulated_cameras", str(cameras)]
        self._arguments.append(json.dumps(options))
        self.cameras = cameras
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            raise RuntimeError("the simulator did not start")
        self.port = int(line)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.stdin.close()
            self.process.stdout.close()

    def url(self, camera: int) -> str:
        """RTSP URL of camera number `camera`, from 0."""
        return f"rtsp://127.0.0.1:{self.port}/cam/{camera}"

    def fault(self, camera: int, **fault: Any) -> None:
        """Sets the faults of one camera (shape: `vms_media.Simulator.set_fault`)."""
        self._ask(f"{camera} {json.dumps(fault)}")

    def stats(self) -> dict[str, int]:
        """What the simulator sent."""
        answer: dict[str, int] = json.loads(self._ask("stats"))
        return answer

    def _ask(self, line: str) -> str:
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


def main() -> None:
    """Runs the simulator until standard input closes."""
    import vms_media

    cameras = int(sys.argv[1])
    options: dict[str, Any] = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    clips = options.pop("clips", [{}])
    port = options.pop("port", 0)
    simulator = vms_media.Simulator("127.0.0.1", port, cameras, **options)
    for clip_options in clips:
        options_of_clip = {**DEFAULT_CLIP, **clip_options}
        seconds, footage = options_of_clip.pop("seconds", 10), options_of_clip.pop("footage", None)
        encoding = Encoding(**options_of_clip)
        path = test_pattern(CLIP_CACHE, encoding, seconds)
        if footage is not None:
            path = prepared(Path(footage), CLIP_CACHE, encoding)
        give(read_clip(path), simulator)
    print(simulator.start(), flush=True)
    for line in sys.stdin:
        command, _, document = line.strip().partition(" ")
        if command == "stats":
            print(simulator.stats().replace("\n", " "), flush=True)
        else:
            simulator.set_fault(int(command), document)
            print("ok", flush=True)
    simulator.stop()


if __name__ == "__main__":
    main()
