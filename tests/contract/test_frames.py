"""Whatever gives cameras' pictures: the same rules for slots, order and figures."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.filmed_scenes import T0_US, filmed, parameters_of, units_of
from vms.adapters.clock import SystemClock
from vms.adapters.frames import WorkerFrames
from vms.adapters.memory.frames import MemoryFrames
from vms.adapters.memory.media import MemoryMedia
from vms.contracts.frames import Frame, FrameSource, Sampling
from vms.contracts.media import CameraSource
from vms.contracts.tap import write_parameters, write_unit

SAMPLING = Sampling(least_fps=5, most_fps=5)


class Filmed(Protocol):
    """A source, and something to see for it."""

    source: FrameSource

    def show(self) -> None:
        """Some six pictures of the camera `a`."""
        ...


class Memory:
    def __init__(self) -> None:
        self._frames = MemoryFrames()
        self.source: FrameSource = self._frames

    def show(self) -> None:
        for number in range(6):
            rgb = bytes([number, 2, 3]) * 320 * 180
            self._frames.show("a", rgb, 320, 180, T0_US + number * 200_000)


class Workers:
    def __init__(self, directory: Path) -> None:
        self._clip = filmed(directory / "clip.mp4", seconds=1.2, fps=10, size=(320, 180), moves=lambda _: True)
        self.media = MemoryMedia()
        self.media.set_camera("a", CameraSource(streams={}))
        self.source: FrameSource = WorkerFrames(self.media, SystemClock())

    def show(self) -> None:
        end = time.monotonic() + 20
        while not self.media.taps:
            assert time.monotonic() < end
            time.sleep(0.01)
        self.media.feed("a", write_parameters(parameters_of(self._clip)))
        for unit in units_of(self._clip):
            self.media.feed("a", write_unit(unit))


@pytest.fixture(params=["memory", "workers"])
def filming(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Filmed]:
    subject: Memory | Workers = Memory() if request.param == "memory" else Workers(tmp_path)
    yield subject
    subject.source.close()
    if isinstance(subject, Workers):
        for number in list(subject.media.taps):
            subject.media.untap(number)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_frames_come_in_order_and_as_other_processes_see_them(filming: Filmed) -> None:
    frames: list[Frame] = []
    filming.source.start(frames.append)
    filming.source.watch("a", SAMPLING)
    filming.show()
    until(lambda: len(frames) == 4)
    assert [frame.at_us for frame in frames] == [T0_US + number * 200_000 for number in range(4)]
    assert {frame.camera_id for frame in frames} == {"a"}
    for frame in frames:
        assert (frame.width, frame.height) == (320, 180)
        assert (frame.sent_width, frame.sent_height) == (320, 180)
        assert len(filming.source.pixels(frame)) == frame.size_bytes
        with (
            Path(frame.place.path).open("rb") as file,
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory,
        ):
            there = memory[frame.place.offset : frame.place.offset + frame.size_bytes]
        assert there == bytes(filming.source.pixels(frame))
    # As whoever runs models does.
    last = frames[-1]
    program = "import sys; f = open(sys.argv[1], 'rb'); f.seek(int(sys.argv[2])); print(sum(f.read(int(sys.argv[3]))))"
    arguments = [last.place.path, str(last.place.offset), str(last.size_bytes)]
    said = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, check=True, timeout=20)
    assert int(said.stdout) == sum(filming.source.pixels(last))


def test_who_releases_nothing_gets_no_more_than_slots(filming: Filmed) -> None:
    frames: list[Frame] = []
    filming.source.start(frames.append)
    filming.source.watch("a", SAMPLING)
    filming.show()
    until(lambda: filming.source.figures()["a"].dropped >= 2)
    assert len(frames) == 4
    assert filming.source.figures()["a"].given == 4
    assert len({frame.place for frame in frames}) == 4


def test_what_is_released_is_used_again(filming: Filmed) -> None:
    frames: list[Frame] = []

    def take(frame: Frame) -> None:
        frames.append(frame)
        filming.source.release(frame)
        # Once for each frame; more does nothing.
        filming.source.release(frame)

    filming.source.start(take)
    filming.source.watch("a", SAMPLING)
    filming.show()
    until(lambda: len(frames) >= 4)
    filming.show()
    until(lambda: len(frames) >= 5)


def test_forgotten_cameras_give_nothing(filming: Filmed) -> None:
    frames: list[Frame] = []
    filming.source.start(frames.append)
    filming.source.watch("a", SAMPLING)
    filming.source.forget("a")
    filming.source.forget("a")
    assert filming.source.figures() == {}
    filming.source.watch("a", SAMPLING)
    filming.show()
    until(lambda: len(frames) >= 3)


def test_frames_that_are_out_can_be_read_after_their_camera_is_forgotten(filming: Filmed) -> None:
    frames: list[Frame] = []
    filming.source.start(frames.append)
    filming.source.watch("a", SAMPLING)
    filming.show()
    until(lambda: len(frames) == 4)
    before = [bytes(filming.source.pixels(frame)) for frame in frames]
    filming.source.forget("a")
    filming.source.watch("a", SAMPLING)
    assert [bytes(filming.source.pixels(frame)) for frame in frames] == before
    for frame in frames:
        filming.source.release(frame)
    assert os.path.exists(frames[0].place.path)  # noqa: PTH110 (a magic link)
