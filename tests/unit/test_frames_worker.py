"""Decoding workers as processes: taps in, pictures out, whatever the cameras send."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.filmed_scenes import T0_US, filmed, parameters_of, units_of
from vms.adapters.clock import SystemClock
from vms.adapters.footage.clips import Clip
from vms.adapters.frames import WorkerFrames, client, process
from vms.adapters.frames.framing import MARK
from vms.adapters.memory.media import MemoryMedia
from vms.contracts.frames import Frame, Sampling
from vms.contracts.media import CameraSource
from vms.contracts.tap import TappedUnit, TrackParameters, write_parameters, write_unit
from vms.domain import back_off
from vms.domain.cameras import StreamSource

FPS = 15
SAMPLING = Sampling(least_fps=1, most_fps=5)
# A worker in which a unit that ends so ends the process, or makes it talk nonsense.
CRASHES, TALKS = b"crash the process", b"talk nonsense"
FAULTY = f"""
import os, sys
from vms.adapters.frames import decoding, worker
decode = decoding.Decoder.decode
def faulty(self, unit):
    if unit.data.endswith({CRASHES!r}):
        os.abort()
    if unit.data.endswith({TALKS!r}):
        os.write(9, b"nonsense\\n" * 1000)
    return decode(self, unit)
decoding.Decoder.decode = faulty
os.dup2(1, 9)
worker.main()
"""


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return filmed(tmp_path_factory.mktemp("film") / "moving.mp4", seconds=8, moves=lambda _: True, gop_s=2)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("film") / "large.mp4"
    return filmed(path, seconds=2, moves=lambda _: True, gop_s=1, size=(1600, 912))


class Bench:
    """Cameras, workers, and what they gave."""

    def __init__(self, **options: object) -> None:
        self.media = MemoryMedia()
        source = CameraSource(streams={"main": StreamSource(url="rtsp://192.0.2.1/")})
        for camera_id in ("a", "b", "c"):
            self.media.set_camera(camera_id, source)
        self.frames: list[Frame] = []
        self.keep = False
        self.source = WorkerFrames(self.media, SystemClock(), **options)  # type: ignore[arg-type]
        self.source.start(self._take)

    def _take(self, frame: Frame) -> None:
        self.frames.append(frame)
        if not self.keep:
            self.source.release(frame)

    def watch(self, *cameras: str, sampling: Sampling = SAMPLING) -> None:
        for camera_id in cameras:
            self.source.watch(camera_id, sampling)
        self.until(lambda: {camera for camera, _, _ in self.media.taps.values()} >= set(cameras))

    def of(self, camera_id: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.camera_id == camera_id]

    def until(self, is_so: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, (len(self.frames), self.source.figures(), self.media.taps)
            time.sleep(0.02)

    def show(self, camera_id: str, clip: Clip, *, part: slice = slice(None), end: bytes = b"") -> None:
        self.media.feed(camera_id, write_parameters(parameters_of(clip)))
        for unit in list(units_of(clip))[part]:
            self.media.feed(camera_id, write_unit(unit))
        if end:
            unit = TappedUnit(0, True, False, 90_000_000, T0_US + 1_000_000_000, 0, end)
            self.media.feed(camera_id, write_unit(unit))

    def play(self, camera_id: str, clip: Clip, *, part: slice = slice(None), every: int = 3) -> None:
        """A clip at the pace at which its pictures come: one with the first and `every` so many units later."""
        last_us = 0

        def is_shown() -> bool:
            frames = self.of(camera_id)
            return bool(frames) and frames[-1].at_us >= last_us

        if not part.start:
            self.media.feed(camera_id, write_parameters(parameters_of(clip)))
        for number, unit in enumerate(list(units_of(clip))[part]):
            self.media.feed(camera_id, write_unit(unit))
            if number % every == 0:
                last_us = unit.utc_us
                self.until(is_shown, seconds=10)

    def close(self) -> None:
        self.source.close()
        for number in list(self.media.taps):
            self.media.untap(number)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_off, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(client, "_TICK_S", 0.1)


@pytest.fixture
def bench(quick: None) -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def faulty(quick: None) -> Iterator[Bench]:
    bench = Bench(command=[sys.executable, "-c", FAULTY])
    yield bench
    bench.close()


def mapped(frame: Frame) -> bytes:
    """The frame as another process reads it."""
    fd = os.open(frame.place.path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as memory:
            return memory[frame.place.offset : frame.place.offset + frame.size_bytes]
    finally:
        os.close(fd)


def test_pictures_come_with_their_times_and_bytes(bench: Bench, moving: Clip) -> None:
    bench.keep = True
    bench.watch("a")
    bench.show("a", moving, part=slice(0, 10))
    bench.until(lambda: len(bench.frames) == 4)
    times = {unit.pts: unit.utc_us for unit in units_of(moving)}
    for frame in bench.frames:
        assert frame.at_us == times[frame.pts]
        assert (frame.width, frame.height, frame.clock_rate) == (640, 360, 90_000)
        assert frame.stream == "sub"
        content = mapped(frame)
        assert bytes(bench.source.pixels(frame)) == content
        grey = np.frombuffer(content, np.uint8).mean() / 255
        assert abs(grey - frame.look.brightness) < 0.05
    assert len(bench.frames[0].look.cells) == 96
    assert bench.frames[1].look.activity > 0.01
    assert bench.source.figures()["a"].codec == "h264"


def test_times_are_of_the_picture_also_where_units_are_out_of_order(bench: Bench, tmp_path: Path) -> None:
    clip = filmed(tmp_path / "b.mp4", seconds=3, moves=lambda _: True, gop_s=1, b_frames=2)
    assert [pts for _, pts, _, _, _ in clip.units] != sorted(pts for _, pts, _, _, _ in clip.units)
    bench.watch("a")
    bench.show("a", clip)
    bench.until(lambda: len(bench.frames) >= 4)
    times = {unit.pts: unit.utc_us for unit in units_of(clip)}
    assert all(frame.at_us == times[frame.pts] for frame in bench.frames)
    assert [frame.pts for frame in bench.frames] == sorted(frame.pts for frame in bench.frames)


def test_a_slot_is_not_written_again_before_it_is_released(bench: Bench, moving: Clip) -> None:
    bench.keep = True
    bench.watch("a")
    bench.show("a", moving)
    bench.until(lambda: len(bench.frames) == 4)
    before = [mapped(frame) for frame in bench.frames]
    bench.until(lambda: bench.source.figures()["a"].dropped > 30, seconds=40)
    assert len(bench.frames) == 4, "no more than slots"
    assert [mapped(frame) for frame in bench.frames] == before
    bench.source.release(bench.frames[2])
    bench.source.release(bench.frames[2])
    bench.show("a", moving)
    bench.until(lambda: len(bench.frames) == 5)
    assert bench.frames[4].place == bench.frames[2].place
    # That frame is not in it any more.
    bench.source.release(bench.frames[2])
    dropped = bench.source.figures()["a"].dropped
    bench.show("a", moving)
    bench.until(lambda: bench.source.figures()["a"].dropped >= dropped + 40)
    assert len(bench.frames) == 5


def test_frames_outlive_their_worker(bench: Bench, moving: Clip) -> None:
    bench.keep = True
    bench.watch("a")
    bench.show("a", moving, part=slice(0, 12))
    bench.until(lambda: len(bench.frames) == 4)
    before = [mapped(frame) for frame in bench.frames]
    (pid,) = bench.source.pids()
    os.kill(pid, signal.SIGKILL)
    bench.until(lambda: bench.source.restarts == 1 and bench.source.pids() not in ([], [pid]))
    bench.until(lambda: len(bench.media.taps) == 1)
    bench.show("a", moving)
    bench.until(lambda: len(bench.frames) == 8)
    assert [mapped(frame) for frame in bench.frames[:4]] == before
    used = bench.source.memory_used_bytes
    for frame in bench.frames[:4]:
        bench.source.release(frame)
    assert bench.source.memory_used_bytes == used // 2


def test_another_size_in_the_middle(bench: Bench, moving: Clip, large: Clip) -> None:
    bench.watch("a")
    bench.show("a", moving, part=slice(0, 15))
    bench.until(lambda: len(bench.frames) >= 4)
    bench.show("a", large)
    bench.until(lambda: any(frame.sent_width == 1600 for frame in bench.frames))
    frame = next(frame for frame in bench.frames if frame.sent_width == 1600)
    assert (frame.width, frame.height, frame.sent_height) == (1280, 730, 912)
    bench.show("a", moving)
    bench.until(lambda: bench.frames[-1].width == 640)
    bench.until(lambda: bench.source.memory_used_bytes < 4 * 1280 * 736 * 3 + 4096)


def test_another_size_without_a_word(bench: Bench, moving: Clip, large: Clip) -> None:
    bench.watch("a")
    bench.show("a", moving, part=slice(0, 15))
    for unit in units_of(large, from_us=T0_US + 1_000_000):
        bench.media.feed("a", write_unit(unit))
    bench.until(lambda: any(frame.sent_width == 1600 for frame in bench.frames))


def test_memory_is_bounded_and_shared(quick: None, moving: Clip) -> None:
    slot_bytes = 640 * 360 * 3 + 4096
    bench = Bench(memory_bytes=5 * slot_bytes)
    bench.keep = True
    try:
        bench.watch("a")
        bench.show("a", moving, part=slice(0, 40))
        bench.until(lambda: len(bench.of("a")) == 4)
        bench.watch("b")
        bench.show("b", moving, part=slice(0, 40))
        bench.until(lambda: bench.source.figures()["b"].dropped > 0, seconds=20)
        assert not bench.of("b"), "what is out is waited for"
        for frame in bench.of("a"):
            bench.source.release(frame)
        # The picture that waited comes with the memory.
        bench.until(lambda: len(bench.of("b")) == 1)
        bench.show("a", moving, part=slice(0, 40))
        bench.show("b", moving, part=slice(0, 40))
        bench.until(lambda: len(bench.of("a")) == 6 and len(bench.of("b")) == 2)
        assert bench.source.figures()["b"].missed == 0
        assert bench.source.memory_used_bytes <= 5 * slot_bytes
    finally:
        bench.close()


def test_a_camera_that_sends_garbage_does_not_stop_the_others(bench: Bench, moving: Clip) -> None:
    bench.watch("a", "b")
    bench.media.feed("b", os.urandom(5000))
    bench.until(lambda: bench.source.figures()["b"].lost is not None)
    assert bench.source.figures()["b"].lost == "not a record of a tap"
    bench.show("a", moving)
    bench.until(lambda: len(bench.of("a")) >= 4)
    # And it is tried again.
    bench.until(lambda: bench.source.figures()["b"].lost is None)
    bench.show("b", moving)
    bench.until(lambda: len(bench.of("b")) >= 4)
    assert bench.source.restarts == 0


def test_corrupt_units_are_counted_and_the_next_key_frame_heals(bench: Bench, moving: Clip) -> None:
    bench.watch("a")
    bench.media.feed("a", write_parameters(parameters_of(moving)))
    for number, unit in enumerate(units_of(moving)):
        data = os.urandom(300) if 20 <= number < 30 else unit.data
        bench.media.feed("a", write_unit(TappedUnit(**{**vars(unit), "data": data})))
    bench.until(lambda: any(frame.at_us > T0_US + 7_000_000 for frame in bench.frames))
    bench.until(lambda: bench.source.figures()["a"].broken >= 5)
    assert bench.source.figures()["a"].lost is None


def test_a_camera_whose_pictures_cannot_be_decoded_is_given_up_for_a_while(bench: Bench, moving: Clip) -> None:
    bench.watch("a")
    bench.media.feed("a", write_parameters(parameters_of(moving)))
    for number in range(300):
        broken = TappedUnit(0, True, False, number * 90_000, T0_US + number * 1_000_000, 0, os.urandom(200))
        bench.media.feed("a", write_unit(broken))
    bench.until(lambda: bench.source.figures()["a"].lost == "none of its pictures can be decoded")


def test_a_codec_without_a_decoder(bench: Bench, moving: Clip) -> None:
    bench.watch("a", "b")
    bench.media.feed("b", write_parameters(TrackParameters(0, "vvc", 90_000, b"", 640, 360, 0)))
    bench.media.feed("b", write_unit(next(units_of(moving))))
    bench.until(lambda: bench.source.figures()["b"].lost == "no decoder for vvc")
    bench.show("a", moving)
    bench.until(lambda: len(bench.of("a")) >= 4)


def test_a_unit_that_ends_the_process_costs_its_camera_alone(faulty: Bench, moving: Clip) -> None:
    bench = faulty
    bench.watch("a", "b")
    bench.show("b", moving, part=slice(0, 1), end=CRASHES)
    bench.until(lambda: bench.source.restarts == 1)
    bench.until(lambda: bench.source.figures()["b"].lost == "its pictures ended the decoding worker")
    bench.until(lambda: bench.source.figures()["a"].lost is None)
    bench.until(lambda: "a" in {camera for camera, _, _ in bench.media.taps.values()})
    bench.show("a", moving)
    bench.until(lambda: len(bench.of("a")) >= 4)
    # It is tried again, later each time.
    bench.until(lambda: "b" in {camera for camera, _, _ in bench.media.taps.values()})
    bench.show("b", moving, part=slice(0, 1), end=CRASHES)
    bench.until(lambda: bench.source.restarts == 2)
    with bench.source._lock:
        assert bench.source._cameras["b"].back_off.pause_s == 0.4
        assert bench.source._cameras["a"].back_off.pause_s == 0


def test_a_worker_that_talks_nonsense_is_replaced(faulty: Bench, moving: Clip) -> None:
    bench = faulty
    bench.watch("a")
    bench.show("a", moving, part=slice(0, 1), end=TALKS)
    bench.until(lambda: bench.source.restarts == 1)
    bench.until(lambda: bench.source.figures()["a"].lost is None and len(bench.media.taps) == 1)
    bench.show("a", moving)
    bench.until(lambda: len(bench.frames) >= 4)


def test_a_worker_that_hangs_is_replaced(bench: Bench, moving: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.watch("a")
    (pid,) = bench.source.pids()
    monkeypatch.setattr(process, "HANGS_AFTER_S", 0.3)
    os.kill(pid, signal.SIGSTOP)
    camera = bench.source._cameras["a"]
    assert camera.process is not None
    # As it would be in the middle of a picture.
    camera.process._mark[:] = MARK.pack(camera.number, 77)
    bench.until(lambda: bench.source.restarts == 1)
    bench.until(lambda: bench.source.figures()["a"].lost is None and len(bench.media.taps) == 1)
    monkeypatch.setattr(process, "HANGS_AFTER_S", 30)
    bench.show("a", moving)
    bench.until(lambda: len(bench.frames) >= 4)


def test_a_camera_that_floods_does_not_stop_the_others(quick: None, moving: Clip) -> None:
    """Ten times as fast as it can be decoded, and units of 2 MB between."""
    bench = Bench(camera_share=0.1)
    stop = threading.Event()

    def flood() -> None:
        bench.media.feed("b", write_parameters(parameters_of(moving)))
        units = list(units_of(moving))
        while not stop.is_set():
            for unit in units:
                if not stop.is_set():
                    bench.media.feed("b", write_unit(unit))
            huge = TappedUnit(0, True, False, 0, T0_US, 0, bytes(2 << 20))
            bench.media.feed("b", write_unit(huge))

    flooding = threading.Thread(target=flood)
    try:
        bench.watch("a", "b")
        flooding.start()
        bench.until(lambda: bench.source.figures()["b"].missed > 100)
        bench.play("a", moving)
        (pid,) = bench.source.pids()
        status = Path(f"/proc/{pid}/status").read_text()
        peak_kib = int(status.split("VmHWM:")[1].split()[0])
        assert peak_kib < 400 << 10
        assert bench.source.figures()["a"].missed == 0
    finally:
        stop.set()
        # Whoever writes into a tap that is read no more is let go.
        for number in list(bench.media.taps):
            bench.media.untap(number)
        bench.source.close()
        flooding.join()


def test_a_listener_that_fails_loses_no_slot(quick: None, moving: Clip) -> None:
    bench = Bench()
    calls: list[Frame] = []

    def fail(frame: Frame) -> None:
        calls.append(frame)
        raise RuntimeError("no")

    bench.source._listener = fail
    try:
        bench.watch("a")
        bench.show("a", moving)
        bench.until(lambda: len(calls) >= 4)
        bench.show("a", moving)
        bench.until(lambda: any(frame.place == calls[0].place for frame in calls[1:]))
    finally:
        bench.close()


def test_without_cameras_there_is_no_process_and_no_memory(bench: Bench, moving: Clip) -> None:
    bench.watch("a")
    bench.show("a", moving)
    bench.until(lambda: len(bench.frames) >= 4)
    bench.source.forget("a")
    bench.until(lambda: bench.source.pids() == [] and bench.source.memory_used_bytes == 0)
    assert bench.media.taps == {}
    bench.source.forget("a")


def test_cameras_are_spread_over_workers(quick: None) -> None:
    bench = Bench(cameras_per_worker=2)
    try:
        bench.watch("a", "b", "c")
        bench.until(lambda: len(bench.source.pids()) == 2)
        bench.source.forget("c")
        bench.until(lambda: len(bench.source.pids()) == 1)
    finally:
        bench.close()


def test_other_settings_take_effect(bench: Bench, moving: Clip) -> None:
    bench.watch("a")
    bench.play("a", moving, part=slice(0, 30))
    taps = dict(bench.media.taps)
    bench.source.watch("a", Sampling(least_fps=15, most_fps=15))
    bench.until(lambda: bench.source._cameras["a"].told == bench.source._cameras["a"].sampling)
    bench.play("a", moving, part=slice(30, 60), every=1)
    assert bench.media.taps == taps, "without another tap"
    bench.source.watch("a", Sampling(key_frames_only=True))
    bench.until(lambda: len(bench.media.taps) == 1 and bench.media.taps != taps)
    before = len(bench.frames)
    bench.show("a", moving)
    bench.until(lambda: bench.frames[-1].at_us == T0_US + 6_000_000)
    assert len(bench.frames) - before <= 4


def test_a_camera_that_is_not_there_is_tried_again(bench: Bench) -> None:
    bench.source.watch("d", SAMPLING)
    bench.until(lambda: bench.source.figures()["d"].lost == "the camera is not set up")
    bench.media.set_camera("d", CameraSource(streams={}))
    bench.until(lambda: bench.source.figures()["d"].lost is None)
