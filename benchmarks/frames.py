"""What decoding pictures for analysis costs a camera: the real workers, fed as taps would at the cameras' own pace."""

from __future__ import annotations

import os
import socket
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.process_usage import usage
from benchmarks.report import Figure, percentile
from benchmarks.simulated_cameras import CLIP_CACHE
from vms.adapters.clock import SystemClock
from vms.adapters.footage import read_clip
from vms.adapters.footage.clips import Clip
from vms.adapters.frames import WorkerFrames
from vms.adapters.frames.framing import FrameLine, write_frame
from vms.contracts.frames import Frame, Sampling
from vms.contracts.tap import TappedUnit, TrackParameters, write_parameters, write_unit
from vms.domain.vision import Look

_GOP_S = 4
_SECONDS = 20
# Pictures at the start come at the full rate, and what is usual is learned.
_SETTLING_S = 8.0
_WANTED = Sampling(least_fps=1, most_fps=2)


def measure(cameras: int = 8, *, window_s: float = 20) -> list[Figure]:
    """Percent of a core per camera of 640×360, H.264 with a key frame every four seconds, two pictures a second."""
    figures = []
    for fps in (15, 25):
        for scene, moves in (("still", False), ("moving", True)):
            clip = _clip(fps, moves=moves)
            name = f"{scene}, {fps} pictures a second"
            plain = _everything(clip, fps, cameras, window_s)
            figures.append(Figure(f"{name}: everything decoded and converted", plain, "% of a core"))
            ways = [("as needed", _WANTED)]
            if not moves:
                ways.insert(0, ("without resting", _WANTED.model_copy(update={"longest_rest_s": 0.0})))
            for way, sampling in ways:
                figures += _worker(clip, fps, cameras, window_s, sampling, f"{name}: {way}")
    figures.append(Figure("the server's own part of a frame", _taking_a_frame(), "ms"))
    return figures


def _clip(fps: int, *, moves: bool) -> Clip:
    """A pattern with a sensor's noise, and people-sized squares that walk through it; of constant quality, as cameras
    send it."""
    path = CLIP_CACHE / f"frames-{fps}-{'moving' if moves else 'still'}.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
        _film(draft, fps, moves=moves)
        draft.replace(path)
    return read_clip(path)


def _film(path: Path, fps: int, *, moves: bool) -> None:
    rng = np.random.default_rng(1)
    down, across = np.mgrid[0:360, 0:640]
    blocks = np.kron(rng.uniform(40, 200, (45, 80)), np.ones((8, 8)))
    scene = blocks / 2 + 60 + 20 * np.sin(across / 9) + 15 * np.cos(down / 7)
    grain = [rng.normal(0, 3, scene.shape) for _ in range(17)]
    gop = fps * _GOP_S
    options = {"preset": "veryfast", "crf": "24", "bf": "0", "sc_threshold": "0", "keyint_min": str(gop)}
    with av.open(str(path), "w") as outgoing:
        stream = outgoing.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 360, "yuv420p", gop
        for number in range(_SECONDS * fps):
            picture = scene + grain[number % len(grain)]
            for walker in range(3 if moves else 0):
                left = (number * 60 // fps + walker * 200) % 580
                there = picture[90 + walker * 60 : 160 + walker * 60, left : left + 30]
                there[:] = 255 - there
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="gray")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            outgoing.mux(stream.encode(frame))
        outgoing.mux(stream.encode(None))


def _parameters(clip: Clip) -> TrackParameters:
    return TrackParameters(0, "h264", 90_000, clip.tracks[0].configuration, 640, 360, 0)


