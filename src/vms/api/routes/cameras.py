"""Cameras and their state."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response

from vms.api.dependencies import CameraId, ServicesOf, find_camera, permitted
from vms.api.models import (
    CameraAnswer,
    Cameras,
    RecordingRequest,
    RecordingStateAnswer,
    StatusAnswer,
    decode_cursor,
    encode_cursor,
)
from vms.domain.camera_drafts import CameraDraft
from vms.domain.permissions import Permission, Principal

router = APIRouter(prefix="/api/v1", tags=["cameras"])
_views = Depends(permitted(Permission.VIEW_CAMERAS))
_edits = Depends(permitted(Permission.EDIT_CAMERAS))
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=256, description="next_cursor of the page before")]


@router.get("/cameras", dependencies=[_views])
def list_cameras(part: ServicesOf, limit: Limit = 100, cursor: Cursor = None) -> Cameras:
    """The cameras in the order in which they were added."""
    found = part.cameras.page(decode_cursor(cursor), limit + 1)
    more = len(found) > limit
    items = [CameraAnswer.of(camera) for camera in found[:limit]]
    return Cameras.model_construct(items=items, next_cursor=encode_cursor(items[-1].id) if more else None)


@router.post("/cameras", status_code=201, dependencies=[_edits])
def create_camera(part: ServicesOf, draft: CameraDraft, response: Response) -> CameraAnswer:
    """Adds a camera and connects to it."""
    camera = part.cameras.create(draft)
    response.headers["Location"] = f"/api/v1/cameras/{camera.id}"
    return CameraAnswer.of(camera)


@router.get("/cameras/{camera_id}", dependencies=[_views])
def get_camera(part: ServicesOf, camera_id: CameraId) -> CameraAnswer:
    """A camera."""
    return CameraAnswer.of(find_camera(part, camera_id))


@router.patch("/cameras/{camera_id}", dependencies=[_edits])
def patch_camera(
    part: ServicesOf,
    camera_id: CameraId,
    patch: Annotated[
        dict[str, Any],
        Body(description="JSON merge patch (RFC 7396) of the camera; null removes, what is absent stays"),
    ],
) -> CameraAnswer:
    """Changes a camera. A password that the patch does not name is kept."""
    camera = find_camera(part, camera_id)
    return CameraAnswer.of(part.cameras.patch(camera.id, patch))


@router.delete("/cameras/{camera_id}", status_code=204, dependencies=[_edits])
def delete_camera(part: ServicesOf, camera_id: CameraId) -> Response:
    """Disconnects and forgets a camera. What was recorded stays, under the limits that the camera had last."""
    part.cameras.remove(find_camera(part, camera_id).id)
    return Response(status_code=204)


@router.get("/cameras/{camera_id}/status", dependencies=[_views])
def camera_status(part: ServicesOf, camera_id: CameraId) -> StatusAnswer:
    """What the connection shows at this moment."""
    return StatusAnswer.of(part.cameras.status(find_camera(part, camera_id).id))


@router.get("/cameras/{camera_id}/recording", dependencies=[_views])
def recording_state(part: ServicesOf, camera_id: CameraId) -> RecordingStateAnswer:
    """What the camera records at this moment."""
    return RecordingStateAnswer.of(part.cameras.recording_state(find_camera(part, camera_id).id))


@router.post("/cameras/{camera_id}/recording")
def change_recording(
    part: ServicesOf,
    camera_id: CameraId,
    wanted: RecordingRequest,
    principal: Annotated[Principal, Depends(permitted(Permission.START_RECORDING))],
) -> RecordingStateAnswer:
    """Starts or stops recording by hand. It outlasts a restart of the server; the mode off stays off (409)."""
    camera = find_camera(part, camera_id)
    if wanted.state == "stop":
        return RecordingStateAnswer.of(part.cameras.stop_recording(camera.id))
    return RecordingStateAnswer.of(part.cameras.start_recording(camera.id, wanted.seconds, principal.name))
