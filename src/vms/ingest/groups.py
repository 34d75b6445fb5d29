"""Groups of cameras."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import structlog

from vms.contracts.catalog import CameraRepository
from vms.contracts.clock import Clock
from vms.contracts.keeping import GroupRepository
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.domain.retention import CameraGroup, Retention

log = structlog.get_logger(__name__)
_PAGE = 500


class GroupService:
    """Satisfies `vms.contracts.storage.Groups`."""

    def __init__(self, groups: GroupRepository, cameras: CameraRepository, clock: Clock) -> None:
        self._groups = groups
        self._cameras = cameras
        self._clock = clock

    def create(self, name: str, retention: Retention) -> CameraGroup:
        now_us = self._clock.now_us()
        group_id = make_id(now_us, secrets.token_bytes(8))
        group = CameraGroup(id=group_id, name=name, retention=retention, created_us=now_us, updated_us=now_us)
        self._groups.add(group)
        log.info("group added", group_id=group_id, name=name)
        return group

    def get(self, group_id: str) -> CameraGroup:
        return self._groups.get(group_id)

    def all(self) -> Sequence[CameraGroup]:
        return self._groups.all()

    def change(self, group_id: str, name: str, retention: Retention) -> CameraGroup:
        before = self._groups.get(group_id)
        change = {"name": name, "retention": retention, "updated_us": self._clock.now_us()}
        after = before.model_copy(update=change)
        self._groups.replace(after)
        log.info("group changed", group_id=group_id)
        return after

    def remove(self, group_id: str) -> None:
        self._groups.get(group_id)
        after: str | None = None
        while page := self._cameras.page(after, _PAGE):
            if any(camera.group_id == group_id for camera in page):
                raise Failure("conflict", "cameras are in this group; take them out first", code="group-in-use")
            after = page[-1].id
        self._groups.remove(group_id)
        log.info("group removed", group_id=group_id)
