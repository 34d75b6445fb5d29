"""Cameras that a storage service knows again after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from vms.adapters.memory.media import MemoryMedia
from vms.adapters.sealing import AesGcmSealer
from vms.contracts.media import CameraSource
from vms.domain.cameras import StreamSource
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.ingest.remembered import RememberedIngest

KEY = b"k" * 32
FIRST, SECOND = (make_id(number, b"camera00") for number in (1, 2))
SOURCE = CameraSource(
    streams={"main": StreamSource(url="rtsp://h/é", transport="udp")},
    username="ana",
    password=SecretStr("s3crét"),
    recording={"main": "buffered"},
)
BARE = CameraSource(streams={"main": StreamSource(url="rtsp://h/2")})


def _again(directory: Path) -> tuple[RememberedIngest, MemoryMedia, int]:
    media = MemoryMedia()
    ingest = RememberedIngest(media, AesGcmSealer(KEY), directory)
    return ingest, media, ingest.start()


def test_cameras_are_known_again(tmp_path: Path) -> None:
    ingest, _, _ = _again(tmp_path / "cameras")
    ingest.set_camera(FIRST, SOURCE)
    ingest.set_camera(SECOND, BARE)
    _, media, count = _again(tmp_path / "cameras")
    assert count == 2
    assert media.sources == {FIRST: SOURCE, SECOND: BARE}
    ingest.set_camera(FIRST, BARE)
    ingest.remove_camera(SECOND)
    ingest.remove_camera(SECOND)
    again, media, _ = _again(tmp_path / "cameras")
    assert media.sources == {FIRST: BARE}
    assert list(again.camera_statuses()) == [FIRST]
    assert again.camera_status(FIRST).state == "connecting"


def test_passwords_lie_sealed(tmp_path: Path) -> None:
    ingest, _, _ = _again(tmp_path)
    ingest.set_camera(FIRST, SOURCE)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    assert "s3crét".encode() not in content and b"rtsp" not in content
    before = file.stat().st_mtime_ns
    ingest.set_camera(FIRST, SOURCE)
    assert file.stat().st_mtime_ns == before, "what is known is not written again"


def test_files_that_cannot_be_read_stop_nobody(tmp_path: Path) -> None:
    ingest, _, _ = _again(tmp_path)
    ingest.set_camera(FIRST, SOURCE)
    ingest.set_camera(SECOND, BARE)
    (tmp_path / f"{FIRST}.sealed").write_bytes(b"torn")
    (tmp_path / f"{make_id(3, b'camera00')}.sealed").write_bytes((tmp_path / f"{SECOND}.sealed").read_bytes())
    (tmp_path / "x.new").write_bytes(b"left by a kill")
    again, media, count = _again(tmp_path)
    assert (count, list(media.sources)) == (1, [SECOND])
    again.set_camera(FIRST, SOURCE)
    assert _again(tmp_path)[2] == 2


@pytest.mark.parametrize("camera_id", ["../../x", "", "a/b", "x" * 300])
def test_identifiers_that_are_none(tmp_path: Path, camera_id: str) -> None:
    ingest, media, _ = _again(tmp_path / "cameras")
    with pytest.raises(Failure) as refused:
        ingest.set_camera(camera_id, BARE)
    assert refused.value.kind == "invalid"
    ingest.remove_camera(camera_id)
    assert media.sources == {}
    assert list((tmp_path / "cameras").iterdir()) == []


def test_what_the_media_core_refuses_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest, media, _ = _again(tmp_path)

    def refuse(*_: object) -> None:
        raise Failure("invalid", "no such URL")

    monkeypatch.setattr(media, "set_camera", refuse)
    with pytest.raises(Failure):
        ingest.set_camera(FIRST, BARE)
    assert list(tmp_path.iterdir()) == []
