"""The archive's files behind `ArchiveFiles`: the media core's, on made-up recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.archive import make_archive
from vms.adapters.media import MediaEngine
from vms.contracts.files import ArchiveFiles
from vms.contracts.media import CameraSource, EngineSettings, WebRtcSettings
from vms.domain.cameras import StreamSource
from vms.domain.errors import Failure
from vms.domain.recording_policy import StreamName


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    make_archive(tmp_path, ["door"], days=2 / 24)
    return tmp_path


@pytest.fixture
def engine(data_dir: Path) -> Iterator[MediaEngine]:
    engine = MediaEngine(data_dir, EngineSettings(webrtc=WebRtcSettings(udp_port=0)))
    yield engine
    engine.close(1)


def test_what_there_is_and_what_goes(engine: MediaEngine, data_dir: Path) -> None:
    files: ArchiveFiles = engine
    changes = files.file_changes(0)
    assert changes.whole and len(changes.files) == 2 and not changes.removed
    first = changes.files[0]
    assert (first.camera_id, first.stream, first.volume, first.sealed) == ("door", "main", "main", True)
    assert (first.sha256, first.object_key) == (None, None)
    video = data_dir / "storage" / "cameras" / "door" / first.name
    assert first.size_bytes == video.stat().st_size
    assert files.remove_file("door", first.name) > first.size_bytes
    assert not video.exists()
    since = files.file_changes(changes.revision)
    assert not since.whole and not since.files and since.revision > changes.revision
    assert [(removed.camera_id, removed.name) for removed in since.removed] == [("door", first.name)]
    assert files.file_changes(1).whole


def test_refusals_are_failures(engine: MediaEngine) -> None:
    for refused in (
        lambda: engine.remove_file("door", "2020-01-01/video_00.mp4"),
        lambda: engine.hash_file("door", "../door/video_00.mp4", None),
    ):
        with pytest.raises(Failure) as failure:
            refused()
        assert failure.value.kind == "not_found"


def test_a_file_is_hashed_as_it_lies(engine: MediaEngine, data_dir: Path) -> None:
    name = engine.file_changes(0).files[0].name
    video = data_dir / "storage" / "cameras" / "door" / name
    with video.open("rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    assert engine.hash_file("door", name, None) == expected
    assert engine.file_changes(0).files[-1].sha256 == expected


def test_each_stream_is_recorded_in_its_own_way(engine: MediaEngine) -> None:
    source = StreamSource(url="rtsp://127.0.0.1:1/")
    streams: dict[StreamName, StreamSource] = {"main": source, "sub": source}
    engine.set_camera("gate", CameraSource(streams=streams, recording={"main": "continuous", "sub": "buffered"}))
    engine.set_camera("gate", CameraSource(streams=streams, recording={"main": "off"}))
    assert engine.camera_status("gate").recording is False
    engine.remove_camera("gate")
