"""The real core's tap and key pictures: what the worker's reader and the thumbnail maker make of them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vms_media import Simulator

from vms.adapters.clock import SystemClock
from vms.adapters.footage import Encoding, read_clip, test_pattern
from vms.adapters.media import MediaEngine
from vms.adapters.stills import WorkerThumbnails
from vms.contracts.media import CameraSource, EngineSettings, WebRtcSettings
from vms.contracts.tap import TappedUnit, TapReader, TapRecord, TrackParameters
from vms.domain.cameras import StreamSource
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.thumbnails import hour_of
from vms.storage.thumbnails import ThumbnailService

CAMERA = make_id(1_795_428_780_000_000, bytes(8))


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MediaEngine, Path]]:
    directory = tmp_path_factory.mktemp("core")
    encoding = Encoding(width=320, height=180, fps=10, bitrate_bps=200_000, gop_seconds=1)
    clip = read_clip(test_pattern(directory, encoding, seconds=4))
    simulator = Simulator("127.0.0.1", 0, 1)
    track = clip.tracks[0]
    simulator.add_source([track.codec], [track.configuration], [90_000], [0], clip.units)
    port = simulator.start()
    settings = EngineSettings(allow_local_cameras=True, webrtc=WebRtcSettings(udp_port=0))
    engine = MediaEngine(directory, settings)
    source = StreamSource(url=f"rtsp://127.0.0.1:{port}/cam/0")
    engine.set_camera(CAMERA, CameraSource(streams={"main": source}, recording={"main": "continuous"}))
    end = time.monotonic() + 30
    while engine.media_metrics().fragments_written_total < 8:
        assert time.monotonic() < end
        time.sleep(0.1)
    yield engine, directory
    engine.close(4.0)
    simulator.stop()


def test_a_tap_gives_what_the_camera_sends(core: tuple[MediaEngine, Path]) -> None:
    engine, _ = core
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    number = engine.tap(CAMERA, "sub", ours.fileno())
    ours.close()
    reader = TapReader()
    records: list[TapRecord] = []
    while len(records) < 8:
        records.extend(reader.read(theirs.recv(1 << 20)))
    parameters, first = records[:2]
    assert isinstance(parameters, TrackParameters)
    assert (parameters.codec, parameters.width, parameters.height) == ("h264", 320, 180)
    assert isinstance(first, TappedUnit)
    assert first.key
    assert abs(first.utc_us - SystemClock().now_us()) < 10_000_000
    assert engine.media_metrics().taps.open == 1
    engine.untap(number)
    while theirs.recv(1 << 20):
        pass
    assert engine.media_metrics().taps.open == 0
    theirs.close()


def test_what_cannot_be_tapped(core: tuple[MediaEngine, Path], tmp_path: Path) -> None:
    engine, _ = core
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Failure) as failure:
        engine.tap("nobody", "main", ours.fileno())
    assert failure.value.kind == "not_found"
    with (tmp_path / "file").open("wb") as file, pytest.raises(Failure) as failure:
        engine.tap(CAMERA, "main", file.fileno())
    assert failure.value.kind == "invalid"
    engine.untap(999)


def test_the_running_hour_gets_its_stills(core: tuple[MediaEngine, Path]) -> None:
    engine, directory = core
    clock = SystemClock()
    picture = engine.key_picture_at(CAMERA, engine.timeline(CAMERA, 0, clock.now_us()).ranges[0].end_us - 1, "main")
    assert len(picture.units) == 1
    maker = WorkerThumbnails()

    class Later:
        """As if what is recorded now were long on the disk."""

        def now_us(self) -> int:
            return clock.now_us() + 15_000_000

        def monotonic_s(self) -> float:
            return clock.monotonic_s()

    cameras = directory / "storage" / "cameras"
    service = ThumbnailService(engine, maker, Later(), cameras, lambda: [CAMERA], reserve_bytes=0)
    end = time.monotonic() + 40
    try:
        # A whole cell of ten seconds has to be over.
        while not list(service._hours_there(CAMERA)):
            assert time.monotonic() < end
            time.sleep(0.5)
            service._running_at_s = float("-inf")
            service.run(threading.Event())
    finally:
        maker.close()
    at_us = next(iter(service._hours_there(CAMERA)))
    grid, content = service.grid_file(CAMERA, at_us)
    assert grid.start_us == hour_of(at_us)
    assert any(grid.shown_us)
    assert content[8:12] == b"WEBP"
