"""CameraRepository and ExportRepository."""

from __future__ import annotations

import pytest

from vms.adapters.memory.catalog import MemoryCameraRepository, MemoryExportRepository
from vms.adapters.sql import SqlCameraRepository, SqlExportRepository
from vms.contracts.catalog import CameraRepository, ExportRepository
from vms.domain.cameras import Camera, SealedCredentials, StreamSource
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.recording_policy import RecordingMode, RecordingPolicy
from vms.domain.recordings import Export, ExportFile, Span
from vms.domain.retention import Retention


def _id(number: int) -> str:
    return make_id(number * 1_000_000, b"\0" * 8)


def _camera(number: int, **changes: object) -> Camera:
    camera = Camera(
        id=_id(number),
        name=f"camera {number}",
        streams={
            "main": StreamSource(url="rtsp://192.0.2.1/é", transport="udp"),
            "sub": StreamSource(url="rtsp://192.0.2.1/b"),
        },
        credentials=SealedCredentials(username="u", sealed_password=b"\0\xff"),
        recording=RecordingPolicy.model_validate(
            {
                "mode": RecordingMode.OFF,
                "streams": {"main": "event"},
                "schedule": {"time_zone": "Europe/Berlin", "week": {"mon": [{"from": "08:00", "to": "24:00"}]}},
                "event_types": ["line_crossed"],
            }
        ),
        retention=Retention(days=3, max_bytes=2**50, min_days=1, main_days=2),
        group_id=_id(9),
        created_us=number,
        updated_us=2**53 + 1,
    )
    return camera.model_copy(update=changes)


@pytest.fixture(params=["memory", "sql"])
def cameras(request: pytest.FixtureRequest) -> CameraRepository:
    if request.param == "memory":
        return MemoryCameraRepository()
    return SqlCameraRepository(request.getfixturevalue("database"))


def test_a_camera_comes_back_as_it_was(cameras: CameraRepository) -> None:
    whole = _camera(1)
    bare = _camera(2, credentials=None, retention=Retention(), streams={"main": StreamSource(url="rtsp://h/")})
    half = _camera(3, credentials=SealedCredentials(username="u"))
    for camera in (whole, bare, half):
        cameras.add(camera)
        assert cameras.get(camera.id) == camera


def test_names_are_unique_without_regard_to_case(cameras: CameraRepository) -> None:
    cameras.add(_camera(1, name="Straße"))
    cameras.add(_camera(2, name="other"))
    with pytest.raises(Failure, match="name") as refused:
        cameras.add(_camera(3, name="STRASSE"))
    assert (refused.value.kind, refused.value.code) == ("conflict", "camera-name-taken")
    with pytest.raises(Failure) as refused:
        cameras.replace(_camera(2, name="straße"))
    assert refused.value.code == "camera-name-taken"
    cameras.replace(_camera(1, name="STRASSE"))
    cameras.remove(_id(1))
    cameras.add(_camera(3, name="strasse"))


def test_what_is_not_there(cameras: CameraRepository) -> None:
    for action in (
        lambda: cameras.get(_id(1)),
        lambda: cameras.replace(_camera(1)),
        lambda: cameras.remove(_id(1)),
    ):
        with pytest.raises(Failure) as missing:
            action()
        assert (missing.value.kind, missing.value.code) == ("not_found", "camera-not-found")


def test_pages_follow_the_identifiers(cameras: CameraRepository) -> None:
    for number in (3, 1, 2):
        cameras.add(_camera(number))
    assert [camera.id for camera in cameras.page(None, 2)] == [_id(1), _id(2)]
    assert [camera.id for camera in cameras.page(_id(2), 2)] == [_id(3)]
    assert list(cameras.page(_id(3), 2)) == []
    cameras.remove(_id(1))
    assert [camera.id for camera in cameras.page(_id(1), 9)] == [_id(2), _id(3)]


def _export(number: int, **changes: object) -> Export:
    export = Export(
        id=_id(number),
        camera_ids=["a", "b"],
        span=Span(start_us=1, end_us=2**53),
        format="zip",
        state="running",
        progress=0.25,
        bytes_written=2**40,
        owner="ana",
        created_us=number,
        updated_us=number,
    )
    return export.model_copy(update=changes)


@pytest.fixture(params=["memory", "sql"])
def exports(request: pytest.FixtureRequest) -> ExportRepository:
    if request.param == "memory":
        return MemoryExportRepository()
    return SqlExportRepository(request.getfixturevalue("database"))


def test_an_export_comes_back_as_it_was(exports: ExportRepository) -> None:
    export = _export(1)
    exports.add(export)
    assert exports.get(export.id) == export
    files = [ExportFile(name="ä.mp4", size_bytes=2**40, sha256="0" * 64)]
    done = _export(1, state="done", path="/x/ä.zip", sha256="f" * 64, files=files, error="e", progress=1.0)
    exports.replace(done)
    assert exports.get(export.id) == done
    exports.remove(export.id)
    for action in (
        lambda: exports.get(export.id),
        lambda: exports.replace(export),
        lambda: exports.remove(export.id),
    ):
        with pytest.raises(Failure) as missing:
            action()
        assert missing.value.code == "export-not-found"


def test_the_newest_exports_come_first(exports: ExportRepository) -> None:
    for number, state in ((2, "queued"), (1, "done"), (3, "cancelled"), (4, "running"), (5, "failed")):
        exports.add(_export(number, state=state))
    assert [export.id for export in exports.page(None, 2)] == [_id(5), _id(4)]
    assert [export.id for export in exports.page(_id(4), 9)] == [_id(3), _id(2), _id(1)]
    assert {export.id for export in exports.unfinished()} == {_id(2), _id(4)}
