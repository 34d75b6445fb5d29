"""What is kept: the disk and its volumes, groups of cameras and their limits, evidence locks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from vms.api.dependencies import ServicesOf, permitted
from vms.api.keeping_models import (
    GroupAnswer,
    GroupPatch,
    GroupRequest,
    GroupsAnswer,
    LockAnswer,
    LockRequest,
    LocksAnswer,
    StorageAnswer,
)
from vms.api.models import decode_cursor, encode_cursor
from vms.contracts.storage import KeepingReport
from vms.domain import recordings
from vms.domain.errors import Failure, FieldFailure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission, Principal

router = APIRouter(prefix="/api/v1")
_views = Depends(permitted(Permission.VIEW_CAMERAS))
_edits = Depends(permitted(Permission.EDIT_CAMERAS))
Locker = Annotated[Principal, Depends(permitted(Permission.LOCK_EVIDENCE))]


@router.get("/storage", dependencies=[_views], tags=["storage"])
def storage_usage(part: ServicesOf) -> StorageAnswer:
    """The disk, its volumes and how long they last, and what each camera takes."""
    report = part.keeping.report() if part.keeping is not None else KeepingReport()
    return StorageAnswer.of(part.archive.usage(), report)


@router.get("/groups", dependencies=[_views], tags=["groups"])
def list_groups(part: ServicesOf) -> GroupsAnswer:
    """All groups of cameras."""
    return GroupsAnswer.model_construct(items=[GroupAnswer.of(group) for group in part.groups.all()], next_cursor=None)


@router.post("/groups", status_code=201, dependencies=[_edits], tags=["groups"])
def create_group(part: ServicesOf, wanted: GroupRequest, response: Response) -> GroupAnswer:
    """Adds a group; cameras join it by their group_id."""
    group = part.groups.create(wanted.name, wanted.retention)
    response.headers["Location"] = f"/api/v1/groups/{group.id}"
    return GroupAnswer.of(group)


@router.get("/groups/{group_id}", dependencies=[_views], tags=["groups"])
def get_group(part: ServicesOf, group_id: str) -> GroupAnswer:
    """A group."""
    return GroupAnswer.of(part.groups.get(_known_form(group_id, "group")))


@router.patch("/groups/{group_id}", dependencies=[_edits], tags=["groups"])
def patch_group(part: ServicesOf, group_id: str, patch: GroupPatch) -> GroupAnswer:
    """Changes a group's name or limits; limits are replaced as a whole."""
    group = part.groups.get(_known_form(group_id, "group"))
    return GroupAnswer.of(part.groups.change(group.id, patch.name or group.name, patch.retention or group.retention))


@router.delete("/groups/{group_id}", status_code=204, dependencies=[_edits], tags=["groups"])
def delete_group(part: ServicesOf, group_id: str) -> Response:
    """Removes a group that no camera is in (409 otherwise)."""
    part.groups.remove(_known_form(group_id, "group"))
    return Response(status_code=204)


@router.get("/evidence-locks", tags=["evidence locks"])
def list_locks(
    part: ServicesOf,
    _: Locker,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=256)] = None,
) -> LocksAnswer:
    """The locks, newest first, released ones included."""
    found = part.locks.page(decode_cursor(cursor), limit + 1)
    items = [LockAnswer.of(lock, part.clock.now_us()) for lock in found[:limit]]
    more = len(found) > limit
    return LocksAnswer.model_construct(items=items, next_cursor=encode_cursor(items[-1].id) if more else None)


@router.post("/evidence-locks", status_code=201, tags=["evidence locks"])
def create_lock(part: ServicesOf, principal: Locker, wanted: LockRequest, response: Response) -> LockAnswer:
    """Locks what cameras recorded, and will record, within a time: no limit removes it, however full the disk."""
    for camera_id in wanted.camera_ids:
        if not is_id(camera_id):
            raise FieldFailure("/camera_ids", "no camera has this identifier", code="camera-not-found")
    span = recordings.span(wanted.start, wanted.end)
    lock = part.locks.lock(wanted.camera_ids, span, wanted.reason, wanted.until, principal.name)
    response.headers["Location"] = f"/api/v1/evidence-locks/{lock.id}"
    return LockAnswer.of(lock, part.clock.now_us())


@router.get("/evidence-locks/{lock_id}", tags=["evidence locks"])
def get_lock(part: ServicesOf, _: Locker, lock_id: str) -> LockAnswer:
    """A lock."""
    return LockAnswer.of(part.locks.get(_known_form(lock_id, "lock")), part.clock.now_us())


@router.delete("/evidence-locks/{lock_id}", tags=["evidence locks"])
def release_lock(part: ServicesOf, principal: Locker, lock_id: str) -> LockAnswer:
    """Releases a lock: administrators any, others their own. It stays in the list with who released it."""
    return LockAnswer.of(part.locks.release(_known_form(lock_id, "lock"), principal), part.clock.now_us())


def _known_form(identifier: str, what: str) -> str:
    if not is_id(identifier):
        named = "evidence lock" if what == "lock" else what
        raise Failure("not_found", f"no {named} has this identifier", code=f"{what}-not-found")
    return identifier