def _everything(clip: Clip, fps: int, cameras: int, window_s: float) -> float:
    """As plainly as it goes, at the cameras' pace: every unit decoded, two pictures a second converted."""
    decoders = [av.CodecContext.create("h264", "r") for _ in range(cameras)]
    for decoder in decoders:
        decoder.extradata = clip.tracks[0].configuration
        decoder.thread_type = "NONE"
    gop = fps * _GOP_S
    began_s, began_cpu_s = time.monotonic(), time.thread_time()
    for number in range(round(window_s * fps)):
        time.sleep(max(0.0, began_s + number / fps - time.monotonic()))
        for camera, decoder in enumerate(decoders):
            data = clip.units[(number + camera * gop) % len(clip.units)][4]
            for frame in decoder.decode(av.Packet(data)):
                if number % (fps // 2) == 0:
                    frame.to_ndarray(format="rgb24")
    return (time.thread_time() - began_cpu_s) / window_s / cameras * 100


class _Feed:
    """A `MediaTap` whose cameras all show the clip from the present on, each from another place in it."""

    def __init__(self, clip: Clip, fps: int) -> None:
        self._clip = clip
        self._fps = fps
        self._stopping = threading.Event()
        self._sockets: list[socket.socket] = []

    def tap(
        self, camera_id: str, stream: str, fd: int, *, all_tracks: bool = False, key_frames_only: bool = False
    ) -> int:
        writing = socket.socket(fileno=os.dup(fd))
        self._sockets.append(writing)
        threading.Thread(target=self._play, args=(writing, len(self._sockets)), daemon=True).start()
        return len(self._sockets)

    def untap(self, number: int) -> None:
        self._sockets[number - 1].close()

    def stop(self) -> None:
        self._stopping.set()

    def _play(self, writing: socket.socket, camera: int) -> None:
        gop = self._fps * _GOP_S
        units = self._clip.units[camera * gop % len(self._clip.units) :] + self._clip.units
        try:
            writing.sendall(write_parameters(_parameters(self._clip)))
            # Cameras do not send all at once.
            began_s = time.monotonic() + camera * 0.37 / self._fps
            for number, (_, _, _, key, data) in enumerate(units * 20):
                if self._stopping.wait(max(0.0, began_s + number / self._fps - time.monotonic())):
                    return
                unit = TappedUnit(0, key, number == 0, number * 90_000 // self._fps, time.time_ns() // 1000, 0, data)
                writing.sendall(write_unit(unit))
        except OSError:
            return


def _worker(clip: Clip, fps: int, cameras: int, window_s: float, sampling: Sampling, name: str) -> list[Figure]:
    feed = _Feed(clip, fps)
    frames = WorkerFrames(feed, SystemClock(), cameras_per_worker=cameras)
    delays_ms: list[float] = []

    def take(frame: Frame) -> None:
        delays_ms.append((time.time_ns() // 1000 - frame.at_us) / 1000)
        frames.release(frame)

    frames.start(take)
    try:
        for number in range(cameras):
            frames.watch(f"camera-{number}", sampling)
        time.sleep(_SETTLING_S)
        (pid,) = frames.pids()
        delays_ms.clear()
        before, began_s = usage([pid]), time.monotonic()
        time.sleep(window_s)
        after, elapsed_s = usage([pid]), time.monotonic() - began_s
        given = len(delays_ms)
        lost = [figures.lost for figures in frames.figures().values() if figures.lost is not None]
    finally:
        feed.stop()
        frames.close()
    if lost or not given:
        raise RuntimeError(f"no pictures: {lost}")
    return [
        Figure(name, (after.cpu_s - before.cpu_s) / elapsed_s / cameras * 100, "% of a core"),
        Figure(f"{name}, pictures", given / elapsed_s / cameras, "a second"),
        Figure(f"{name}, from the unit to the listener, P95", percentile(delays_ms, 0.95), "ms"),
    ]


def _taking_a_frame(count: int = 2000) -> float:
    """From a line to the listener and back: what holds the interpreter of the server."""
    taken: list[Frame] = []
    frames = WorkerFrames(_Feed(_clip(15, moves=False), 15), SystemClock(), command=["true"])
    frames._listener = taken.append
    store = frames._memory.take(4096, 1)
    assert store is not None
    camera = _camera_with(frames, store)
    look = Look(0.5, 0.2, 0.03, tuple(cell / 96 for cell in range(96)), 0.01)
    line = write_frame(FrameLine(camera, store.number, 0, 1, 1, 90_000, 32, 32, 640, 360, look))
    began_s = time.thread_time()
    for _ in range(count):
        frames._hear(None, line)  # type: ignore[arg-type]
        frames.release(taken.pop())
    took_ms = (time.thread_time() - began_s) / count * 1000
    frames._memory.close()
    return took_ms


def _camera_with(frames: WorkerFrames, store: object) -> int:
    frames.watch("camera", _WANTED)
    camera = frames._cameras["camera"]
    camera.number = 1
    camera.store = store  # type: ignore[assignment]
    frames._by_number[1] = camera
    return 1
