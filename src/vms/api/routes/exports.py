"""Exports: recordings as a file."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from vms.api.dependencies import (
    BearerToken,
    GrantToken,
    ServicesOf,
    authenticated,
    find_camera,
    permitted,
    require,
)
from vms.api.models import ExportAnswer, ExportRequest, Exports, LinkAnswer, decode_cursor, encode_cursor
from vms.domain import recordings
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission, Principal
from vms.domain.time import SECOND_US, format_time

router = APIRouter(prefix="/api/v1", tags=["exports"])
_exports = Depends(permitted(Permission.EXPORT))
Exporter = Annotated[Principal, _exports]
LONGEST_EXPORT_US = 31 * 86_400_000_000
_MEDIA_TYPES = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".zip": "application/zip"}


@router.post("/exports", status_code=202)
def create_export(part: ServicesOf, principal: Exporter, wanted: ExportRequest, response: Response) -> ExportAnswer:
    """Orders an export; ask its Location for progress."""
    for camera_id in wanted.camera_ids:
        find_camera(part, camera_id)
    span = recordings.span(wanted.start, wanted.end, longest_us=LONGEST_EXPORT_US)
    export = part.archive.create_export(wanted.camera_ids, span, wanted.format, principal.name)
    response.headers["Location"] = f"/api/v1/exports/{export.id}"
    return ExportAnswer.of(export)


@router.get("/exports", dependencies=[_exports])
def list_exports(
    part: ServicesOf,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=256)] = None,
) -> Exports:
    """The exports, newest first."""
    found = part.archive.exports(decode_cursor(cursor), limit + 1)
    items = [ExportAnswer.of(export) for export in found[:limit]]
    more = len(found) > limit
    return Exports.model_construct(items=items, next_cursor=encode_cursor(items[-1].id) if more else None)


@router.get("/exports/{export_id}", dependencies=[_exports])
def get_export(part: ServicesOf, export_id: str) -> ExportAnswer:
    """An export and its progress."""
    return ExportAnswer.of(part.archive.export(_known(export_id)))


@router.post("/exports/{export_id}/link")
def create_export_link(part: ServicesOf, principal: Exporter, export_id: str, request: Request) -> LinkAnswer:
    """A signed URL of the download, for a browser that cannot send a header: five minutes to start."""
    part.archive.export_file(_known(export_id))
    token, expires_s = part.access.sign_export_link(principal, export_id)
    path = f"/api/v1/exports/{export_id}/download?{urlencode({'token': token})}"
    return LinkAnswer.model_construct(
        url=f"{request.url.scheme}://{request.url.netloc}{path}", expires_at=expires_s * SECOND_US
    )


@router.get("/exports/{export_id}/download", response_class=Response)
def download_export(part: ServicesOf, export_id: str, header_token: BearerToken, token: GrantToken = None) -> Response:
    """The export's file; 409 until it is done. The front sends the bytes, ranges included."""
    if token is not None:
        part.access.check_grant(token, export_id, "export", first_use=True)
    else:
        require(authenticated(part, header_token), Permission.EXPORT)
    path = part.archive.export_file(_known(export_id))
    export = part.archive.export(export_id)
    title = f"{len(export.camera_ids)} cameras"
    if len(export.camera_ids) == 1:
        try:
            title = part.cameras.get(export.camera_ids[0]).name
        except Failure:
            title = "camera"
    stamp = format_time(export.span.start_us)[:19].replace(":", "-").replace("T", " ")
    name = f"{title} {stamp}{path.suffix}"
    plain = "".join(character if character.isascii() and character not in '"\\/:%' else "_" for character in name)
    headers = {
        # Read and removed by the front, which takes the path's own bytes.
        "Vms-Send-File": os.fsencode(path).decode("latin-1"),
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Cache-Control": "private, no-store",
    }
    if export.sha256 is not None:
        headers["ETag"] = f'"{export.sha256}"'
    return Response(headers=headers, media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"))


@router.delete("/exports/{export_id}", status_code=204, dependencies=[_exports])
def delete_export(part: ServicesOf, export_id: str) -> Response:
    """Cancels an export that runs, and deletes its files."""
    part.archive.remove_export(_known(export_id))
    return Response(status_code=204)


def _known(export_id: str) -> str:
    if not is_id(export_id):
        raise Failure("not_found", "no export has this identifier", code="export-not-found")
    return export_id
