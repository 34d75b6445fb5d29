"""What decoding workers are made of: decoders, looks, memory, lines."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.error import InvalidDataError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from tests.filmed_scenes import T0_US, filmed, parameters_of, units_of
from vms.adapters.footage.clips import Clip
from vms.adapters.frames import decoding, framing
from vms.adapters.frames.camera import DecodedCamera
from vms.adapters.frames.decoding import Accelerators, BrokenUnitError, Decoder, UndecodableError, is_disposable
from vms.adapters.frames.fairness import Lag
from vms.adapters.frames.looking import WIDTH_PX, Looker
from vms.adapters.frames.sampling import Sampler
from vms.adapters.frames.shared_memory import SharedMemory, slots_within, store_size
from vms.contracts.frames import Frame, Sampling
from vms.contracts.tap import TappedUnit, TrackParameters, write_parameters, write_unit
from vms.domain.vision import Look


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return filmed(tmp_path_factory.mktemp("film") / "clip.mp4", seconds=3, gop_s=1, fps=10, size=(800, 450))


def decode_all(decoder: Decoder, clip: Clip) -> list[int]:
    return [at_us - T0_US for unit in units_of(clip) for at_us, _, _ in decoder.decode(unit)]


def test_an_accelerator_that_does_not_open_is_said_and_not_asked_again(clip: Clip) -> None:
    asked: list[str | None] = []

    def make(name: str, accelerator: str | None) -> VideoCodecContext:
        asked.append(accelerator)
        if accelerator is not None:
            raise PermissionError(1, "Operation not permitted")
        return decoding.make_context(name, None)

    accelerators = Accelerators(("cuda", "vaapi"))
    for _ in range(2):
        decoder = Decoder(parameters_of(clip), accelerators, make=make)
        assert len(decode_all(decoder, clip)) == 30
        assert decoder.hardware.startswith("software (cuda: ")
        assert "vaapi: " in decoder.hardware
    assert asked == ["cuda", "vaapi", None, None]


def test_an_accelerator_without_a_device_is_none(clip: Clip) -> None:
    """FFmpeg's own word for it."""
    accelerators = Accelerators(("cuda",))
    decoder = Decoder(parameters_of(clip), accelerators)
    if not accelerators.failed:
        pytest.skip("there is one")
    assert decoder.hardware.startswith("software (cuda: ")
    assert len(decode_all(decoder, clip)) == 30


class Refusing:
    """A context on a device that takes some units and then no more."""

    def __init__(self, context: VideoCodecContext, takes: int) -> None:
        self.extradata = b""
        self.flags = 0
        self._context, self._takes = context, takes

    def open(self) -> None:
        self._context.extradata = self.extradata
        self._context.open()

    def decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        self._takes -= 1
        if self._takes < 0:
            raise InvalidDataError(1, "the device is lost")
        return self._context.decode(packet)


@pytest.mark.parametrize("takes", [0, 14])
def test_an_accelerator_that_fails_gives_way_to_software(clip: Clip, takes: int) -> None:
    def make(name: str, accelerator: str | None) -> VideoCodecContext:
        context = decoding.make_context(name, None)
        return context if accelerator is None else Refusing(context, takes)  # type: ignore[return-value]

    decoder = Decoder(parameters_of(clip), Accelerators(("cuda",)), make=make)
    assert decoder.hardware == "cuda"
    shown, refused = [], 0
    for unit in units_of(clip):
        try:
            shown += [at_us for at_us, _, _ in decoder.decode(unit)]
        except BrokenUnitError:
            refused += 1
    assert "the device is lost" in decoder.hardware
    assert decoder.hardware.startswith("software (cuda: ")
    assert refused <= 2
    assert len(shown) >= 20


