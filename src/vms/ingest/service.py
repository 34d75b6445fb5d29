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
from vms.contracts.ingest import RecordingState
from vms.contracts.keeping import FormerCameraRepository, GroupRepository, RecordingHistory
from vms.contracts.media import MediaIngest
from vms.contracts.secrets import Sealer
from vms.domain.camera_drafts import CameraDraft, public_form
from vms.domain.cameras import Camera, CameraStatus, SealedCredentials
from vms.domain.errors import Failure, FieldFailure
from vms.domain.ids import make_id
from vms.domain.recording_policy import RecordingMode
from vms.domain.retention import FormerCamera
from vms.ingest import sources
from vms.ingest.merge_patch import merge, names
from vms.ingest.plans import RecordingPlans

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
        history: RecordingHistory,
        groups: GroupRepository,
        former: FormerCameraRepository,
    ) -> None:
        self._catalogue = catalogue
        self._groups = groups
        self._former = former
        self._plans = RecordingPlans(history, clock)
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
                with self._change:
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
        self._check_group(draft.group_id)
        now_us = self._clock.now_us()
        camera_id = make_id(now_us, secrets.token_bytes(8))
        camera = Camera(
            id=camera_id,
            name=draft.name,
            streams=sources.stream_sources(draft),
            credentials=self._seal(camera_id, draft, None),
            recording=draft.recording,
            retention=draft.retention,
            motion=draft.motion,
            analysis=draft.analysis,
            group_id=draft.group_id,
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
            if names(patch, "group_id"):
                self._check_group(draft.group_id)
            keeps_password = not names(patch, "credentials", "password")
            after = before.model_copy(
                update={
                    "name": draft.name,
                    "streams": sources.stream_sources(draft),
                    "credentials": self._seal(camera_id, draft, before.credentials if keeps_password else None),
                    "recording": draft.recording,
                    "retention": draft.retention,
                    "motion": draft.motion,
                    "analysis": draft.analysis,
                    "group_id": draft.group_id,
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
            camera = self._catalogue.get(camera_id)
            # First, so that nothing was done when the media core cannot be reached.
            self._media.remove_camera(camera_id)
            self._former.put(
                FormerCamera(
                    id=camera.id,
                    name=camera.name,
                    retention=camera.retention,
                    group_id=camera.group_id,
                    removed_us=self._clock.now_us(),
                )
            )
            self._catalogue.remove(camera_id)
            self._faults.pop(camera_id, None)
            self._plans.forget(camera_id)
        log.info("camera removed", camera_id=camera_id)

    def replan(self, camera_id: str) -> bool:
        with self._change:
            return self._replan(self._catalogue.get(camera_id))

    def replan_due(self) -> int:
        changed = 0
        with self._change:
            for camera_id in self._plans.due():
                try:
                    changed += self._replan(self._catalogue.get(camera_id))
                except Failure as failure:
                    log.warning("recording not changed", camera_id=camera_id, reason=failure.detail)
        return changed

    def start_recording(self, camera_id: str, seconds: int | None, started_by: str) -> RecordingState:
        with self._change:
            camera = self._catalogue.get(camera_id)
            if all(camera.recording.mode_of(stream) is RecordingMode.OFF for stream in camera.streams):
                raise Failure("conflict", "recording is off for this camera", code="recording-off")
            self._plans.start(camera_id, seconds, started_by)
            self._replan(camera)
            log.info("recording started", camera_id=camera_id, by=started_by, seconds=seconds)
            return self._recording_state(camera)

    def stop_recording(self, camera_id: str) -> RecordingState:
        with self._change:
            camera = self._catalogue.get(camera_id)
            self._plans.stop(camera_id)
            self._replan(camera)
            log.info("recording stopped", camera_id=camera_id)
            return self._recording_state(camera)

    def recording_state(self, camera_id: str) -> RecordingState:
        return self._recording_state(self._catalogue.get(camera_id))

    def _recording_state(self, camera: Camera) -> RecordingState:
        return RecordingState(
            plan=self._plans.current(camera.id) or self._plans.make(camera), started=self._plans.running(camera.id)
        )

    def _replan(self, camera: Camera) -> bool:
        """Puts in force what the camera is to record now; whether that differs from what it did."""
        before = self._plans.current(camera.id)
        after = self._plans.make(camera)
        if before is not None and before.streams == after.streams:
            with self._plans.put_in_force(camera.id, after):
                return False
        self._connect(camera)
        return True

    def _check_group(self, group_id: str | None) -> None:
        if group_id is None:
            return
        try:
            self._groups.get(group_id)
        except Failure as failure:
            raise FieldFailure("/group_id", failure.detail, code=failure.code) from failure

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
        plan = self._plans.make(camera)
        recording = {stream: planned.recording for stream, planned in plan.streams.items()}
        with self._plans.put_in_force(camera.id, plan):
            self._media.set_camera(camera.id, sources.camera_source(camera, password, recording))
        self._faults.pop(camera.id, None)

    def _seal(self, camera_id: str, draft: CameraDraft, kept: SealedCredentials | None) -> SealedCredentials | None:
        if draft.credentials is None:
            return None
        if draft.credentials.password is not None:
            sealed: bytes | None = self._sealer.seal(draft.credentials.password.get_secret_value(), camera_id)
        else:
            sealed = kept.sealed_password if kept is not None else None
        return SealedCredentials(username=draft.credentials.username, sealed_password=sealed)
