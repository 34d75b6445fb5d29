"""What grids of stills cost: an hour that is made while it runs, and one that is made afterwards."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.process_usage import usage
from benchmarks.report import Figure
from benchmarks.simulated_cameras import CLIP_CACHE
from vms.adapters.footage import Encoding, prepared, read_clip, test_pattern
from vms.adapters.media import MediaEngine
from vms.adapters.memory.media import MemoryMedia
from vms.adapters.stills import WorkerThumbnails
from vms.contracts.media import EngineSettings, Picture, WebRtcSettings
from vms.domain.ids import make_id
from vms.domain.recordings import RecordedRange
from vms.domain.thumbnails import HOUR_US, PERIOD_US, hour_of
from vms.storage.thumbnails import ThumbnailService

_FOOTAGE = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
_CAMERA = make_id(1_795_428_780_000_000, bytes(8))
_HOUR = hour_of(1_795_428_780_000_000)
_TARGET = 0.15
_NEVER = threading.Event()


def measure() -> list[Figure]:
    """Percent of a core per camera, worker and server together."""
    figures = []
    for name, width, height in (("sub stream of 640×360", 640, 360), ("main stream of 1920×1080", 1920, 1080)):
        pictures = _key_pictures(width, height)
        running, size_bytes = _made(pictures, 300)
        afterwards, _ = _made(pictures, 3600)
        figures += [
            Figure(f"{name}: made while the hour runs", running, "% of a core", _TARGET),
            Figure(f"{name}: made afterwards", afterwards, "% of a core", _TARGET),
            Figure(f"{name}: size", size_bytes / 1024, "KiB an hour"),
        ]
    figures.append(Figure("finding 360 key frames in an archive", _finding(), "% of a core", 0.02))
    return figures


def _key_pictures(width: int, height: int) -> list[Picture]:
    encoding = Encoding(
        width=width, height=height, fps=10, bitrate_bps=width * 2000, gop_seconds=1, longest_s=60, with_audio=False
    )
    if _FOOTAGE.is_file():
        clip = read_clip(prepared(_FOOTAGE, CLIP_CACHE, encoding))
    else:
        clip = read_clip(test_pattern(CLIP_CACHE, encoding, seconds=60))
    return [
        Picture(
            codec="h264",
            configuration=clip.tracks[0].configuration,
            width=width,
            height=height,
            units=[unit],
            pts_90k=[pts],
            wanted_pts_90k=pts,
            captured_us=0,
        )
        for track, pts, _, key, unit in clip.units
        if track == 0 and key
    ]


class _Archive(MemoryMedia):
    """An hour that shows the same pictures again and again."""

    def __init__(self, pictures: list[Picture]) -> None:
        super().__init__()
        self._pictures = pictures
        self.recorded[_CAMERA] = [RecordedRange(start_us=_HOUR, end_us=_HOUR + HOUR_US)]

    def key_picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        picture = self._pictures[at_us // PERIOD_US % len(self._pictures)]
        return picture.model_copy(update={"captured_us": at_us})


class _Clock:
    """The server's time runs ahead as told; the time that is waited is real."""

    def __init__(self) -> None:
        self.at_us = _HOUR
        self.elapsed_s = 0.0

    def now_us(self) -> int:
        return self.at_us

    def monotonic_s(self) -> float:
        return self.elapsed_s


def _made(pictures: list[Picture], every_s: int) -> tuple[float, int]:
    """Percent of a core over the hour, and the file's size."""
    maker, clock = WorkerThumbnails(), _Clock()
    with tempfile.TemporaryDirectory() as directory:
        service = ThumbnailService(
            _Archive(pictures), maker, clock, Path(directory), lambda: [_CAMERA], reserve_bytes=0
        )
        try:
            # The worker's start is not the hour's.
            maker.make(None, _HOUR, [], _HOUR)
            pid = maker.worker.pid()
            if pid is None:
                raise RuntimeError("the worker did not start")
            before = usage([pid, os.getpid()]).cpu_s
            for passed_s in range(every_s, 3601, every_s):
                clock.at_us, clock.elapsed_s = _HOUR + passed_s * 1_000_000 + 16_000_000, float(passed_s)
                service.run(_NEVER)
            spent_s = usage([pid, os.getpid()]).cpu_s - before
            grid, content = service.grid_file(_CAMERA, _HOUR)
            if not grid.is_complete or None in grid.shown_us:
                raise RuntimeError("the hour is not complete")
        finally:
            maker.close()
    return spent_s / 3600 * 100, len(content)


def _finding() -> float:
    """Percent of a core over an hour of 1080p30 at 4 Mbit/s."""
    import vms_media

    with tempfile.TemporaryDirectory() as directory:
        vms_media.make_sparse_archive(directory, _CAMERA, _HOUR, _HOUR + HOUR_US)
        engine = MediaEngine(Path(directory), EngineSettings(webrtc=WebRtcSettings(udp_port=0)))
        try:
            began_s = time.process_time()
            for cell in range(360):
                engine.key_picture_at(_CAMERA, _HOUR + (cell + 1) * PERIOD_US - 1, "main")
            return (time.process_time() - began_s) / 3600 * 100
        finally:
            engine.close(4.0)
