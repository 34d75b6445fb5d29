"""Stills and remuxing, by the real worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from vms.adapters.footage import Encoding, read_clip, test_pattern
from vms.adapters.stills import WorkerRemuxer, WorkerStills, worker
from vms.contracts.media import Picture
from vms.domain.errors import Failure


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoding = Encoding(width=160, height=96, fps=10, bitrate_bps=300_000, gop_seconds=2, b_frames=2)
    return test_pattern(tmp_path_factory.mktemp("footage"), encoding, seconds=2)


@pytest.fixture
def picture(clip_path: Path) -> Picture:
    clip = read_clip(clip_path)
    units = clip.units[:12]
    return Picture(
        codec="h264",
        configuration=clip.tracks[0].configuration,
        width=160,
        height=96,
        units=[unit[4] for unit in units],
        pts_90k=[unit[1] for unit in units],
        wanted_pts_90k=sorted(unit[1] for unit in units)[5] + 10,
        captured_us=0,
    )


@pytest.fixture
def stills() -> Iterator[WorkerStills]:
    decoder = WorkerStills()
    yield decoder
    decoder.close()


def _size(jpeg: bytes) -> tuple[int, int]:
    assert jpeg.startswith(b"\xff\xd8")
    assert jpeg.endswith(b"\xff\xd9")
    decoder: Any = av.CodecContext.create("mjpeg", "r")
    frames: list[Any] = list(decoder.decode(av.Packet(jpeg))) + list(decoder.decode(None))
    assert len(frames) == 1
    return frames[0].width, frames[0].height


def test_a_picture_becomes_a_jpeg(stills: WorkerStills, picture: Picture) -> None:
    assert _size(stills.jpeg(picture)) == (160, 96)
    assert _size(stills.jpeg(picture, height=48)) == (80, 48)
    assert _size(stills.jpeg(picture, height=2000)) == (160, 96)


def test_the_wanted_picture_is_the_one_shown_then(picture: Picture) -> None:
    frame = worker.wanted_frame("h264", picture.configuration, picture.units, picture.pts_90k, picture.wanted_pts_90k)
    assert frame is not None
    assert frame.pts == picture.wanted_pts_90k - 10
    first = worker.wanted_frame("h264", picture.configuration, picture.units, picture.pts_90k, 0)
    assert first is not None
    assert first.pts == min(picture.pts_90k)


def test_a_picture_of_motion_jpeg_is_passed_on(stills: WorkerStills, picture: Picture) -> None:
    jpeg = stills.jpeg(picture)
    motion = Picture(
        codec="mjpeg",
        configuration=b"",
        width=160,
        height=96,
        units=[jpeg],
        pts_90k=[0],
        wanted_pts_90k=0,
        captured_us=0,
    )
    assert stills.jpeg(motion) == jpeg
    assert _size(stills.jpeg(motion, height=48)) == (80, 48)


def test_pictures_that_cannot_be_decoded(stills: WorkerStills, picture: Picture) -> None:
    garbage = picture.model_copy(update={"units": [b"\0\0\0\x04junk"] * 12})
    nothing = picture.model_copy(update={"units": [], "pts_90k": []})
    for broken in (garbage, nothing, garbage.model_copy(update={"configuration": b"\x01"})):
        with pytest.raises(Failure) as refused:
            stills.jpeg(broken)
        assert refused.value.kind == "malformed"
    with pytest.raises(Failure) as refused:
        stills.jpeg(picture.model_copy(update={"codec": "onvif"}))
    assert refused.value.kind == "unsupported"
    # One broken picture does not keep the next from being shown.
    spoilt = picture.units.copy()
    spoilt[1] = b"\0\0\0\x04junk"
    assert stills.jpeg(picture.model_copy(update={"units": spoilt}))


def _kill(stills: WorkerStills) -> None:
    pid = stills.worker.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_worker_that_dies_is_started_anew(stills: WorkerStills, picture: Picture) -> None:
    stills.jpeg(picture)
    _kill(stills)
    assert stills.jpeg(picture)
    # Killed in the middle of a request, as by a decoder's crash.
    _kill(stills)
    try:
        stills.jpeg(picture)
    except Failure as failure:
        assert failure.kind == "malformed"
    assert stills.jpeg(picture)


def test_a_worker_that_hangs_is_given_up(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = WorkerStills(timeout_s=0.3)
    monkeypatch.setattr(sys, "executable", "/bin/cat")
    began = time.monotonic()
    with pytest.raises(Failure):
        sleeper.jpeg(picture)
    assert time.monotonic() - began < 5
    sleeper.close()


def test_an_idle_worker_ends(picture: Picture) -> None:
    stills = WorkerStills(idle_s=0.05)
    stills.jpeg(picture)
    deadline = time.monotonic() + 5
    while stills.worker.pid() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stills.close()
    with pytest.raises(Failure, match="stopping"):
        stills.jpeg(picture)


def test_remuxing_keeps_every_packet(clip_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    fractions: list[float] = []
    WorkerRemuxer().remux(clip_path, target, progress=fractions.append, cancelled=lambda: False)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    def content(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    assert content(target) == content(clip_path)


def test_remuxing_that_fails_or_is_cancelled_leaves_nothing(clip_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 100)
    with pytest.raises(Failure, match="cannot be rewritten") as refused:
        WorkerRemuxer().remux(broken, target, progress=lambda _: None, cancelled=lambda: False)
    assert refused.value.kind == "malformed"
    with pytest.raises(Failure, match="cancelled"):
        WorkerRemuxer().remux(clip_path, target, progress=lambda _: None, cancelled=lambda: True)
    assert not target.exists()
