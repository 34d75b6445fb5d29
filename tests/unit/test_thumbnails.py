"""Grids of stills: the format, the worker, and the chore over an archive in memory."""

from __future__ import annotations

import errno
import functools
import io
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from vms.adapters.footage import Encoding, read_clip, test_pattern
from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.media import MemoryMedia
from vms.adapters.stills import WorkerThumbnails
from vms.contracts.media import Picture
from vms.contracts.thumbnails import Still
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.recordings import RecordedRange, Span
from vms.domain.thumbnails import (
    HOUR_US,
    PERIOD_US,
    GridError,
    ThumbnailGrid,
    cell_height_for,
    empty_grid,
    file_name,
    hour_named,
    image_of,
    read_grid,
    wanted_stills,
    write_grid,
)
from vms.storage.thumbnails import ThumbnailService

HOUR = 1_795_424_400 * 1_000_000 // HOUR_US * HOUR_US
CAMERA = make_id(1_795_428_780_000_000, bytes(8))
SECOND = 1_000_000
NEVER = threading.Event()


@functools.cache
def jpeg(level: int, width: int = 64, height: int = 36) -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((height, width), level, np.uint8), format="gray")
    picture = frame.reformat(format="yuvj420p")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def picture(at_us: int, unit: bytes, **fields: Any) -> Picture:
    return Picture(
        **{
            "codec": "mjpeg",
            "configuration": b"",
            "width": 64,
            "height": 36,
            "units": [unit],
            "pts_90k": [0],
            "wanted_pts_90k": 0,
            "captured_us": at_us,
            **fields,
        }
    )


