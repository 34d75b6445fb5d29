"""Understanding pictures: what was found, how it goes, what it is done with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from vms.api.analysis_models import (
    STEPS_US,
    AnalysedFrameAnswer,
    Counts,
    Detections,
    Devices,
    ModelAnswer,
    Models,
    PoolAnswer,
    Step,
)
from vms.api.dependencies import CameraId, Services, ServicesOf, find_camera, permitted
from vms.api.routes.events import CameraIds, checked_camera_ids
from vms.api.times import ApiTime
from vms.contracts.analysis import Analysis, CameraAnalysis, HeatMap
from vms.domain import recordings
from vms.domain.errors import Failure, FieldFailure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission
from vms.domain.recordings import Span
from vms.domain.time import format_time, parse_time

router = APIRouter(prefix="/api/v1", tags=["analysis"])
_views = Depends(permitted(Permission.VIEW_CAMERAS))
_watches = Depends(permitted(Permission.WATCH_RECORDINGS))
_operates = Depends(permitted(Permission.READ_METRICS))
DAY_US = 86_400_000_000
LONGEST_DETECTIONS_US = 7 * DAY_US
LONGEST_HEAT_US = DAY_US
LONGEST_COUNTS_US = 400 * DAY_US
MOST_STEPS = 10_000
Start = Annotated[ApiTime, Query()]
End = Annotated[ApiTime, Query()]


def analysis_of(part: Services) -> Analysis:
    """What understands pictures. Raises Failure(conflict) where nothing does."""
    if part.analysis is None:
        raise Failure(
            "conflict",
            "pictures are not understood by this server: ai.enabled is false, or its cameras are connected elsewhere",
            code="analysis-off",
        )
    return part.analysis


@router.get("/cameras/{camera_id}/analysis", dependencies=[_views])
def camera_analysis(part: ServicesOf, camera_id: CameraId) -> CameraAnalysis:
    """How it goes with a camera's pictures: from the frame's arrival to its tracks and events, of the last minute."""
    camera = find_camera(part, camera_id)
    if part.analysis is None:
        reason = "ai.enabled is false, or the server's cameras are connected elsewhere"
        return CameraAnalysis(reason=reason if camera.analysis.enabled else None)
    return part.analysis.status(camera.id)


@router.get("/cameras/{camera_id}/detections", dependencies=[_watches])
def detections(
    part: ServicesOf,
    camera_id: CameraId,
    start: Start,
    end: End,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    cursor: Annotated[str | None, Query(max_length=64, description="next_cursor of the page before")] = None,
) -> Detections:
    """The pictures of [start, end) that were looked at, a week at most, with what was followed in them."""
    camera = find_camera(part, camera_id)
    span = recordings.span(start, end, longest_us=LONGEST_DETECTIONS_US)
    if cursor is not None:
        span = Span(start_us=_decoded(cursor, span), end_us=span.end_us)
    found = analysis_of(part).frames(camera.id, span, limit + 1)
    more = len(found) > limit
    return Detections.model_construct(
        items=[AnalysedFrameAnswer.of(frame) for frame in found[:limit]],
        next_cursor=format_time(found[limit].at_us) if more else None,
    )


def _decoded(cursor: str, span: Span) -> int:
    """The time that the next page begins with. Raises FieldFailure for a cursor that is not of this list."""
    try:
        at_us = parse_time(cursor)
    except ValueError:
        at_us = -1
    if not span.start_us <= at_us < span.end_us:
        raise FieldFailure("/cursor", "not a cursor of this list", code="bad-cursor")
    return at_us


@router.get("/cameras/{camera_id}/heat-map", dependencies=[_watches])
def heat_map(part: ServicesOf, camera_id: CameraId, start: Start, end: End) -> HeatMap:
    """Where in the picture things stood in [start, end), a day at most: seconds per cell, row by row."""
    camera = find_camera(part, camera_id)
    return analysis_of(part).heat_map(camera.id, recordings.span(start, end, longest_us=LONGEST_HEAT_US))


@router.get("/analytics/counts", dependencies=[_watches])
def counts(
    part: ServicesOf,
    start: Start,
    end: End,
    camera_id: CameraIds = [],  # noqa: B006 (FastAPI copies it)
    step: Annotated[Step, Query(description="Steps begin with `start`, which is cut to its minute")] = "hour",
) -> Counts:
    """How many were seen, crossed lines and were in zones, by steps of time; 400 days and 10,000 steps at most."""
    analysis = analysis_of(part)
    minute_us = STEPS_US["minute"]
    span = recordings.span(start - start % minute_us, end, longest_us=LONGEST_COUNTS_US + minute_us)
    step_us = STEPS_US[step]
    if (span.end_us - span.start_us) // step_us > MOST_STEPS:
        raise FieldFailure("/step", f"the span has more than {MOST_STEPS} steps", code="too-many-steps")
    camera_ids = checked_camera_ids(camera_id) or None
    return Counts.of(analysis.counts(camera_ids, span, step_us))


@router.get("/events/{event_id}/still.jpg", dependencies=[_watches], response_class=Response)
def event_still(part: ServicesOf, event_id: str) -> Response:
    """The best frame of an event; 404 where there is none. `Vms-Captured-At` tells when it was taken, `Vms-Box` where
    in it what the event is about is: left, top, right, bottom, 0–1."""
    if not is_id(event_id):
        raise Failure("not_found", "no event has this identifier", code="event-not-found")
    still = analysis_of(part).event_still(event_id)
    # A better one may come while the event goes on.
    headers = {"Vms-Captured-At": format_time(still.taken_us), "Cache-Control": "private, max-age=10"}
    if still.box is not None:
        box = still.box
        headers["Vms-Box"] = ",".join(f"{value:.4f}" for value in (box.left, box.top, box.right, box.bottom))
    return Response(still.jpeg, media_type="image/jpeg", headers=headers)


@router.get("/ai/models", dependencies=[_operates])
def models(part: ServicesOf) -> Models:
    """The models that are installed, and those of the catalogue that can be."""
    return Models.model_construct(
        items=[ModelAnswer.of(known) for known in analysis_of(part).models()], next_cursor=None
    )


@router.get("/ai/devices", dependencies=[_operates])
def devices(part: ServicesOf) -> Devices:
    """The devices that run models, why they were chosen, and how they do."""
    return Devices.model_construct(items=list(analysis_of(part).pool().devices), next_cursor=None)


@router.get("/ai/pool", dependencies=[_operates])
def pool(part: ServicesOf) -> PoolAnswer:
    """All devices together."""
    return PoolAnswer.of(analysis_of(part).pool())
