"""Evidence locks: who may make and release them, and what they hold."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import structlog

from vms.contracts.catalog import CameraRepository
from vms.contracts.clock import Clock
from vms.contracts.keeping import FormerCameraRepository, LockRepository
from vms.domain.errors import Failure, FieldFailure
from vms.domain.ids import make_id
from vms.domain.permissions import Principal, Role
from vms.domain.recordings import Span
from vms.domain.retention import EvidenceLock

log = structlog.get_logger(__name__)


class LockService:
    """Satisfies `vms.contracts.storage.EvidenceLocks`."""

    def __init__(
        self, locks: LockRepository, cameras: CameraRepository, former: FormerCameraRepository, clock: Clock
    ) -> None:
        self._locks = locks
        self._cameras = cameras
        self._former = former
        self._clock = clock
        self._change = threading.Lock()

    def lock(
        self, camera_ids: Sequence[str], span: Span, reason: str, until_us: int | None, owner: str
    ) -> EvidenceLock:
        now_us = self._clock.now_us()
        if until_us is not None and until_us <= now_us:
            raise FieldFailure("/until", "the lock would have ended already", code="lock-ended")
        text = " ".join(reason.split())
        if not text or any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
            raise FieldFailure("/reason", "say in words why this is locked", code="lock-without-reason")
        former = {camera.id for camera in self._former.all()}
        for camera_id in dict.fromkeys(camera_ids):
            if camera_id not in former:
                self._check_camera(camera_id)
        lock = EvidenceLock(
            id=make_id(now_us, secrets.token_bytes(8)),
            camera_ids=tuple(dict.fromkeys(camera_ids)),
            start_us=span.start_us,
            end_us=span.end_us,
            reason=text,
            owner=owner,
            until_us=until_us,
            created_us=now_us,
        )
        self._locks.add(lock)
        log.info("recordings locked", lock_id=lock.id, by=owner, cameras=len(lock.camera_ids))
        return lock

    def get(self, lock_id: str) -> EvidenceLock:
        return self._locks.get(lock_id)

    def page(self, before_id: str | None, limit: int) -> Sequence[EvidenceLock]:
        return self._locks.page(before_id, limit)

    def release(self, lock_id: str, by: Principal) -> EvidenceLock:
        with self._change:
            lock = self._locks.get(lock_id)
            if by.role is not Role.ADMINISTRATOR and by.name.casefold() != lock.owner.casefold():
                raise Failure(
                    "forbidden", "only an administrator or who locked it may release it", code="not-your-lock"
                )
            if lock.released_us is not None:
                return lock
            released = lock.model_copy(update={"released_us": self._clock.now_us(), "released_by": by.name})
            self._locks.replace(released)
        log.info("recordings released", lock_id=lock_id, by=by.name)
        return released

    def _check_camera(self, camera_id: str) -> None:
        try:
            self._cameras.get(camera_id)
        except Failure as failure:
            raise FieldFailure("/camera_ids", failure.detail, code=failure.code) from failure


def locked_spans(locks: Iterable[EvidenceLock], now_us: int) -> Mapping[str, Sequence[Span]]:
    """What is locked of each camera at that instant, in order and apart."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for lock in locks:
        if lock.holds(now_us):
            for camera_id in lock.camera_ids:
                found[camera_id].append((lock.start_us, lock.end_us))
    return {camera_id: _merged(spans) for camera_id, spans in found.items()}


def _merged(spans: Iterable[tuple[int, int]]) -> list[Span]:
    merged: list[Span] = []
    for start_us, end_us in sorted(spans):
        if merged and start_us <= merged[-1].end_us:
            merged[-1] = Span(start_us=merged[-1].start_us, end_us=max(merged[-1].end_us, end_us))
        else:
            merged.append(Span(start_us=start_us, end_us=end_us))
    return merged