def test_what_cannot_be_decoded_is_refused(clip: Clip) -> None:
    nothing = Accelerators(())
    with pytest.raises(UndecodableError, match="no decoder for opus"):
        Decoder(TrackParameters(0, "opus", 48_000, b"", 0, 0, 2), nothing)
    with pytest.raises(UndecodableError, match="pictures of 100000 × 2"):
        Decoder(replace(parameters_of(clip), width=100_000, height=2), nothing)
    huge = replace(next(units_of(clip)), data=bytes(decoding.LARGEST_UNIT_BYTES + 1))
    with pytest.raises(BrokenUnitError, match="a unit of"):
        Decoder(parameters_of(clip), nothing).decode(huge)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_units_that_nobody_needs_are_left_out_harmlessly(tmp_path: Path, codec: str) -> None:
    film = filmed(tmp_path / "b.mp4", seconds=4, moves=lambda _: True, gop_s=1, b_frames=2, codec=codec)
    parameters = parameters_of(film)
    units = list(units_of(film))
    disposable = [unit for unit in units if is_disposable(parameters, unit.data)]
    assert len(disposable) >= len(units) // 4

    def pictures(units: list[TappedUnit]) -> dict[int, NDArray[np.uint8]]:
        decoder = Decoder(parameters, Accelerators(()))
        shown = [entry for unit in units for entry in decoder.decode(unit)]
        return {pts: frame.to_ndarray(format="gray").astype(np.uint8) for _, pts, frame in shown}

    whole = pictures(units)
    left = pictures([unit for unit in units if not is_disposable(parameters, unit.data)])
    assert len(left) >= 20
    for pts, picture in left.items():
        assert pts not in whole or np.array_equal(picture, whole[pts])


def test_garbage_is_not_disposable() -> None:
    parameters = TrackParameters(0, "h264", 90_000, b"", 0, 0, 0)
    for data in (b"", b"\0\0\0\0", b"\0\0\0\0\0", b"\xff" * 20, b"\0" * 100):
        assert not is_disposable(parameters, data)
        assert not is_disposable(replace(parameters, codec="h265"), data)


def grey(seed: int, *, square: int = 0, at: int = 100) -> NDArray[np.uint8]:
    """Noise over a pattern, and a square in it."""
    scene = np.kron(np.random.default_rng(1).uniform(40, 200, (46, 80)), np.ones((4, 4)))
    picture = scene + np.random.default_rng(seed).normal(0, 4, scene.shape)
    if square:
        picture[60 : 60 + square, at : at + square] = 255 - picture[60 : 60 + square, at : at + square]
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_noise_and_light_are_no_activity_and_a_walker_is() -> None:
    looker = Looker()
    for number in range(20):
        assert looker.look(grey(number), T0_US + number * 200_000).activity < 0.001
    darker = (grey(30).astype(np.float32) - 12).clip(0, 255).astype(np.uint8)
    assert looker.look(darker, T0_US + 4_000_000).activity < 0.001
    assert looker.look(grey(31, square=20), T0_US + 5_200_000).activity > 0.003


def test_a_clock_in_the_picture_counts_for_a_minute() -> None:
    looker = Looker()
    seen = []
    for number in range(150):
        look = looker.look(grey(number, square=8, at=104 if number % 2 else 240), T0_US + number * 1_000_000)
        seen.append(look.activity)
    assert min(seen[1:30]) > 0
    assert max(seen[80:]) == 0
    assert looker.look(grey(200, square=24, at=40), T0_US + 150_000_000).activity > 0.003


