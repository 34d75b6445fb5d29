"""The motion worker as a process: taps in, reports out, whatever the cameras send."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vms.adapters.clock import SystemClock
from vms.adapters.footage import Encoding, read_clip
from vms.adapters.footage.clips import Clip
from vms.adapters.footage.transcode import add_video_stream
from vms.adapters.memory.media import MemoryMedia
from vms.adapters.motion import WorkerMotion, client
from vms.adapters.motion.framing import MARK
from vms.adapters.motion.sampling import Sampler, SamplingError
from vms.contracts.media import CameraSource
from vms.contracts.tap import TapError, TappedUnit, TapReader, TrackParameters, write_parameters, write_unit
from vms.domain import back_off
from vms.domain.cameras import StreamSource
from vms.domain.motion import MotionEnded, MotionReport, MotionSettings, MotionStarted

FPS = 10
T0_US = 1_700_000_000_000_000
PICTURE_US = 1_000_000 // FPS


def made(path: Path, gop_seconds: float) -> Clip:
    """Eight seconds of nothing, eight of a square that crosses the picture, eight of nothing."""
    encoding = Encoding(width=640, height=360, fps=FPS, bitrate_bps=600_000, gop_seconds=gop_seconds)
    rng = np.random.default_rng(1)
    scene = np.kron(rng.uniform(40, 200, (45, 80)), np.ones((8, 8)))
    with av.open(str(path), "w") as outgoing:
        stream = add_video_stream(outgoing, encoding, Fraction(FPS))
        for number in range(24 * FPS):
            picture = scene + rng.normal(0, 2, scene.shape)
            if 8 * FPS <= number < 16 * FPS:
                left = (number - 8 * FPS) * 7
                picture[150:220, left : left + 60] = 255 - picture[150:220, left : left + 60]
            grey = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            outgoing.mux(stream.encode(frame))
        outgoing.mux(stream.encode(None))
    return read_clip(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return made(tmp_path_factory.mktemp("footage") / "clip.mp4", 2)


def parameters_of(clip: Clip) -> TrackParameters:
    return TrackParameters(0, "h264", 90_000, clip.tracks[0].configuration, 640, 360, 0)


def units_of(clip: Clip) -> list[TappedUnit]:
    """The clip as a tap tells it, from T0 on."""
    return [
        TappedUnit(0, key, number == 0, pts, T0_US + number * PICTURE_US, 0, data)
        for number, (_, pts, _, key, data) in enumerate(clip.units)
    ]


class Bench:
    """Cameras `a` and `b`, a worker, and what it reported."""

    def __init__(self) -> None:
        self.media = MemoryMedia()
        source = CameraSource(streams={"main": StreamSource(url="rtsp://192.0.2.1/")})
        for camera_id in ("a", "b"):
            self.media.set_camera(camera_id, source)
        self.reports: list[tuple[str, MotionReport]] = []
        self.motion = WorkerMotion(self.media, SystemClock())
        self.motion.start(lambda camera_id, report: self.reports.append((camera_id, report)))

    def watch(self, *cameras: str) -> None:
        for camera_id in cameras:
            self.motion.watch(camera_id, MotionSettings())
        self.until(lambda: {camera for camera, _, _ in self.media.taps.values()} >= set(cameras))

    def of(self, camera_id: str) -> list[MotionReport]:
        return [report for camera, report in self.reports if camera == camera_id]

    def until(self, is_so: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, (self.reports, self.motion.figures(), self.media.taps)
            time.sleep(0.02)

    def show(self, camera_id: str, clip: Clip, part: slice = slice(None)) -> None:
        self.media.feed(camera_id, write_parameters(parameters_of(clip)))
        for unit in units_of(clip)[part]:
            self.media.feed(camera_id, write_unit(unit))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(back_off, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(client, "_TICK_S", 0.1)
    bench = Bench()
    yield bench
    bench.motion.close()
    for number in list(bench.media.taps):
        bench.media.untap(number)


def test_what_moves_is_reported_with_its_times(bench: Bench, clip: Clip) -> None:
    bench.watch("a")
    bench.show("a", clip)
    bench.until(lambda: len(bench.reports) == 2)
    started, ended = bench.of("a")
    assert isinstance(started, MotionStarted)
    assert isinstance(ended, MotionEnded)
    assert abs(started.start_us - T0_US - 8_000_000) <= 1_000_000
    assert abs(ended.end_us - T0_US - 16_000_000) <= 1_500_000
    assert ended.start_us == started.start_us
    assert ended.box.left < 0.1
    assert ended.box.right > 0.8


def test_a_camera_that_sends_garbage_does_not_stop_the_others(bench: Bench, clip: Clip) -> None:
    bench.watch("a", "b")
    bench.media.feed("b", os.urandom(5000))
    bench.until(lambda: bench.motion.figures()["b"].lost is not None)
    assert bench.motion.figures()["b"].lost == "not a record of a tap"
    bench.show("a", clip)
    bench.until(lambda: len(bench.of("a")) == 2)
    # And it is tried again.
    bench.until(lambda: bench.motion.figures()["b"].lost is None)
    bench.show("b", clip)
    bench.until(lambda: len(bench.of("b")) == 2)
    assert bench.motion.restarts == 0


def test_a_camera_whose_pictures_cannot_be_decoded_is_given_up_for_a_while(bench: Bench, clip: Clip) -> None:
    bench.watch("a")
    bench.media.feed("a", write_parameters(parameters_of(clip)))
    for number in range(300):
        broken = TappedUnit(0, True, False, number * 9000, T0_US + number * 1_000_000, 0, os.urandom(200))
        bench.media.feed("a", write_unit(broken))
    bench.until(lambda: bench.motion.figures()["a"].lost == "none of its pictures can be decoded")


def test_a_camera_that_floods_does_not_stop_the_others(bench: Bench, clip: Clip) -> None:
    bench.watch("a", "b")
    stop = threading.Event()

    def flood() -> None:
        bench.media.feed("b", write_parameters(parameters_of(clip)))
        units = units_of(clip)
        while not stop.is_set():
            for unit in units:
                if not stop.is_set():
                    bench.media.feed("b", write_unit(unit))

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        bench.show("a", clip)
        bench.until(lambda: len(bench.of("a")) == 2)
    finally:
        stop.set()
        flooding.join()


def test_a_worker_that_is_killed_is_started_again_and_the_open_event_ends(bench: Bench, clip: Clip) -> None:
    bench.watch("a")
    bench.show("a", clip, slice(0, 12 * FPS))
    bench.until(lambda: len(bench.reports) == 1)
    pid = bench.motion.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    bench.until(lambda: len(bench.reports) == 2)
    assert isinstance(bench.reports[1][1], MotionEnded)
    bench.until(lambda: bench.motion.pid() not in {None, pid} and len(bench.media.taps) == 1)
    bench.show("a", clip)
    bench.until(lambda: len(bench.reports) == 4)
    assert bench.motion.restarts == 1


def test_a_worker_that_hangs_is_replaced(bench: Bench, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.watch("a")
    pid = bench.motion.pid()
    assert pid is not None
    process = bench.motion._process
    assert process is not None
    monkeypatch.setattr(client, "_HANGS_AFTER_S", 0.3)
    os.kill(pid, signal.SIGSTOP)
    # As it would be in the middle of a picture.
    process._mark[:] = MARK.pack(bench.motion._cameras["a"].number, 77)
    bench.until(lambda: bench.motion.restarts == 1)
    assert bench.motion.figures()["a"].lost is not None or bench.motion.pid() != pid
    bench.until(lambda: bench.motion.figures()["a"].lost is None and len(bench.media.taps) == 1)
    bench.show("a", clip)
    bench.until(lambda: len(bench.reports) == 2)


def test_without_cameras_there_is_no_process(bench: Bench, clip: Clip) -> None:
    bench.watch("a")
    bench.show("a", clip, slice(0, 12 * FPS))
    bench.until(lambda: len(bench.reports) == 1)
    bench.motion.forget("a")
    bench.until(lambda: len(bench.reports) == 2 and bench.motion.pid() is None)
    assert bench.media.taps == {}
    bench.motion.forget("a")


def test_other_settings_take_effect(bench: Bench, clip: Clip) -> None:
    bench.watch("a")
    everything = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    bench.motion.watch("a", MotionSettings(mask=(everything,)))
    time.sleep(0.3)
    bench.until(lambda: len(bench.media.taps) == 1)
    bench.show("a", clip)
    time.sleep(1)
    assert bench.reports == []


def test_a_camera_that_is_not_there_is_tried_again(bench: Bench) -> None:
    bench.motion.watch("c", MotionSettings())
    bench.until(lambda: bench.motion.figures()["c"].lost == "the camera is not set up")
    bench.media.set_camera("c", CameraSource(streams={}))
    bench.until(lambda: bench.motion.figures()["c"].lost is None)


def test_no_more_is_decoded_than_needed(tmp_path: Path, clip: Clip) -> None:
    def decoded(clip: Clip) -> tuple[int, list[int]]:
        sampler = Sampler()
        sampler.change(parameters_of(clip))
        times = [at_us - T0_US for unit in units_of(clip) for at_us, _ in sampler.take(unit)]
        return sampler.decoded, times

    count, times = decoded(clip)
    assert len(times) == 48, "two pictures a second"
    assert 0.7 * 240 <= count <= 0.85 * 240, "the last quarter of a group of pictures is not looked at"
    count, times = decoded(made(tmp_path / "dense.mp4", 0.5))
    assert (count, len(times)) == (52, 48), "the key frames alone, once that is known"


def test_a_group_of_pictures_with_a_hole_is_left_alone(clip: Clip) -> None:
    sampler = Sampler()
    sampler.change(parameters_of(clip))
    units = units_of(clip)[:40]
    holed = [unit if number != 5 else TappedUnit(**{**vars(unit), "dropped": 3}) for number, unit in enumerate(units)]
    times = [at_us - T0_US for unit in holed for at_us, _ in sampler.take(unit)]
    assert [at_us for at_us in times if 500_000 <= at_us < 2_000_000] == []
    assert times[-1] >= 3_400_000


def test_a_codec_without_a_decoder_is_refused(clip: Clip) -> None:
    with pytest.raises(SamplingError, match="no decoder for opus"):
        Sampler().change(TrackParameters(0, "opus", 48_000, b"", 0, 0, 2))


def test_records_are_read_however_they_are_cut(clip: Clip) -> None:
    content = write_parameters(parameters_of(clip)) + b"".join(write_unit(unit) for unit in units_of(clip)[:5])
    whole = list(TapReader().read(content))
    assert whole == [parameters_of(clip), *units_of(clip)[:5]]
    reader = TapReader()
    assert [record for at in range(0, len(content), 7) for record in reader.read(content[at : at + 7])] == whole


@pytest.mark.parametrize(
    "wrong",
    [
        b"x" * 32,
        b"TAP1\x09" + bytes(27),
        b"TAP1\x02" + bytes(23) + b"\xff\xff\xff\xff",
        b"TAP1\x01" + bytes(23) + b"\x02\0\0\0{}",
    ],
)
def test_what_no_tap_writes_is_refused(wrong: bytes) -> None:
    with pytest.raises(TapError):
        list(TapReader().read(wrong))
