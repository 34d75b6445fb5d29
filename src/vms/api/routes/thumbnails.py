"""Stills for scrubbing: a grid per camera and hour."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel

from vms.api.dependencies import CameraId, ServicesOf, find_camera, permitted
from vms.api.times import ApiTime
from vms.domain import recordings
from vms.domain.permissions import Permission
from vms.domain.thumbnails import ThumbnailGrid
from vms.domain.time import format_time

router = APIRouter(prefix="/api/v1", tags=["media"], dependencies=[Depends(permitted(Permission.WATCH_RECORDINGS))])
LONGEST_SPAN_US = 7 * 86_400_000_000


class ThumbnailGridAnswer(BaseModel):
    """One hour's stills: cell k, row by row from the upper left, is of the seconds [k, k + 1) × period_s."""

    start: ApiTime
    # What lies before is in it; it grows while the hour runs.
    made_until: ApiTime
    url: str
    columns: int
    rows: int
    cell_width: int
    cell_height: int
    period_s: int
    # When each cell's picture was taken; null for a black one.
    times: list[ApiTime | None]

    @classmethod
    def of(cls, camera_id: str, grid: ThumbnailGrid) -> ThumbnailGridAnswer:
        """The answer for a grid."""
        start = format_time(grid.start_us)
        return cls.model_construct(
            start=grid.start_us,
            made_until=grid.made_until_us,
            url=f"/api/v1/cameras/{camera_id}/thumbnails.webp?at={start}",
            columns=grid.columns,
            rows=grid.rows,
            cell_width=grid.cell_width,
            cell_height=grid.cell_height,
            period_s=grid.period_us // 1_000_000,
            times=list(grid.shown_us),
        )


class ThumbnailGrids(BaseModel):
    """The hours of which there are stills."""

    items: list[ThumbnailGridAnswer]


@router.get("/cameras/{camera_id}/thumbnails")
def thumbnails(
    part: ServicesOf, camera_id: CameraId, start: Annotated[ApiTime, Query()], end: Annotated[ApiTime, Query()]
) -> ThumbnailGrids:
    """The grids of the hours that touch [start, end), a week at most."""
    camera = find_camera(part, camera_id)
    span = recordings.span(start, end, longest_us=LONGEST_SPAN_US)
    grids = part.thumbnails.grids(camera.id, span)
    return ThumbnailGrids.model_construct(items=[ThumbnailGridAnswer.of(camera.id, grid) for grid in grids])


@router.get("/cameras/{camera_id}/thumbnails.webp", response_class=Response, responses={304: {"description": "Known"}})
def thumbnails_image(
    part: ServicesOf,
    camera_id: CameraId,
    at: Annotated[ApiTime, Query(description="Any instant of the hour, RFC 3339")],
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The stills of an hour as one WebP; 404 where there are none. `docs/format/thumbnails.md` says what is in it."""
    camera = find_camera(part, camera_id)
    grid, content = part.thumbnails.grid_file(camera.id, at)
    headers = {
        "ETag": f'"{grid.made_until_us}-{len(content)}"',
        "Cache-Control": f"private, max-age={3600 if grid.is_complete else 60}",
        "Vms-Start": format_time(grid.start_us),
    }
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="image/webp", headers=headers)
