"""Volumes, and videos in an object storage that Python reads, of the media core."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import vms_media

from vms.adapters.media import MediaEngine
from vms.contracts.files import Volume
from vms.contracts.media import EngineSettings, WebRtcSettings
from vms.domain.errors import Failure

HOUR_US = 3_600_000_000
START_US = int(datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()) * 1_000_000
NAME = "2026-11-23/video_10.mp4"


def _settings(*volumes: Volume) -> EngineSettings:
    return EngineSettings(webrtc=WebRtcSettings(udp_port=0), volumes=volumes)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[MediaEngine]:
    """One hour in {data_dir}/storage, and an empty volume `second`."""
    vms_media.make_sparse_archive(str(tmp_path), "1", START_US, START_US + HOUR_US)
    made = MediaEngine(tmp_path, _settings(Volume(name="second", path=str(tmp_path / "second"), reserve_bytes=0)))
    yield made
    made.close(1)


def test_volumes_are_told_with_their_state(engine: MediaEngine, tmp_path: Path) -> None:
    second, main = engine.volumes()
    assert (second.name, second.path, second.state, second.tier) == ("second", str(tmp_path / "second"), "ok", "fast")
    assert (main.name, main.path, main.state, main.weight) == ("main", str(tmp_path / "storage"), "ok", 0)
    assert second.recorded_bytes == 0
    assert main.recorded_bytes > 1_000_000_000
    metrics = engine.media_metrics()
    assert [volume.name for volume in metrics.volumes] == ["second", "main"]
    assert metrics.disk_total_bytes == main.total_bytes, "both lie on one file system"


def test_volumes_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure) as refused:
        MediaEngine(tmp_path, _settings(Volume(name="a", path="/x"), Volume(name="a", path="/y")))
    assert refused.value.kind == "invalid"


def test_a_video_in_the_object_storage_is_read_through_python(engine: MediaEngine, tmp_path: Path) -> None:
    video = tmp_path / "storage" / "cameras" / "1" / NAME
    kept = tmp_path / "object"
    with pytest.raises(Failure) as without:
        engine.use_object("1", NAME, "key")
    assert without.value.kind == "conflict"
    at_us = START_US + 1_800_000_000
    before = engine.picture_at("1", at_us, "main")
    asked: list[tuple[str, int, int]] = []
    readers: set[int] = set()

    def read(key: str, offset: int, length: int) -> bytes:
        if key != "key":
            raise OSError("no such object")
        asked.append((key, offset, length))
        readers.add(threading.get_ident())
        with kept.open("rb") as source:
            source.seek(offset)
            return source.read(length)

    engine.read_objects_with(read)
    kept.hardlink_to(video)
    with pytest.raises(Failure) as unknown:
        engine.use_object("1", NAME, "other")
    assert unknown.value.kind == "unavailable"
    assert "no such object" in unknown.value.detail
    assert video.exists()
    size = video.stat().st_size
    assert engine.use_object("1", NAME, "key") == size
    assert not video.exists()
    (file,) = engine.file_changes(0).files
    assert (file.object_key, file.size_bytes, file.volume) == ("key", size, "main")
    asked.clear()
    assert engine.picture_at("1", at_us, "main") == before
    assert asked
    assert all(length <= 4 << 20 for _, _, length in asked)


@pytest.mark.parametrize("answer", [b"", b"too much" * 1_000_000, None, "text", 7])
def test_whatever_a_reader_answers_is_no_more_than_unavailable(engine: MediaEngine, answer: object) -> None:
    engine.read_objects_with(lambda _key, _offset, _length: answer)  # type: ignore[arg-type,return-value]
    with pytest.raises(Failure) as refused:
        engine.use_object("1", NAME, "key")
    assert refused.value.kind == "unavailable"


def test_moves_that_cannot_be_are_told_apart(tmp_path: Path) -> None:
    vms_media.make_sparse_archive(str(tmp_path), "1", START_US, START_US + HOUR_US)
    full = Volume(name="full", path=str(tmp_path / "full"), reserve_bytes=1 << 60)
    engine = MediaEngine(tmp_path, _settings(full))
    try:
        for volume, kind in (("nowhere", "not_found"), ("full", "exhausted")):
            with pytest.raises(Failure) as refused:
                engine.move_file("1", NAME, volume, None)
            assert refused.value.kind == kind
        engine.move_file("1", NAME, "main", None)
        (file,) = engine.file_changes(0).files
        assert file.volume == "main", "where it is already"
    finally:
        engine.close(1)
