"""What looking for motion costs a camera: the real worker, fed as a tap would at the cameras' own pace."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from benchmarks.process_usage import usage
from benchmarks.report import Figure
from benchmarks.simulated_cameras import CLIP_CACHE
from vms.adapters.clock import SystemClock
from vms.adapters.footage import Encoding, prepared, read_clip, test_pattern
from vms.adapters.footage.clips import Clip
from vms.adapters.motion import WorkerMotion
from vms.adapters.motion.detector import Detector
from vms.adapters.motion.sampling import Sampler
from vms.contracts.tap import TappedUnit, TrackParameters, write_parameters, write_unit
from vms.domain.motion import MotionReport, MotionSettings

_FOOTAGE = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
_FPS = 15
_T0_US = 1_700_000_000_000_000


def measure(cameras: int = 8, *, window_s: float = 20) -> list[Figure]:
    """Percent of a core per camera of 640×360 at 15 pictures a second, H.264, people walking."""
    clips = {gop_s: _clip(gop_s) for gop_s in (1, 2, 4)}
    figures = [
        figure
        for gop_s, clip in clips.items()
        for figure in (
            Figure(f"decoded as needed, key frame every {gop_s} s", _decoding(clip, "needed"), "% of a core"),
            Figure(f"key frames alone, every {gop_s} s", _decoding(clip, "keys"), "% of a core"),
            Figure(f"everything decoded, key frame every {gop_s} s", _decoding(clip, "all"), "% of a core"),
        )
    ]
    figures.append(Figure(f"the worker, per camera of {cameras}", _worker(clips[2], cameras, window_s), "% of a core"))
    return figures


def _clip(gop_s: int) -> Clip:
    encoding = Encoding(
        width=640, height=360, fps=_FPS, bitrate_bps=500_000, gop_seconds=gop_s, longest_s=60, with_audio=False
    )
    if _FOOTAGE.is_file():
        return read_clip(prepared(_FOOTAGE, CLIP_CACHE, encoding))
    return read_clip(test_pattern(CLIP_CACHE, encoding, seconds=60))


def _parameters(clip: Clip) -> TrackParameters:
    return TrackParameters(0, "h264", 90_000, clip.tracks[0].configuration, 640, 360, 0)


def _units(clip: Clip) -> list[TappedUnit]:
    video = [unit for unit in clip.units if unit[0] == 0]
    return [
        TappedUnit(0, key, number == 0, pts, _T0_US + number * 1_000_000 // _FPS, 0, data)
        for number, (_, pts, _, key, data) in enumerate(video)
    ]


def _decoding(clip: Clip, how: str) -> float:
    sampler, detector, units = Sampler(), Detector(MotionSettings()), _units(clip)
    sampler.change(_parameters(clip))
    if how == "all":
        sampler._is_needed = lambda: True  # type: ignore[method-assign]
    began_s = time.process_time()
    for unit in units:
        if how != "keys" or unit.key:
            for at_us, picture in sampler.take(unit):
                detector.see(picture, at_us)
    return (time.process_time() - began_s) / (len(units) / _FPS) * 100


class _Feed:
    """A `MediaTap` whose cameras all show the clip, from the present on."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._stopping = threading.Event()
        self._sockets: list[socket.socket] = []

    def tap(
        self, camera_id: str, stream: str, fd: int, *, all_tracks: bool = False, key_frames_only: bool = False
    ) -> int:
        writing = socket.socket(fileno=os.dup(fd))
        self._sockets.append(writing)
        threading.Thread(target=self._play, args=(writing,), daemon=True).start()
        return len(self._sockets)

    def untap(self, number: int) -> None:
        self._sockets[number - 1].close()

    def stop(self) -> None:
        self._stopping.set()

    def _play(self, writing: socket.socket) -> None:
        try:
            writing.sendall(write_parameters(_parameters(self._clip)))
            began_s = time.monotonic()
            for unit in _units(self._clip) * 10:
                writing.sendall(write_unit(unit))
                due_s = began_s + (unit.utc_us - _T0_US) / 1e6
                if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                    return
        except OSError:
            return


def _worker(clip: Clip, cameras: int, window_s: float) -> float:
    feed = _Feed(clip)
    motion = WorkerMotion(feed, SystemClock())
    reports: list[MotionReport] = []
    motion.start(lambda _camera, report: reports.append(report))
    try:
        for number in range(cameras):
            motion.watch(f"camera-{number}", MotionSettings())
        time.sleep(5)
        pid = motion.pid()
        if pid is None:
            raise RuntimeError("the worker did not start")
        before, began_s = usage([pid]), time.monotonic()
        time.sleep(window_s)
        after, elapsed_s = usage([pid]), time.monotonic() - began_s
    finally:
        feed.stop()
        motion.close()
    if not reports:
        raise RuntimeError("nothing was seen to move")
    return (after.cpu_s - before.cpu_s) / elapsed_s / cameras * 100
