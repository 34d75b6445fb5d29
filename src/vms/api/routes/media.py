"""Links, stills and timelines."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from vms.api.dependencies import (
    Authenticated,
    BearerToken,
    CameraId,
    GrantToken,
    ServicesOf,
    allow_media,
    find_camera,
    permitted,
    require,
)
from vms.api.models import LinkAnswer, LinkRequest, TimelineAnswer
from vms.api.times import ApiTime
from vms.contracts.storage import Still
from vms.domain import recordings
from vms.domain.errors import Failure
from vms.domain.permissions import Permission
from vms.domain.time import format_time

router = APIRouter(prefix="/api/v1", tags=["media"])
StreamQuery = Annotated[Literal["main", "sub"], Query()]
AskedStream = Annotated[Literal["main", "sub"] | None, Query(description="main unless the link says otherwise")]
Height = Annotated[int | None, Query(ge=16, le=4320, description="Scale down to so many pixels of height")]
LONGEST_TIMELINE_US = 400 * 86_400_000_000
MOST_TIMELINE_EVENTS = 10_000


@router.post("/cameras/{camera_id}/links")
def create_link(
    part: ServicesOf, principal: Authenticated, camera_id: CameraId, wanted: LinkRequest, request: Request
) -> LinkAnswer:
    """A signed URL for a player that cannot send a header: five minutes to start using it.

    Served now: whep, mp4, and hls of recordings.
    """
    camera = find_camera(part, camera_id)
    recorded = wanted.protocol == "mp4" or wanted.start is not None
    require(principal, Permission.WATCH_RECORDINGS if recorded else Permission.WATCH_LIVE)
    link = part.live.link(
        camera.id,
        wanted.protocol,
        stream=wanted.stream,
        start_us=wanted.start,
        end_us=wanted.end,
        subject=principal.name,
    )
    base = f"{request.url.scheme}://{request.url.netloc}"
    return LinkAnswer.model_construct(url=base + link.path, expires_at=link.expires_us)


@router.get("/cameras/{camera_id}/timeline", dependencies=[Depends(permitted(Permission.WATCH_RECORDINGS))])
def timeline(
    part: ServicesOf, camera_id: CameraId, start: Annotated[ApiTime, Query()], end: Annotated[ApiTime, Query()]
) -> TimelineAnswer:
    """What of [start, end) is recorded; ranges end at the last sample that is safe on the disk. Of its events the
    newest 10,000 are told; `events_cut` says that there are more."""
    camera = find_camera(part, camera_id)
    span = recordings.span(start, end, longest_us=LONGEST_TIMELINE_US)
    newest = part.events.marks(camera.id, span.start_us, span.end_us, MOST_TIMELINE_EVENTS + 1)
    return TimelineAnswer.of(
        part.archive.timeline(camera.id, span),
        newest[:MOST_TIMELINE_EVENTS][::-1],
        events_cut=len(newest) > MOST_TIMELINE_EVENTS,
    )


@router.get("/cameras/{camera_id}/snapshot.jpg", response_class=Response)
def snapshot(
    part: ServicesOf,
    camera_id: CameraId,
    header_token: BearerToken,
    token: GrantToken = None,
    stream: AskedStream = None,
    height: Height = None,
) -> Response:
    """The newest key frame as JPEG; 409 while the camera shows nothing."""
    name = allow_media(part, header_token, token, camera_id, "live", first=True).choose_stream(stream)
    camera = find_camera(part, camera_id)
    with part.still_slot():
        try:
            still = part.live.snapshot(camera.id, name, height)
        except Failure as failure:
            raise _still_failure(failure) from failure
    return _jpeg(still, "no-store")


@router.get("/cameras/{camera_id}/frame.jpg", response_class=Response)
def frame(
    part: ServicesOf,
    camera_id: CameraId,
    at: Annotated[ApiTime, Query(description="RFC 3339")],
    header_token: BearerToken,
    token: GrantToken = None,
    stream: AskedStream = None,
    height: Height = None,
) -> Response:
    """The picture shown at an instant as JPEG; 404 where nothing is recorded."""
    admitted = allow_media(part, header_token, token, camera_id, "playback", first=True)
    admitted.check_instant(at)
    name = admitted.choose_stream(stream)
    camera = find_camera(part, camera_id)
    with part.still_slot():
        try:
            still = part.archive.frame_at(camera.id, at, name, height)
        except Failure as failure:
            raise _still_failure(failure) from failure
    return _jpeg(still, "private, max-age=60")


def _still_failure(failure: Failure) -> Failure:
    """A picture that cannot be had is the camera's state, not the server's fault."""
    if failure.kind in {"not_found", "conflict", "exhausted"}:
        return failure
    return Failure("conflict", f"no picture: {failure.detail}", code="no-picture")


def _jpeg(still: Still, cache: str) -> Response:
    headers = {"Vms-Captured-At": format_time(still.captured_us), "Cache-Control": cache}
    return Response(still.jpeg, media_type="image/jpeg", headers=headers)
