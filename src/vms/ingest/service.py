"""Keeps the catalogue of cameras and the media core's connections in step."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from pydantic import SecretStr

from vms.contracts.catalog import CameraRepository
from vms.contracts.clock import Clock
from vms.contracts.media import MediaIngest
from vms.contracts.secrets import Sealer
from vms.domain.camera_drafts import CameraDraft, public_form
from vms.domain.cameras import Camera, CameraStatus, Retention, SealedCredentials
from vms.domain.errors import Failure
from vms.domain.ids import make_id
from vms.ingest import sources
from vms.ingest.merge_patch import merge, names

log = structlog.get_logger(__name__)
_PAGE = 500


class IngestService:
    """Satisfies `vms.contracts.ingest.Cameras`."""

    def __init__(
        self,
        catalogue: CameraRepository,
        media: MediaIngest,
        sealer: Sealer,
        clock: Clock,
        *,
        allow_loopback: bool,
    ) -> None:
        self._catalogue = catalogue
        self._media = media
        self._sealer = sealer
        self._clock = clock
        self._allow_loopback = allow_loopback
        # One change at a time: the catalogue and the media core must see changes of a camera in the same order.
        self._change = threading.Lock()
        # Cameras that could not be handed to the media core, and why.
        self._faults: dict[str, str] = {}

    def start(self) -> int:
        """Connects every camera of the catalogue; how many there are. A camera that cannot be set up does not keep
        the others from starting."""
        count = 0
        for camera in self._all():
            count += 1
            try:
                self._connect(camera)
            except Failure as failure:
                self._faults[camera.id] = failure.detail
                log.error("camera not started", camera_id=camera.id, reason=failure.detail)
        return count

    def reconnect(self) -> None:
        """Tells a media core in another process, which was not there before, of every camera, and takes from it those
        that were removed meanwhile. Raises Failure(unavailable) when it is gone again."""
        known = set(self._media.camera_statuses())
        wanted = [camera.id for camera in self._all()]
        for camera_id in wanted:
            with self._change:
                try:
                    self._connect(self._catalogue.get(camera_id))
                except Failure as failure:
                    if failure.kind == "unavailable":
                        raise
                    self._faults[camera_id] = failure.detail
                    log.error("camera not started", camera_id=camera_id, reason=failure.detail)
        for camera_id in known.difference(wanted):
            self._media.remove_camera(camera_id)
        log.info("cameras told", cameras=len(wanted))

    def create(self, draft: CameraDraft) -> Camera:
        sources.check_allowed(draft, allow_loopback=self._allow_loopback)
        now_us = self._clock.now_us()
        camera_id = make_id(now_us, secrets.token_bytes(8))
        camera = Camera(
            id=camera_id,
            name=draft.name,
            streams=sources.stream_sources(draft),
            credentials=self._seal(camera_id, draft, None),
            recording=draft.recording.mode,
            retention=Retention(**draft.retention.model_dump()),
            created_us=now_us,
            updated_us=now_us,
        )
        with self._change:
            self._catalogue.add(camera)
            try:
                self._connect(camera)
            except BaseException:
                self._catalogue.remove(camera_id)
                raise
        log.info("camera added", camera_id=camera_id, name=camera.name)
        return camera

    def get(self, camera_id: str) -> Camera:
        return self._catalogue.get(camera_id)

    def page(self, after_id: str | None, limit: int) -> Sequence[Camera]:
        return self._catalogue.page(after_id, limit)

    def patch(self, camera_id: str, patch: Mapping[str, Any]) -> Camera:
        with self._change:
            before = self._catalogue.get(camera_id)
            draft = CameraDraft.model_validate(merge(public_form(before), patch))
            # A camera made under a laxer configuration can still be renamed: only what the patch names is checked.
            if names(patch, "streams"):
                sources.check_allowed(draft, allow_loopback=self._allow_loopback)
            if names(patch, "recording"):
                sources.check_recording_mode(draft.recording.mode)
            keeps_password = not names(patch, "credentials", "password")
            after = before.model_copy(
                update={
                    "name": draft.name,
                    "streams": sources.stream_sources(draft),
                    "credentials": self._seal(camera_id, draft, before.credentials if keeps_password else None),
                    "recording": draft.recording.mode,
                    "retention": Retention(**draft.retention.model_dump()),
                    "updated_us": self._clock.now_us(),
                }
            )
            self._catalogue.replace(after)
            try:
                self._connect(after)
            except BaseException:
                self._catalogue.replace(before)
                raise
        log.info("camera changed", camera_id=camera_id, fields=sorted(patch))
        return after

    def remove(self, camera_id: str) -> None:
        with self._change:
            self._catalogue.get(camera_id)
            # First, so that nothing was done when the media core cannot be reached.
            self._media.remove_camera(camera_id)
            self._catalogue.remove(camera_id)
            self._faults.pop(camera_id, None)
        log.info("camera removed", camera_id=camera_id)

    def status(self, camera_id: str) -> CameraStatus:
        camera = self._catalogue.get(camera_id)
        try:
            return self._media.camera_status(camera_id)
        except Failure as failure:
            if failure.kind != "not_found":
                raise
            return self._not_connected(camera)

    def statuses(self) -> Mapping[str, CameraStatus]:
        known = self._media.camera_statuses()
        return {camera.id: known.get(camera.id) or self._not_connected(camera) for camera in self._all()}

    def _not_connected(self, camera: Camera) -> CameraStatus:
        fault = self._faults.get(camera.id)
        return CameraStatus(state="connecting" if fault is None else "error", reason=fault)

    def _all(self) -> Iterator[Camera]:
        after: str | None = None
        while page := self._catalogue.page(after, _PAGE):
            yield from page
            after = page[-1].id

    def _connect(self, camera: Camera) -> None:
        password: SecretStr | None = None
        if camera.credentials is not None and camera.credentials.sealed_password is not None:
            password = SecretStr(self._sealer.unseal(camera.credentials.sealed_password, camera.id))
        self._media.set_camera(camera.id, sources.camera_source(camera, password))
        self._faults.pop(camera.id, None)

    def _seal(self, camera_id: str, draft: CameraDraft, kept: SealedCredentials | None) -> SealedCredentials | None:
        if draft.credentials is None:
            return None
        if draft.credentials.password is not None:
            sealed: bytes | None = self._sealer.seal(draft.credentials.password.get_secret_value(), camera_id)
        else:
            sealed = kept.sealed_password if kept is not None else None
        return SealedCredentials(username=draft.credentials.username, sealed_password=sealed)