def levels(content: bytes, grid: ThumbnailGrid) -> list[int]:
    """How bright the middle of each cell is, by a decoder that does not know us."""
    decoder: Any = av.CodecContext.create("webp", "r")
    frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    grey = frames[0].reformat(format="gray").to_ndarray()
    assert grey.shape == (grid.rows * grid.cell_height, grid.columns * grid.cell_width)
    middles = grey[grid.cell_height // 2 :: grid.cell_height, grid.cell_width // 2 :: grid.cell_width]
    return [int(level) for level in middles.flatten()]


@pytest.fixture(scope="module")
def maker() -> Iterator[WorkerThumbnails]:
    maker = WorkerThumbnails()
    yield maker
    maker.close()


def test_stills_get_into_their_cells_with_their_times(maker: WorkerThumbnails) -> None:
    stills = [Still(cell, picture(HOUR + cell * PERIOD_US + 7000, jpeg(level))) for cell, level in ((0, 200), (21, 90))]
    made = maker.make(None, HOUR, stills, HOUR + 22 * PERIOD_US)
    assert made is not None
    grid = read_grid(io.BytesIO(made.content))
    assert (grid.start_us, grid.made_until_us, grid.cell_width, grid.cell_height) == (
        HOUR,
        HOUR + 220 * SECOND,
        160,
        90,
    )
    assert {cell: at for cell, at in enumerate(grid.shown_us) if at is not None} == {
        0: HOUR + 7000,
        21: HOUR + 210 * SECOND + 7000,
    }
    shown = levels(made.content, grid)
    assert abs(shown[0] - 200) < 12
    assert abs(shown[21] - 90) < 12
    assert max(shown[1:21] + shown[22:]) < 12
    # The hour goes on.
    later = maker.make(made.content, HOUR, [Still(359, picture(HOUR + HOUR_US - 5000, jpeg(140)))], HOUR + HOUR_US)
    assert later is not None
    grid = read_grid(io.BytesIO(later.content))
    assert grid.is_complete
    assert grid.shown_us[359] == HOUR + HOUR_US - 5000
    assert [abs(a - b) < 14 for a, b in zip(levels(later.content, grid)[:359], shown[:359], strict=True)].count(
        False
    ) == 0


def test_a_key_frame_that_is_corrupt_leaves_its_cell_black(maker: WorkerThumbnails, tmp_path: Path) -> None:
    clip = read_clip(test_pattern(tmp_path, Encoding(width=160, height=96, fps=10, gop_seconds=1), seconds=2))
    key = next(unit[4] for unit in clip.units if unit[3])
    of_clip = {"codec": "h264", "configuration": clip.tracks[0].configuration}
    stills = [
        Still(0, picture(HOUR, key, **of_clip)),
        Still(1, picture(HOUR, os.urandom(500), **of_clip)),
        Still(2, picture(HOUR, b"", **of_clip)),
        Still(3, picture(HOUR, b"x", codec="vp7")),
        Still(4, picture(HOUR + 41 * SECOND, key, **of_clip)),
    ]
    made = maker.make(None, HOUR, stills, HOUR + 50 * SECOND)
    assert made is not None
    assert made.broken == 3
    grid = read_grid(io.BytesIO(made.content))
    assert [at is not None for at in grid.shown_us[:6]] == [True, False, False, False, True, False]
    assert grid.cell_height == 96


def test_another_resolution_within_the_hour_fits_its_cell(maker: WorkerThumbnails) -> None:
    stills = [Still(0, picture(HOUR, jpeg(200))), Still(1, picture(HOUR, jpeg(200, 36, 64)))]
    made = maker.make(None, HOUR, stills, HOUR + 20 * SECOND)
    assert made is not None
    grid = read_grid(io.BytesIO(made.content))
    decoder: Any = av.CodecContext.create("webp", "r")
    grey = [*decoder.decode(av.Packet(made.content)), *decoder.decode(None)][0].reformat(format="gray").to_ndarray()
    assert (abs(grey[4:86, 4:156].astype(int) - 200) < 20).all()
    row = grey[45, 160:320].astype(int)
    assert (row[:40] < 30).all()
    assert (abs(row[60:100] - 200) < 20).all()
    assert (row[120:] < 30).all()
    assert grid.cell_height == 90


def test_without_a_still_there_is_no_file(maker: WorkerThumbnails) -> None:
    assert maker.make(None, HOUR, [], HOUR + HOUR_US) is None
    assert maker.make(None, HOUR, [Still(0, picture(HOUR, b"no picture"))], HOUR + HOUR_US) is None


def test_a_file_that_is_no_grid_is_told(maker: WorkerThumbnails) -> None:
    made = maker.make(None, HOUR, [Still(0, picture(HOUR, jpeg(99)))], HOUR + PERIOD_US)
    assert made is not None
    for wrong in (b"nonsense", made.content[:40], made.content[:-3]):
        with pytest.raises(Failure) as failure:
            maker.make(wrong, HOUR, [], HOUR + HOUR_US)
        assert failure.value.kind == "unavailable"


def test_a_worker_that_is_killed_costs_one_hour(maker: WorkerThumbnails) -> None:
    def stills() -> Iterator[Still]:
        yield Still(0, picture(HOUR, jpeg(99)))
        pid = maker.worker.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        yield Still(1, picture(HOUR, jpeg(99)))

    with pytest.raises(Failure):
        maker.make(None, HOUR, stills(), HOUR + PERIOD_US)
    assert maker.make(None, HOUR, [Still(0, picture(HOUR, jpeg(99)))], HOUR + PERIOD_US) is not None


def test_a_worker_that_hangs_is_ended() -> None:
    maker = WorkerThumbnails(timeout_s=0.5)

    def stills() -> Iterator[Still]:
        pid = maker.worker.pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        yield Still(1, picture(HOUR, jpeg(99)))

    try:
        # Starting takes longer than that.
        maker.worker.timeout_s = 30
        assert maker.make(None, HOUR, [], HOUR) is None
        maker.worker.timeout_s = 0.5
        with pytest.raises(Failure, match="did not answer"):
            maker.make(None, HOUR, stills(), HOUR + PERIOD_US)
    finally:
        maker.close()


def test_the_file_is_byte_for_byte_as_specified() -> None:
    grid = empty_grid(HOUR, 160, 90).with_([(1, HOUR + 12_345_678)], HOUR + 20 * SECOND)
    image = b"RIFF\x0f\0\0\0WEBPVP8 \x03\0\0\0abc\0"
    content = write_grid(image, grid)
    assert (
        content[:30]
        == b"RIFF"
        + (len(content) - 8).to_bytes(4, "little")
        + b"WEBPVP8X\x0a\0\0\0"
        + bytes(4)
        + (3199).to_bytes(3, "little")
        + (1619).to_bytes(3, "little")[:3]
    )
    assert content[30:42] == b"VP8 \x03\0\0\0abc\0"
    assert content[42:50] == b"vmsT" + (32 + 1440).to_bytes(4, "little")
    assert content[50:66] == bytes.fromhex("0100 1400 1200 a000 5a00 0a00 00000000")
    assert content[66:74] == HOUR.to_bytes(8, "little")
    assert content[74:82] == (HOUR + 20 * SECOND).to_bytes(8, "little")
    assert content[82:90] == b"\0\0\0\x80" + (12_345).to_bytes(4, "little")
    assert read_grid(io.BytesIO(content)).shown_us[1] == HOUR + 12_345_000
    assert image_of(content) == b"RIFF\x10\0\0\0WEBPVP8 \x03\0\0\0abc\0"


def test_a_damaged_file_is_refused_whatever_the_damage() -> None:
    grid = empty_grid(HOUR, 160, 90)
    content = write_grid(b"RIFF\x0f\0\0\0WEBPVP8 \x03\0\0\0abc\0", grid)
    for length in range(len(content)):
        with pytest.raises(GridError):
            read_grid(io.BytesIO(content[:length]))
    for at in range(82):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        try:
            read_grid(io.BytesIO(bytes(damaged)))
        except GridError:
            continue
    newer = content.replace(b"\x01\0\x14\0", b"\x02\0\x14\0")
    with pytest.raises(GridError, match="newer"):
        read_grid(io.BytesIO(newer))


def test_a_cell_shows_the_last_of_its_ten_seconds() -> None:
    ranges = [
        RecordedRange(start_us=HOUR - SECOND, end_us=HOUR + 15 * SECOND, stream="main"),
        RecordedRange(start_us=HOUR + 31 * SECOND, end_us=HOUR + 100 * SECOND, stream="main"),
        RecordedRange(start_us=HOUR + 35 * SECOND, end_us=HOUR + 50 * SECOND, stream="sub"),
    ]
    wanted, until = wanted_stills(HOUR, ranges, HOUR, HOUR + 69 * SECOND)
    assert [(want.cell, (want.at_us + 1 - HOUR) / SECOND, want.stream) for want in wanted] == [
        (0, 10, "main"),
        (1, 15, "main"),
        (3, 40, "sub"),
        (4, 50, "sub"),
        (5, 60, "main"),
    ]
    assert until == HOUR + 60 * SECOND
    assert wanted_stills(HOUR, ranges, until, HOUR + 69 * SECOND) == ([], until)
    assert wanted_stills(HOUR, ranges, HOUR, HOUR + 9 * HOUR_US)[1] == HOUR + HOUR_US


def test_names_and_hours_belong_together() -> None:
    assert hour_named(file_name(HOUR)) == HOUR
    for wrong in ("2026-11-23/thumb_24.webp", "2026-1-23/thumb_10.webp", "x/thumb_10.webp", "2026-11-23/video_10.mp4"):
        assert hour_named(wrong) is None


@pytest.mark.parametrize(
    ("width", "height", "rows"), [(640, 360, 90), (704, 576, 130), (90, 1600, 160), (3000, 90, 32)]
)
def test_cells_have_the_shape_of_the_pictures(width: int, height: int, rows: int) -> None:
    assert cell_height_for(width, height) == rows


class Archive(MemoryMedia):
    """Recordings with a key frame each second that is as bright as its minute; some are broken."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.without_keys = False

    def key_picture_at(self, camera_id: str, at_us: int, stream: str) -> Picture:
        self.asked += 1
        if self.without_keys:
            raise Failure("not_found", "there is no key frame before")
        found = super().key_picture_at(camera_id, at_us, stream)
        minute = found.captured_us // (60 * SECOND) % 60
        return found.model_copy(update={"units": [jpeg(40 + minute * 3)]})


class Bench(NamedTuple):
    archive: Archive
    clock: ManualClock
    directory: Path
    service: ThumbnailService

    def path(self, hour_us: int) -> Path:
        return self.directory / CAMERA / file_name(hour_us)

    def record(self, start_us: int, end_us: int, stream: str = "main") -> None:
        entry = RecordedRange(start_us=start_us, end_us=end_us, stream=stream)
        self.archive.recorded.setdefault(CAMERA, []).append(entry)


@pytest.fixture
def bench(maker: WorkerThumbnails, tmp_path: Path) -> Bench:
    archive, clock = Archive(), ManualClock(HOUR + HOUR_US // 2)
    service = ThumbnailService(archive, maker, clock, tmp_path, lambda: [CAMERA], reserve_bytes=0)
    return Bench(archive, clock, tmp_path, service)


def test_the_running_hour_grows_and_old_hours_are_caught_up_with(bench: Bench) -> None:
    bench.record(HOUR - 3 * HOUR_US, HOUR + 2 * HOUR_US)
    bench.service.run(NEVER)
    grid, content = bench.service.grid_file(CAMERA, HOUR + 5)
    # Half an hour less what is not settled, in whole cells.
    assert sum(at is not None for at in grid.shown_us) == 178
    shown = levels(content, grid)
    assert all(abs(shown[cell] - (40 + cell // 6 * 3)) < 14 for cell in range(178))
    spans = bench.service.grids(CAMERA, Span(start_us=HOUR - 9 * HOUR_US, end_us=HOUR + 9 * HOUR_US))
    assert [(grid.start_us - HOUR) // HOUR_US for grid in spans] == [-3, -2, -1, 0]
    assert [grid.is_complete for grid in spans] == [True, True, True, False]
    asked = bench.archive.asked
    bench.clock.advance(60)
    bench.service.run(NEVER)
    assert bench.archive.asked == asked, "not every time"
    bench.clock.advance(300)
    bench.service.run(NEVER)
    assert bench.archive.asked == asked + 36, "what is new alone"
    bench.clock.advance(1800)
    bench.service.run(NEVER)
    assert bench.service.grid_file(CAMERA, HOUR)[0].is_complete


def test_an_hour_without_key_frames_is_left_alone(bench: Bench) -> None:
    bench.record(HOUR - 2 * HOUR_US, HOUR - HOUR_US)
    bench.archive.without_keys = True
    bench.service.run(NEVER)
    asked = bench.archive.asked
    assert asked == 360
    with pytest.raises(Failure) as failure:
        bench.service.grid_file(CAMERA, HOUR - 2 * HOUR_US)
    assert failure.value.code == "no-thumbnails"
    bench.clock.advance(2 * 3600)
    bench.service.run(NEVER)
    assert bench.archive.asked == asked, "it is not tried again and again"


def test_a_still_that_ends_the_worker_twice_is_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.record(HOUR - 2 * HOUR_US, HOUR - 2 * HOUR_US + 60 * SECOND)
    real = Archive.key_picture_at

    def poisoned(self: Archive, camera_id: str, at_us: int, stream: str) -> Picture:
        if at_us // SECOND % 60 == 29:
            pid = bench.service._maker.worker.pid()  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGKILL)
        return real(self, camera_id, at_us, stream)

    monkeypatch.setattr(Archive, "key_picture_at", poisoned)
    for _ in range(3):
        bench.service.run(NEVER)
        bench.clock.advance(3601)
    grid, _ = bench.service.grid_file(CAMERA, HOUR - 2 * HOUR_US)
    assert [at is not None for at in grid.shown_us[:7]] == [True, True, False, True, True, True, False]


def test_a_full_disk_leaves_what_was_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.record(HOUR, HOUR + HOUR_US)
    bench.service.run(NEVER)
    before = bench.path(HOUR).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.clock.advance(600)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        bench.service.run(NEVER)
    assert bench.path(HOUR).read_bytes() == before
    assert [path.name for path in bench.path(HOUR).parent.iterdir()] == [bench.path(HOUR).name]
    bench.clock.advance(600)
    bench.service.run(NEVER)
    assert bench.path(HOUR).read_bytes() != before


def test_a_nearly_full_disk_is_left_to_the_recordings(bench: Bench, maker: WorkerThumbnails) -> None:
    bench.record(HOUR, HOUR + HOUR_US)
    free = shutil.disk_usage(bench.directory).free
    service = ThumbnailService(
        bench.archive, maker, bench.clock, bench.directory, lambda: [CAMERA], reserve_bytes=free * 2
    )
    service.run(NEVER)
    assert not bench.path(HOUR).exists()


def test_a_damaged_file_is_made_anew(bench: Bench) -> None:
    bench.record(HOUR - 2 * HOUR_US, HOUR - 2 * HOUR_US + 60 * SECOND)
    bench.service.run(NEVER)
    path = bench.path(HOUR - 2 * HOUR_US)
    good = path.read_bytes()
    path.write_bytes(good[:100])
    with pytest.raises(Failure):
        bench.service.grid_file(CAMERA, HOUR - 2 * HOUR_US)
    bench.clock.advance(3601)
    bench.service.run(NEVER)
    assert path.read_bytes() == good


def test_thumbnails_go_with_their_recordings(bench: Bench) -> None:
    bench.record(HOUR - 3 * HOUR_US, HOUR - HOUR_US)
    bench.service.run(NEVER)
    old, kept = bench.path(HOUR - 3 * HOUR_US), bench.path(HOUR - 2 * HOUR_US)
    assert old.exists()
    bench.archive.recorded[CAMERA] = [RecordedRange(start_us=HOUR - 2 * HOUR_US, end_us=HOUR - HOUR_US)]
    bench.clock.advance(3601)
    bench.service.run(NEVER)
    assert (old.exists(), kept.exists()) == (False, True)
    size_bytes = kept.stat().st_size
    assert bench.service.drop_thumbnails(CAMERA, HOUR - 2 * HOUR_US) == size_bytes
    assert bench.service.drop_thumbnails(CAMERA, HOUR - 2 * HOUR_US) == 0


def test_no_path_is_made_of_what_is_no_camera(bench: Bench) -> None:
    for wrong in ("..", "/etc", "a/b"):
        with pytest.raises(Failure) as failure:
            bench.service.grid_file(wrong, HOUR)
        assert failure.value.kind == "not_found"


def test_nothing_is_made_where_it_is_not_wanted(bench: Bench, maker: WorkerThumbnails) -> None:
    bench.record(HOUR, HOUR + HOUR_US)
    ThumbnailService(bench.archive, maker, bench.clock, bench.directory, lambda: [CAMERA], enabled=False).run(NEVER)
    assert list(bench.directory.iterdir()) == []
