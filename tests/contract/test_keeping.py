"""RecordingHistory, GroupRepository, LockRepository and FormerCameraRepository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text

from vms.adapters.memory.keeping import (
    MemoryFormerCameraRepository,
    MemoryGroupRepository,
    MemoryLockRepository,
    MemoryRecordingHistory,
)
from vms.adapters.sql import (
    SqlCameraRepository,
    SqlFormerCameraRepository,
    SqlGroupRepository,
    SqlLockRepository,
    SqlRecordingHistory,
)
from vms.contracts.keeping import (
    FormerCameraRepository,
    GroupRepository,
    LockRepository,
    ManualRecording,
    RecordingHistory,
    RecordingSpan,
)
from vms.domain.cameras import Camera, StreamSource
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.recording_policy import RecordingMode, RecordingPolicy, Wanted
from vms.domain.retention import CameraGroup, EvidenceLock, FormerCamera, Retention


@dataclass
class Repositories:
    history: RecordingHistory
    groups: GroupRepository
    locks: LockRepository
    former: FormerCameraRepository


@pytest.fixture(params=["memory", "sql"])
def kept(request: pytest.FixtureRequest) -> Repositories:
    if request.param == "memory":
        return Repositories(
            MemoryRecordingHistory(), MemoryGroupRepository(), MemoryLockRepository(), MemoryFormerCameraRepository()
        )
    database: Engine = request.getfixturevalue("database")
    return Repositories(
        SqlRecordingHistory(database),
        SqlGroupRepository(database),
        SqlLockRepository(database),
        SqlFormerCameraRepository(database),
    )


def _id(number: int) -> str:
    return make_id(number * 1_000_000, b"\0" * 8)


def _span(number: int, **changes: object) -> RecordingSpan:
    span = RecordingSpan(
        id=_id(number),
        camera_id="a",
        stream="main",
        kind="buffered",
        start_us=number,
        wanted=Wanted(pre_event_s=60, post_event_s=30, event_types=("motion", "line.crossed")),
    )
    return span.model_copy(update=changes)


def test_spans_begin_end_and_are_judged(kept: Repositories) -> None:
    first, second = _span(1), _span(2, kind="continuous", wanted=None, camera_id="b")
    third = _span(3, wanted=Wanted(pre_event_s=0, post_event_s=0))
    kept.history.change_spans([second, first], {})
    assert list(kept.history.spans()) == [first, second]
    kept.history.change_spans([third], {first.id: 2**53})
    kept.history.judge_spans({first.id: 7, "unknown": 8})
    ended = first.model_copy(update={"end_us": 2**53, "judged_us": 7})
    assert list(kept.history.spans()) == [ended, second, third]
    assert list(kept.history.open_spans("a")) == [third]
    kept.history.remove_spans([first.id, "unknown"])
    assert list(kept.history.spans()) == [second, third]


def test_recordings_by_hand(kept: Repositories) -> None:
    first = ManualRecording(id=_id(1), camera_id="a", start_us=1, started_by="ona")
    second = ManualRecording(id=_id(2), camera_id="b", start_us=2, end_us=9, started_by="otto")
    for entry in (second, first):
        kept.history.add_manual(entry)
    assert list(kept.history.manual()) == [first, second]
    kept.history.end_manual(first.id, 5)
    assert list(kept.history.manual("a")) == [first.model_copy(update={"end_us": 5})]
    kept.history.remove_manual([first.id])
    assert list(kept.history.manual()) == [second]
    assert [second.runs(8), second.runs(9), first.runs(2**53)] == [True, False, True]


def _group(number: int, name: str) -> CameraGroup:
    return CameraGroup(id=_id(number), name=name, created_us=1, updated_us=2)


def test_groups(kept: Repositories) -> None:
    yard = CameraGroup(id=_id(1), name="Straße", retention=Retention(days=3, min_days=1), created_us=1, updated_us=2)
    other = CameraGroup(id=_id(2), name="Yard", created_us=1, updated_us=2)
    kept.groups.add(other)
    kept.groups.add(yard)
    assert list(kept.groups.all()) == [yard, other]
    for change, group in ((kept.groups.add, _group(3, "STRASSE")), (kept.groups.replace, _group(2, "straße"))):
        with pytest.raises(Failure) as taken:
            change(group)
        assert (taken.value.kind, taken.value.code) == ("conflict", "group-name-taken")
    kept.groups.replace(yard.model_copy(update={"retention": Retention()}))
    assert kept.groups.get(yard.id).retention == Retention()
    kept.groups.remove(yard.id)
    actions: list[Callable[[], object]] = [
        lambda: kept.groups.get(yard.id),
        lambda: kept.groups.replace(yard),
        lambda: kept.groups.remove(yard.id),
    ]
    for action in actions:
        with pytest.raises(Failure) as missing:
            action()
        assert (missing.value.kind, missing.value.code) == ("not_found", "group-not-found")


def test_locks(kept: Repositories) -> None:
    locks = [
        EvidenceLock(
            id=_id(number),
            camera_ids=("a", "b"),
            start_us=1,
            end_us=2**53,
            reason="né",
            owner="ona",
            until_us=None if number == 1 else 50,
            created_us=number,
        )
        for number in (1, 2, 3)
    ]
    for lock in locks:
        kept.locks.add(lock)
    assert list(kept.locks.page(None, 2)) == [locks[2], locks[1]]
    assert list(kept.locks.page(_id(2), 2)) == [locks[0]]
    released = locks[1].model_copy(update={"released_us": 9, "released_by": "admin"})
    kept.locks.replace(released)
    assert kept.locks.get(released.id) == released
    assert sorted(lock.id for lock in kept.locks.unreleased()) == [_id(1), _id(3)]
    actions: list[Callable[[], object]] = [
        lambda: kept.locks.get(_id(9)),
        lambda: kept.locks.replace(locks[0].model_copy(update={"id": _id(9)})),
    ]
    for action in actions:
        with pytest.raises(Failure) as missing:
            action()
        assert missing.value.code == "lock-not-found"


def test_removed_cameras(kept: Repositories) -> None:
    camera = FormerCamera(id=_id(1), name="Gate", retention=Retention(days=7), group_id=_id(2), removed_us=5)
    kept.former.put(camera)
    kept.former.put(camera.model_copy(update={"name": "Door"}))
    assert list(kept.former.all()) == [camera.model_copy(update={"name": "Door"})]
    kept.former.remove(camera.id)
    kept.former.remove(camera.id)
    assert list(kept.former.all()) == []


def test_a_policy_that_is_not_understood_records(database: Engine) -> None:
    """A zone that this machine does not know, as after a move: the camera can still be read, and records."""
    cameras = SqlCameraRepository(database)
    for number, mode in ((1, "motion"), (2, "off")):
        cameras.add(
            Camera(
                id=_id(number),
                name=str(number),
                streams={"main": StreamSource(url="rtsp://h/")},
                recording=RecordingPolicy(mode=RecordingMode(mode)),
                created_us=1,
                updated_us=1,
            )
        )
    with database.begin() as connection:
        connection.execute(text("""UPDATE cameras SET recording = '{"schedule": {"time_zone": "Europe/Atlantis"}}'"""))
    assert [camera.recording.mode.value for camera in cameras.page(None, 9)] == ["continuous", "off"]
    with database.begin() as connection:
        connection.execute(text("UPDATE cameras SET recording = NULL"))
    assert [camera.recording.mode.value for camera in cameras.page(None, 9)] == ["motion", "off"]