def test_a_look_tells_light_contrast_and_sharpness() -> None:
    looker = Looker()
    plain = looker.look(np.full((184, WIDTH_PX), 51, np.uint8), T0_US)
    assert (plain.brightness, plain.contrast, plain.sharpness) == (0.2, 0.0, 0.0)
    assert len(plain.cells) == 96
    assert plain.cells[0] == pytest.approx(0.2, abs=0.001)
    sharp = grey(1)
    blurred = (sharp[:, :-2].astype(np.uint16) + sharp[:, 1:-1] + sharp[:, 2:]) // 3
    softer = looker.look(np.pad(blurred.astype(np.uint8), ((0, 0), (0, 2)), mode="edge"), T0_US)
    assert softer.sharpness < 0.85 * looker.look(sharp, T0_US).sharpness
    half = np.zeros((184, WIDTH_PX), np.uint8)
    half[:, WIDTH_PX // 2 :] = 255
    assert looker.look(half, T0_US).cells[:12] == pytest.approx((0.0,) * 6 + (1.0,) * 6)


@pytest.mark.parametrize("shape", [(8, WIDTH_PX), (960, WIDTH_PX)])
def test_odd_shapes_are_looked_at(shape: tuple[int, int]) -> None:
    look = Looker().look(np.zeros(shape, np.uint8), T0_US)
    assert len(look.cells) == 96


def test_lag_is_measured_against_the_promptest_of_late() -> None:
    lag = Lag()
    now_us = T0_US
    # The first units of a tap are old; they catch up.
    assert lag.of(now_us - 4_000_000, now_us) == 0
    assert lag.of(now_us, now_us) == 0
    assert lag.of(now_us - 2_000_000, now_us + 100_000) == 2_100_000
    # A clock that stepped is usual after a while.
    for second in range(40):
        late = lag.of(now_us + second * 1_000_000 - 3_000_000, now_us + second * 1_000_000)
    assert late == 0


def test_who_lags_goes_on_with_the_next_key_frame(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    camera = DecodedCamera(1, theirs, Sampling(least_fps=10, most_fps=10), Accelerators(()), 100)
    now_us = T0_US
    monkeypatch.setattr(time, "time_ns", lambda: now_us * 1000)
    ours.sendall(write_parameters(parameters_of(clip)))
    shown = []
    for number, unit in enumerate(units_of(clip)):
        # From the fifth on they are read two seconds late.
        now_us = unit.utc_us + (2_000_000 if number >= 5 else 0)
        ours.sendall(write_unit(unit))
        given = camera.turn()
        if given is not None:
            shown.append(number)
    camera.close()
    ours.close()
    assert shown == [0, 1, 2, 3, 4, 10, 20]
    assert camera.figures()["missed"] == 23


def test_a_group_with_a_hole_is_left_alone() -> None:
    sampler = Sampler(Sampling(least_fps=15, most_fps=15))
    shown = []
    for number in range(60):
        dropped = 3 if number == 20 else 0
        unit = TappedUnit(0, number % 30 == 0, False, number, T0_US + number * 66_667, dropped, b"")
        shown += [feed.unit.pts for feed in sampler.take(unit, disposable=False)]
    assert shown == [*range(20), *range(30, 60)]
    assert sampler.missed == 3 + 10


def test_where_key_frames_are_enough_they_alone_are_decoded() -> None:
    sampler = Sampler(Sampling(least_fps=1, most_fps=2))
    fed, shown = 0, []
    for number in range(300):
        unit = TappedUnit(0, number % 6 == 0, False, number, T0_US + number * 66_667, 0, bytes(500))
        for feed in sampler.take(unit, disposable=False):
            fed += 1
            if sampler.is_wanted(feed.unit.pts):
                shown.append(number)
                sampler.see(feed.unit.utc_us, 0.1)
    assert fed <= len(shown) + 8
    assert len(shown) == pytest.approx(40, abs=2)


def test_slots_are_shared_alike() -> None:
    slot = 100 * 4096
    assert slots_within([slot, slot], 10 * slot) == [4, 4]
    assert slots_within([slot, slot], 5 * slot) == [2, 2]
    assert slots_within([slot] * 5, 4 * slot) == [1, 1, 1, 0, 0]
    assert slots_within([], 0) == []


def frame_in(memory: SharedMemory, slot_bytes: int) -> Frame:
    store = memory.take(slot_bytes, 1)
    assert store is not None
    frame = Frame("a", "sub", 1, 1, 90_000, 10, 10, store.place(0), Look(0, 0, 0), 10, 10)
    assert memory.lease(store, 0, frame)
    with pytest.raises(ValueError, match="slot 0"):
        memory.lease(store, 0, frame)
    with pytest.raises(ValueError, match="slot 1"):
        memory.lease(store, 1, frame)
    memory.retire(store, is_held=True)
    return frame


def test_memory_is_free_once_nobody_reads_or_writes_it() -> None:
    memory = SharedMemory(2 * store_size(4096, 1))
    frame = frame_in(memory, 4096)
    store = memory._stores[frame.place.path]
    memory.retire(store, is_held=False)
    assert memory.used_bytes == store.size_bytes, "a frame is out"
    memory.release(frame)
    assert memory.used_bytes == 0
    # The same file again, larger: a path stays what it is.
    larger = frame_in(memory, 2 * 4096)
    assert larger.place.path == frame.place.path
    memory.release(larger)
    assert memory.used_bytes > 0, "the worker may still write"
    assert memory.take(4096, 1) is None
    memory.close()


@pytest.mark.parametrize(
    "change",
    [
        {"cells": "zz"},
        {"look": [1, 2]},
        {"slot": "0"},
        {"width": 0},
        {"sent": [0, 1]},
        {"at_us": 1.5},
        {"cells": None},
    ],
)
def test_lines_of_nonsense_are_refused(change: dict[str, object]) -> None:
    look = Look(0.5, 0.25, 0.01, (0.0, 1.0, 0.502), 0.125)
    line = framing.FrameLine(1, 2, 3, T0_US, -5, 90_000, 640, 360, 1280, 720, look)
    written = framing.write_frame(line)
    assert len(written) < 500
    document = json.loads(written)
    assert framing.read_frame(document) == line
    with pytest.raises((ValueError, KeyError, TypeError)):
        framing.read_frame({**document, **change})
